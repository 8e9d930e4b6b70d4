/* log.h: what the person reads while a command runs. stdout is for results, stderr for notes and the progress bar.
 * A Log is made by main and carried in the context; nothing is global. */
#ifndef LORAC_BASE_LOG_H
#define LORAC_BASE_LOG_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct Log {
    FILE *out;     /* results */
    FILE *err;     /* notes, warnings, progress */
    bool color;    /* terminal, no NO_COLOR */
    bool bar;      /* stderr is a terminal: the bar redraws one line */
    bool quiet;    /* --quiet: warnings and errors only */
    int columns;   /* width of the terminal, 80 when unknown */
    bool bar_open; /* a bar line is drawn and must be ended before other text */
} Log;

/* A standard stream that was closed at start becomes one on which reading and writing fail, so that no file opened later
 * gets its number and takes what is meant for the person. Called once, by main, before anything is opened. */
void log_guard_streams(void);
/* Looks at the terminal and NO_COLOR once. */
void log_open(Log *log, bool quiet);
void log_note(Log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warn(Log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Redraws the bar: fraction in [0,1] and the text behind it. Without a terminal it prints nothing. */
void log_bar(Log *log, double fraction, const char *format, ...) __attribute__((format(printf, 3, 4)));
void log_bar_end(Log *log);

/* Seconds on the monotonic clock. */
double clock_s(void);
/* Seconds since clock_s() gave `begin`; 0 where the clock went back. */
double clock_since(double begin);
/* Resident memory of this process now / its peak, in bytes (/proc/self/status; 0 when unknown). */
uint64_t rss_bytes(void);
uint64_t rss_peak_bytes(void);
/* Memory this process may have: the machine's, or the least of its cgroups; UINT64_MAX when unknown. */
uint64_t memory_bytes(void);
/* "1.2 GB", "35.0 MB": 1 MB = 10^6 bytes. Writes into text (at least 16 bytes) and returns it. */
const char *human_bytes(uint64_t bytes, char *text);

#endif
