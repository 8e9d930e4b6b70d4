/* prepared.h: rows as ids, kept in a file for the next run: `dataset_prepared_path`.
 *
 * A prepared file is FOLDER/KEY.h5. KEY is a hash of everything its content follows from: the program, the data files' bytes
 * and names, their entries' types, columns and roles, the tokenizer, the template, the day that it sees (where it looks at
 * it), the vocabulary. So a file is right or has another name; nothing has to be compared. It is written under a temporary
 * name, synced, read back against its sum and renamed: two runs that prepare the same data write the same bytes, and the
 * later rename changes nothing. A file that is damaged is written anew.
 *
 * Layout, version 1: 512 bytes of text with the XXH3-128 of what follows, then HDF5 (which allows such a block in front):
 *   /format "lorac-prepared-data"   /version i64   /key text
 *   /ids i32 [tokens]   /trained u8 [tokens]   one piece each, used where it is mapped
 *   /bounds i64 [rows+1]   row r is tokens bounds[r] .. bounds[r+1]
 *   /rows/line i64, /rows/source i32, /rows/number i32, /rows/trained i32, /rows/side u8 [rows]: see DataRow
 *   /labels i32, /label_rows i64 [n, 2]: only where rows bring labels of their own; see LabelRow
 *   /sources text, JSON: [{"path", "type", "found_by", "bare", "first_row"}, ...], see Dataset   /ledger i64 [sources, 4]: rows, read, trained, masked */
#ifndef LORAC_DATA_PREPARED_H
#define LORAC_DATA_PREPARED_H

#include "data/dataset_internal.h"

/* Where prepared files lie. */
typedef struct PreparedFolder {
    const char *path;
    bool write; /* make the folder and write what is not there; else nothing is written */
    /* After dataset_load: the file, whether it was there, and why it could not be used though it was ("" otherwise). */
    char key[HASH_HEX_BYTES], damage[256];
    bool found;
} PreparedFolder;

/* One file of a folder. */
typedef struct Prepared {
    const char *path;
    char key[HASH_HEX_BYTES], damage[256];
    bool found;
} Prepared;

/* Removes what killed processes left in such a folder. */
void prepared_remove_left_overs(const char *folder);
/* Its name, from the files of `d` (paths, entries). Makes the folder where it is written to. */
Status prepared_find(Arena *work, PreparedFolder *folder, const DataSource *files, const DataContext *context,
                     const Dataset *d, Prepared *out, Err *e);
/* Maps the file and fills rows, arrays, types and ledger of a dataset whose sources are known. p->found false: it is not there,
 * or damaged (p->damage says how); `out` is as it was then, and the arena too. */
Status prepared_open(Arena *a, Prepared *p, int64_t vocab, DataMaps *maps, Dataset *out, Err *e);
Status prepared_write(Arena *work, const Prepared *p, const Dataset *d, Err *e);

/* What a prepared file says of itself. */
typedef struct PreparedInfo {
    const char *key;
    int n_sources;
    const char **paths, **types; /* by source */
    Ledger *ledger;              /* rows, read, trained, masked */
} PreparedInfo;
/* Whether a file begins as prepared ones do. */
bool prepared_is(const uint8_t *data, size_t n);
/* Checks the sum and reads what the file holds; the arena's. */
Status prepared_info(Arena *a, const FileMap *m, PreparedInfo *out, Err *e);

#endif
