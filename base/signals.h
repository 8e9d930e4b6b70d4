/* signals.h: the one file with process-wide state, because signals are process-wide: a stop counter, and tables of mapped
 * ranges and of temporary files. SIGINT and SIGTERM raise the counter (the loop stops at the next safe point; a second one
 * ends the process at once with status 130), SIGHUP, SIGPIPE and SIGXFSZ are ignored (writing then fails with an error),
 * SIGBUS inside a mapped file prints one prepared line ("error: FILE: changed or truncated while in use") and ends the
 * process with status 1. Where a handler ends the process, it first removes the temporary files being written. */
#ifndef LORAC_BASE_SIGNALS_H
#define LORAC_BASE_SIGNALS_H

#include <stdbool.h>
#include <stddef.h>

/* Sets the handlers; called once, by main. */
void signals_install(void);
/* True once a stop was asked for. */
bool stop_requested(void);
/* file.c tells about its mappings here. At most 1024 at a time; more are simply not named on SIGBUS. */
void signals_map_add(const void *start, size_t bytes, const char *path);
void signals_map_remove(const void *start);
/* file_write.c tells about its temporary files here. At most 64 at a time; more simply stay behind when a handler ends
 * the process. path must stay valid until signals_temp_remove. */
void signals_temp_add(const char *path);
void signals_temp_remove(const char *path);

#endif
