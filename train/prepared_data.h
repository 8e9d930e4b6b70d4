/* prepared_data.h: a run's prepared data (data/prepared.h): where they lie, what is said about them, which of them may go. */
#ifndef LORAC_TRAIN_PREPARED_DATA_H
#define LORAC_TRAIN_PREPARED_DATA_H

#include "base/log.h"
#include "configs/config.h"
#include "data/prepared.h"

/* In output_dir, where the config names no other folder. */
#define PREPARED_FOLDER "prepared"

typedef struct PreparedData {
    PreparedFolder folder;
    Log *log;
    bool own;                     /* the folder is this run's alone: what it does not use may go */
    char (*used)[HASH_HEX_BYTES]; /* (n_used) the files that were found or written */
    int n_used;
} PreparedData;

/* The folder that the config names, or prepared in output_dir. n_sets: how many datasets will be loaded at most. write:
 * PreparedFolder. Then the context of dataset_load has it, and tells its progress on the terminal. */
Status prepared_data_open(Arena *a, const Config *c, Log *log, int n_sets, bool write, PreparedData *out,
                          DataContext *context, Err *e);
/* dataset_load, and a line about what was prepared. */
Status prepared_data_load(PreparedData *p, Arena *a, const DataSource *sources, int n, const DataContext *context,
                          Dataset *out, Err *e);
/* Removes what earlier data, options or programs left in a folder of the run's own. */
Status prepared_data_clean(PreparedData *p, Err *e);

#endif
