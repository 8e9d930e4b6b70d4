/* cpu_count.c: how many processors this process may use. See threads.h.
 *
 * The affinity mask says on which ones it may run, a cgroup v2 quota (cpu.max, "QUOTA PERIOD" in microseconds) for how
 * much time; the quota counts in every cgroup from the process's own up to the root. A part of a processor counts whole. */
#define _GNU_SOURCE
#include "base/threads.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CPUS_MAX = 1024 };
static const char CGROUP_ROOT[] = "/sys/fs/cgroup";

/* Processors granted by one cpu.max file, or CPUS_MAX when it sets no limit or is not there. */
static int quota_of(const char *path) {
    char text[64] = "";
    FILE *f = fopen(path, "r");
    if (f == NULL) return CPUS_MAX;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    long long quota = 0, period = 0; /* "max 100000" has no number in front */
    if (sscanf(text, "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0) return CPUS_MAX;
    long long cpus = quota / period + (quota % period != 0);
    return cpus > CPUS_MAX ? CPUS_MAX : (int)cpus;
}

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

static int quota_cpus(void) {
    char group[4096], path[sizeof CGROUP_ROOT + sizeof group + 16];
    int least = CPUS_MAX;
    own_cgroup(group, sizeof group);
    for (;;) {
        snprintf(path, sizeof path, "%s%s/cpu.max", CGROUP_ROOT, group);
        int cpus = quota_of(path);
        if (cpus < least) least = cpus;
        char *slash = strrchr(group, '/');
        if (slash == NULL) return least;
        *slash = 0;
    }
}

int cpu_count(void) {
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    int quota = quota_cpus();
    if (n > quota) n = quota;
    return n < 1 ? 1 : (int)n;
}
