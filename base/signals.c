/* signals.c: see signals.h. The only mutable process-wide state of lorac: a counter and two tables that a signal handler
 * may read. Both are lock-free atomics, because a handler may run in any thread. */
#define _GNU_SOURCE
#include "base/signals.h"

#include "base/fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { MAPS_MAX = 1024, TEMPS_MAX = 64, NAME_BYTES = 256 };

typedef struct MapEntry {
    atomic_uintptr_t start; /* 0: free */
    atomic_size_t bytes;
    char name[NAME_BYTES];
} MapEntry;

_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_POINTER_LOCK_FREE == 2, "a signal handler may take no lock");

static atomic_int stops;
static atomic_bool dying;        /* a thread is ending the process */
static atomic_bool unnamed_maps; /* the table was full once */
static MapEntry maps[MAPS_MAX];
static _Atomic(const char *) temps[TEMPS_MAX]; /* NULL: free */

static void say(const char *s) {
    size_t n = strlen(s);
    while (n > 0) {
        ssize_t w = write(STDERR_FILENO, s, n);
        if (w <= 0) return;
        s += w;
        n -= (size_t)w;
    }
}

static void remove_temps(void) {
    for (int i = 0; i < TEMPS_MAX; i++) {
        const char *path = atomic_load(&temps[i]);
        if (path != NULL) unlink(path);
    }
}

static void on_stop(int signal) {
    (void)signal;
    if (atomic_fetch_add(&stops, 1) > 0) {
        remove_temps();
        say("\nstopped at once: the last checkpoint stands\n");
        _exit(130);
    }
}

static void on_bus(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    const char *name = atomic_load(&unnamed_maps) ? "a mapped file" : NULL;
    /* several threads may read the file at a time: the first one speaks, the others wait for the end */
    while (atomic_exchange(&dying, true)) pause();
    remove_temps();
    for (int i = 0; i < MAPS_MAX; i++) {
        uintptr_t start = atomic_load(&maps[i].start);
        if (start != 0 && at >= start && at - start < atomic_load(&maps[i].bytes)) name = maps[i].name;
    }
    if (name == NULL) {
        say("error: memory that belongs to no mapped file cannot be read (SIGBUS): the machine or its memory limit\n");
        _exit(1);
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
    a.sa_handler = on_stop; /* no SA_RESTART: a read from the terminal ends */
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

bool stop_requested(void) {
    if (FAULT(stop)) raise(SIGINT);
    return atomic_load(&stops) != 0;
}

void signals_map_add(const void *start, size_t bytes, const char *path) {
    for (int i = 0; i < MAPS_MAX; i++) {
        uintptr_t none = 0;
        if (!atomic_compare_exchange_strong(&maps[i].start, &none, UINTPTR_MAX)) continue;
        size_t n = strlen(path), cut = n < NAME_BYTES ? 0 : n - (NAME_BYTES - 1); /* the end tells more */
        memcpy(maps[i].name, path + cut, n - cut + 1);
        atomic_store(&maps[i].bytes, bytes);
        atomic_store(&maps[i].start, (uintptr_t)start);
        return;
    }
    atomic_store(&unnamed_maps, true);
}

void signals_map_remove(const void *start) {
    for (int i = 0; i < MAPS_MAX; i++) {
        if (atomic_load(&maps[i].start) != (uintptr_t)start) continue;
        atomic_store(&maps[i].bytes, 0);
        atomic_store(&maps[i].start, 0);
        return;
    }
}

void signals_temp_add(const char *path) {
    for (int i = 0; i < TEMPS_MAX; i++) {
        const char *none = NULL;
        if (atomic_compare_exchange_strong(&temps[i], &none, path)) return;
    }
}

void signals_temp_remove(const char *path) {
    for (int i = 0; i < TEMPS_MAX; i++) {
        const char *mine = path;
        if (atomic_compare_exchange_strong(&temps[i], &mine, NULL)) return;
    }
}
