/* fault.c: see fault.h. A counter per fault is process-wide, because places far apart count together; the counters exist
 * in test builds only. */
#include "base/fault.h"

#ifdef LORAC_FAULTS
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_llong passed[FAULT_COUNT];

static const char *const NAMES[] = {
#define FAULT_ROW(name, text) #name,
#include "base/faults.def"
};

static bool known(const char *s, size_t n) {
    for (int i = 0; i < FAULT_COUNT; i++)
        if (strlen(NAMES[i]) == n && memcmp(NAMES[i], s, n) == 0) return true;
    return false;
}

static void refuse(const char *s) {
    fprintf(stderr, "error: LORAC_FAULT: '%s' names no fault; there are:", s);
    for (int i = 0; i < FAULT_COUNT; i++) fprintf(stderr, " %s", NAMES[i]);
    fputc('\n', stderr);
    _exit(2);
}

/* Finds `name` in the list; *from, *to: the passages it strikes at. */
static bool chosen(const char *name, long long *from, long long *to) {
    const char *s = getenv("LORAC_FAULT");
    bool found = false;
    while (s != NULL && *s != 0) {
        size_t item = strcspn(s, ","), n = strcspn(s, ",=");
        if (!known(s, n)) refuse(s);
        if (strlen(name) == n && memcmp(name, s, n) == 0) {
            char *end;
            found = true;
            *from = 1;
            *to = LLONG_MAX;
            if (n < item) {
                *from = strtoll(s + n + 1, &end, 10);
                if (*end != '+') *to = *from;
            }
        }
        s += item + (s[item] == ',');
    }
    return found;
}

static void note(FaultId id, long long now, bool strikes) {
    const char *path = getenv("LORAC_FAULT_LOG");
    char text[64];
    if (path == NULL) return;
    int n = snprintf(text, sizeof text, "%s %lld%s\n", NAMES[id], now, strikes ? " struck" : "");
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return;
    if (write(fd, text, (size_t)n) != n) fputs("LORAC_FAULT_LOG cannot be written\n", stderr);
    close(fd);
}

bool fault_hit(FaultId id) {
    long long from, to, now;
    if (!chosen(NAMES[id], &from, &to)) return false;
    now = atomic_fetch_add(&passed[id], 1) + 1;
    bool strikes = now >= from && now <= to;
    note(id, now, strikes);
    return strikes;
}

void fault_kill(void) {
    if (fault_hit(FAULT_kill)) raise(SIGKILL);
}
#else
typedef int fault_unused; /* C11 wants a declaration in every file */
#endif
