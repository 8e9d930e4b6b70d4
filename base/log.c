/* log.c: notes, the progress bar, clocks and memory readings. See log.h. */
#include "base/log.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

void log_guard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        /* opened the wrong way round: it has the lowest free number, which is fd */
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) open("/", O_RDONLY);
    }
}

void log_open(Log *log, bool quiet) {
    struct winsize size;
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    bool dumb = term == NULL || strcmp(term, "dumb") == 0;
    *log = (Log){.out = stdout, .err = stderr, .quiet = quiet, .columns = 80};
    log->bar = isatty(STDERR_FILENO) && !dumb && !quiet;
    log->color = log->bar && isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == 0);
    if (log->bar && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) log->columns = size.ws_col;
}

static void print(Log *log, const char *prefix, const char *format, va_list args) {
    log_bar_end(log);
    fputs(prefix, log->err);
    vfprintf(log->err, format, args);
    fputc('\n', log->err);
    fflush(log->err);
}

void log_note(Log *log, const char *format, ...) {
    if (log->quiet) return;
    va_list args;
    va_start(args, format);
    print(log, "", format, args);
    va_end(args);
}

void log_warn(Log *log, const char *format, ...) {
    va_list args;
    va_start(args, format);
    print(log, "warning: ", format, args);
    va_end(args);
}

void log_bar(Log *log, double fraction, const char *format, ...) {
    if (!log->bar) return;
    char text[512];
    enum { CELLS = 20 };
    char cells[CELLS + 1];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int full = fraction <= 0.0 ? 0 : fraction >= 1.0 ? CELLS : (int)(fraction * CELLS);
    memset(cells, '.', CELLS);
    memset(cells, '#', (size_t)full);
    cells[CELLS] = 0;
    int room = log->columns - CELLS - 4;
    fprintf(log->err, "\r[%s] %.*s\033[K", cells, room > 0 ? room : 1, text);
    fflush(log->err);
    log->bar_open = true;
}

void log_bar_end(Log *log) {
    if (!log->bar_open) return;
    fputc('\n', log->err);
    fflush(log->err);
    log->bar_open = false;
}

double clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (FAULT(clock_back)) t.tv_sec -= 3600;
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_since(double begin) {
    double s = clock_s() - begin;
    return s > 0.0 ? s : 0.0;
}

/* A "VmXXX:  N kB" line of /proc/self/status, in bytes. */
static uint64_t status_bytes(const char *key) {
    char line[256];
    unsigned long long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    if (f == NULL) return 0;
    size_t n = strlen(key);
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, key, n) == 0 && sscanf(line + n, ": %llu", &kb) == 1) break;
    }
    fclose(f);
    return (uint64_t)kb * 1024;
}

uint64_t rss_bytes(void) { return status_bytes("VmRSS"); }
uint64_t rss_peak_bytes(void) { return status_bytes("VmHWM"); }

const char *human_bytes(uint64_t bytes, char *text) {
    static const char *const UNITS[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double v = (double)bytes;
    int u = 0;
    while (v >= 999.95 && u < 5) {
        v /= 1000.0;
        u++;
    }
    snprintf(text, 16, u == 0 ? "%.0f %s" : "%.1f %s", v, UNITS[u]);
    return text;
}
