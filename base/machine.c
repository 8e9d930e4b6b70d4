/* machine.c: how many processors and how much memory this process may use. See threads.h and log.h.
 *
 * The affinity mask says on which processors it may run, a cgroup v2 quota (cpu.max, "QUOTA PERIOD" in microseconds) for how
 * much time, memory.max how much memory; a limit counts in every cgroup from the process's own up to the root. A part of a
 * processor counts whole. */
#define _GNU_SOURCE
#include "base/log.h"
#include "base/threads.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CPUS_MAX = 1024 };
static const char CGROUP_ROOT[] = "/sys/fs/cgroup";

/* The two numbers of a limit file; the first is 0 when the file sets no limit ("max") or is not there. */
static void read_limit(const char *path, long long numbers[2]) {
    char text[64] = "";
    FILE *f = fopen(path, "r");
    numbers[0] = numbers[1] = 0;
    if (f == NULL) return;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    if (sscanf(text, "%lld %lld", &numbers[0], &numbers[1]) < 1) numbers[0] = 0;
}

static uint64_t cpus_of(const long long n[2]) {
    return n[0] <= 0 || n[1] <= 0 ? UINT64_MAX : (uint64_t)(n[0] / n[1] + (n[0] % n[1] != 0));
}

static uint64_t bytes_of(const long long n[2]) { return n[0] <= 0 ? UINT64_MAX : (uint64_t)n[0]; }

/* The path of this process's cgroup v2 ("0::/a/b"), or "" for the root. */
static void own_cgroup(char *path, size_t bytes) {
    char line[4096];
    FILE *f = fopen("/proc/self/cgroup", "r");
    path[0] = 0;
    if (f == NULL) return;
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "0::/", 4) != 0) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(path, bytes, "%s", line + 3);
    }
    fclose(f);
}

/* The least that a file of this name grants in the process's cgroup and those above it. */
static uint64_t cgroup_limit(const char *name, uint64_t (*value)(const long long[2])) {
    char group[4096], path[sizeof CGROUP_ROOT + sizeof group + 16];
    uint64_t least = UINT64_MAX;
    own_cgroup(group, sizeof group);
    for (;;) {
        long long numbers[2];
        snprintf(path, sizeof path, "%s%s/%s", CGROUP_ROOT, group, name);
        read_limit(path, numbers);
        if (value(numbers) < least) least = value(numbers);
        char *slash = strrchr(group, '/');
        if (slash == NULL) return least;
        *slash = 0;
    }
}

int cpu_count(void) {
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t quota = cgroup_limit("cpu.max", cpus_of);
    if (n > CPUS_MAX) n = CPUS_MAX;
    if (n > 0 && (uint64_t)n > quota) n = (long)quota;
    return n < 1 ? 1 : (int)n;
}

uint64_t memory_bytes(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t physical = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
    uint64_t limit = cgroup_limit("memory.max", bytes_of);
    return limit < physical ? limit : physical;
}
