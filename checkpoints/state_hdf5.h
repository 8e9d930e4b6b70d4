/* state_hdf5.h: the training state on disk: OUTPUT/checkpoint-N/state.h5 with its sum in state.h5.xxh3.
 *
 * A checkpoint is a folder that exists whole or not at all: it is written as checkpoint-N.tmp-PID, every file and the
 * folder synced, then renamed. state.h5.xxh3 holds one line, "<32 hex digits>  state.h5\n" (XXH3-128, as xxhsum -H2
 * prints it). Reading checks the sum before HDF5 sees a byte, and then treats the layout as untrusted all the same.
 *
 * Layout, version 1 (HDF5, float data little-endian):
 *   /format            string "lorac-train-state"      /version  i64, 1       /step  i64, the N of the folder
 *   /int/NAME          i64 scalar                      /real/NAME  f64 scalar /text/NAME  string
 *   /array/NAME        f32 [rows, cols]
 * NAME is the caller's, without a slash. What a state holds beyond that (adapter, moments, counters, data cursor, loss
 * sums, config) is the training loop's business. */
#ifndef LORAC_CHECKPOINTS_STATE_HDF5_H
#define LORAC_CHECKPOINTS_STATE_HDF5_H

#include "base/arena.h"

enum { STATE_VERSION = 1, STATE_TEXT_MAX_BYTES = 1 << 26 };

typedef struct StateArray {
    const char *name;
    int64_t rows, cols; /* both > 0 */
    const float *data;
} StateArray;
typedef struct StateInt {
    const char *name;
    int64_t value;
} StateInt;
typedef struct StateReal {
    const char *name;
    double value; /* bits are kept, whatever they are */
} StateReal;
typedef struct StateText {
    const char *name;
    const char *s;
    size_t len;
} StateText;

/* What to save; names are unique within each list. */
typedef struct TrainState {
    int64_t step;
    const StateArray *arrays;
    size_t n_arrays;
    const StateInt *ints;
    size_t n_ints;
    const StateReal *reals;
    size_t n_reals;
    const StateText *texts;
    size_t n_texts;
} TrainState;

/* Writes output_dir/checkpoint-<step> (an existing one of that step is replaced only once the new one is whole), then
 * deletes the oldest checkpoints so that `limit` remain (limit <= 0: keep all; the new one always stays) and left-over
 * temporary folders. scratch holds the file image meanwhile; what it took is given back. */
Status state_save(Arena *scratch, const char *output_dir, const TrainState *s, int64_t limit, Err *e);

/* Bytes of scratch that state_save takes at most for a state of these sizes (its data may be NULL). */
size_t state_save_bytes(const TrainState *s);

/* Removes the temporary folders of processes that were killed while saving. */
void state_remove_left_overs(const char *output_dir);

/* Steps of the checkpoint-N folders in output_dir, newest (largest N) first. A missing output_dir gives none. They are
 * not opened: the newest valid one is the first that state_open accepts. */
Status state_list(Arena *a, const char *output_dir, int64_t **steps, size_t *n, Err *e);
/* output_dir/checkpoint-<step> in the arena. */
Status state_folder(Arena *a, const char *output_dir, int64_t step, char **out, Err *e);

/* Removes output_dir/checkpoint-<step>, which has another name before its first file goes: whoever is killed here leaves a
 * whole checkpoint or none. A missing one is OK. */
Status state_remove(Arena *a, const char *output_dir, int64_t step, Err *e);

typedef struct StateFile StateFile;
/* Opens a checkpoint folder. ERR_FORMAT when the sum, the format or the version is not right; ERR_IO when it cannot be
 * read. The file stays mapped until state_close. */
Status state_open(Arena *a, const char *folder, StateFile **out, Err *e);
void state_close(StateFile *f); /* NULL is allowed */
int64_t state_step(const StateFile *f);

/* Values by name; a missing one, another type or other sizes are ERR_FORMAT. */
Status state_array(const StateFile *f, const char *name, int64_t rows, int64_t cols, float *out, Err *e);
Status state_int(const StateFile *f, const char *name, int64_t *out, Err *e);
Status state_real(const StateFile *f, const char *name, double *out, Err *e);
Status state_text(const StateFile *f, Arena *a, const char *name, char **out, size_t *len, Err *e);
/* Whether an array / integer / real / text of that name is there. */
bool state_has_array(const StateFile *f, const char *name);
bool state_has_int(const StateFile *f, const char *name);
bool state_has_real(const StateFile *f, const char *name);
bool state_has_text(const StateFile *f, const char *name);

#endif
