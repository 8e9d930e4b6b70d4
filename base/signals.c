/* signals.c: see signals.h. The only mutable process-wide state of lorac: a counter and a table that a signal handler
 * may read, both lock-free. */
#define _GNU_SOURCE
#include "base/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { MAPS_MAX = 1024, NAME_BYTES = 256 };

typedef struct MapEntry {
    atomic_uintptr_t start; /* 0: free */
    atomic_size_t bytes;
    char name[NAME_BYTES];
} MapEntry;

static volatile sig_atomic_t stops;
static MapEntry maps[MAPS_MAX];

static void say(const char *s) {
    size_t n = strlen(s);
    while (n > 0) {
        ssize_t w = write(STDERR_FILENO, s, n);
        if (w <= 0) return;
        s += w;
        n -= (size_t)w;
    }
}

static void on_stop(int signal) {
    (void)signal;
    stops = stops + 1;
    if (stops > 1) {
        say("\nstopped at once: the last checkpoint stands\n");
        _exit(130);
    }
}

static void on_bus(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    const char *name = "a mapped file";
    for (int i = 0; i < MAPS_MAX; i++) {
        uintptr_t start = atomic_load(&maps[i].start);
        if (start != 0 && at >= start && at - start < atomic_load(&maps[i].bytes)) name = maps[i].name;
    }
    say("error: ");
    say(name);
    say(": changed or truncated while in use\n");
    _exit(1);
}

void signals_install(void) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    sigemptyset(&a.sa_mask);
    a.sa_handler = on_stop;
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    a.sa_handler = SIG_IGN;
    sigaction(SIGHUP, &a, NULL);
    sigaction(SIGPIPE, &a, NULL);
    sigaction(SIGXFSZ, &a, NULL);
    memset(&a, 0, sizeof a);
    sigemptyset(&a.sa_mask);
    a.sa_sigaction = on_bus;
    a.sa_flags = SA_SIGINFO;
    sigaction(SIGBUS, &a, NULL);
}

bool stop_requested(void) { return stops != 0; }

void signals_map_add(const void *start, size_t bytes, const char *path) {
    for (int i = 0; i < MAPS_MAX; i++) {
        uintptr_t none = 0;
        if (!atomic_compare_exchange_strong(&maps[i].start, &none, UINTPTR_MAX)) continue;
        strncpy(maps[i].name, path, NAME_BYTES - 1);
        maps[i].name[NAME_BYTES - 1] = 0;
        atomic_store(&maps[i].bytes, bytes);
        atomic_store(&maps[i].start, (uintptr_t)start);
        return;
    }
}

void signals_map_remove(const void *start) {
    for (int i = 0; i < MAPS_MAX; i++) {
        if (atomic_load(&maps[i].start) != (uintptr_t)start) continue;
        atomic_store(&maps[i].bytes, 0);
        atomic_store(&maps[i].start, 0);
        return;
    }
}
