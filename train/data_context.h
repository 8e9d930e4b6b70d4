/* data_context.h: what a run's rows are read with: the base's tokenizer and its chat template. */
#ifndef LORAC_TRAIN_DATA_CONTEXT_H
#define LORAC_TRAIN_DATA_CONTEXT_H

#include "base/log.h"
#include "configs/config.h"
#include "data/dataset.h"

/* "2026-11-26" as seconds since 1970 (noon UTC); false: no such day. */
bool day_seconds(const char *day, int64_t *out);
/* Today, local time, as "YYYY-MM-DD" in text. */
void today(char text[16]);

/* The template_date that a run took down in the config.resolved.yaml of its folder; day stays what it is where there is none. */
Status recorded_day(Arena *a, const char *folder, char day[16], Err *e);

/* Fills tokenizer and chat of *out from the base. A base without a template, or with one that cannot be read, leaves chat NULL and
 * says why in no_chat, for rows that need it. template_file "" or NULL: the base's own template. day: what templates see as today.
 * The tokenizer is the caller's to close. */
Status data_context_open(Arena *a, const char *base, const char *template_file, const char *day, DataContext *out,
                         Err *e);

/* An entry of `datasets` or `test_datasets` as a source. */
Status data_source_of(const Config *c, const char *list, int64_t i, DataSource *out, Err *e);

/* A note for each file whose row type was not given: what was detected, and from which columns. */
void data_tell_types(Log *log, const Dataset *d);
/* One warning where rows that are a prompt and a completion as plain texts go to a model with a chat template. */
void data_warn_bare(Log *log, const Dataset *d, const DataContext *dc);

#endif
