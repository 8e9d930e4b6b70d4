/* file.h: reading by mapping, writing so that a half-written file is never seen.
 *
 * A mapped file that shrinks while in use raises SIGBUS, which signals.c turns into a clear message. Writing goes to
 * a temporary name in the same folder (NAME.tmp-PID, locked), is synced, renamed over the final name, and the folder is synced;
 * on any failure the temporary file is removed and the old file is untouched. What a killed process left there is removed
 * by the next one that writes NAME. */
#ifndef LORAC_BASE_FILE_H
#define LORAC_BASE_FILE_H

#include "base/arena.h"

/* A read-only mapping. data is NULL when size is 0. path is a copy owned by the mapping. */
typedef struct FileMap {
    const uint8_t *data;
    size_t size;
    char *path;
} FileMap;

/* Maps a regular file. Errors name the path and the reason (missing, a folder, a pipe, no permission). */
Status file_map(const char *path, FileMap *out, Err *e);
/* The same for a file that another process may remove at any time: where there is none, OK and *found false. */
Status file_map_if_there(const char *path, FileMap *out, bool *found, Err *e);
void file_unmap(FileMap *m);

/* Tells the kernel the range will not be needed soon (its clean pages may be dropped: keeps RSS small). */
void file_map_forget(const FileMap *m, size_t offset, size_t bytes);

/* Reads a whole (small) file into the arena, NUL added. Larger than max_bytes is an error naming both sizes. "-" is not
 * special here. */
Status file_read(Arena *a, const char *path, size_t max_bytes, char **out, size_t *len, Err *e);

/* The path must not name a folder or a device; its folder must exist. An AtomicFile and its paths live in the arena. */
typedef struct AtomicFile AtomicFile;
Status atomic_open(Arena *a, const char *path, AtomicFile **out, Err *e);
Status atomic_write(AtomicFile *f, const void *data, size_t bytes, Err *e);
/* Overwrites bytes already written (a header known only at the end). */
Status atomic_write_at(AtomicFile *f, uint64_t offset, const void *data, size_t bytes, Err *e);
/* The temporary file, for a library that writes by name (it must keep the file, not replace it); then its size is taken over
 * and atomic_write_at reaches all of it. A name that is no longer this file's is an error. */
const char *atomic_temporary(const AtomicFile *f);
/* Whether the disk, and the limits of the process, have room for so many bytes of an empty file; nothing of them stays. */
Status atomic_has_room(AtomicFile *f, uint64_t bytes, Err *e);
Status atomic_take_over(AtomicFile *f, Err *e);
/* Flush, fsync, close, rename, fsync of the folder. After it, success or not, f is closed. */
Status atomic_commit(AtomicFile *f, Err *e);
/* Removes the temporary file. Allowed on a committed or NULL f (does nothing): the `out:` label of writers. */
void atomic_abort(AtomicFile *f);
/* atomic_open + write + commit. */
Status file_write_atomic(Arena *a, const char *path, const void *data, size_t bytes, Err *e);

/* Appends whole lines and syncs on demand; used for metrics.jsonl. A write that fails leaves no part of its bytes. */
typedef struct AppendFile {
    int fd;
    const char *path; /* the caller's */
    uint64_t size;    /* right after append_open */
} AppendFile;
/* path must stay. keep_bytes: a longer file is first cut to that length (0 = start empty; SIZE_MAX = keep all). */
Status append_open(const char *path, size_t keep_bytes, AppendFile *out, Err *e);
Status append_write(AppendFile *f, const void *data, size_t bytes, Err *e);
Status append_sync(AppendFile *f, Err *e);
void append_close(AppendFile *f);

bool path_exists(const char *path);
bool path_is_folder(const char *path);
/* a/b joined with one slash; b absolute gives b. */
Status path_join(Arena *a, const char *dir, const char *name, char **out, Err *e);
/* The part before the last slash ("." when none). */
Status path_dirname(Arena *a, const char *path, char **out, Err *e);
/* Creates the folder and its parents (0777 & umask). Existing is OK; a file in the way is an error. */
Status make_folders(const char *path, Err *e);
/* Removes a file or a folder tree; missing is OK. Never follows symbolic links. Refuses "/", "." and "..". */
Status remove_tree(const char *path, Err *e);
/* Removes what killed processes left in the folder: BASE.tmp-PID (and what follows it, as in BASE.tmp-PID-old) where no
 * process PID runs or PID is this one, and no process holds it locked. prefix: BASE only has to begin with `base`. What cannot be removed stays. */
void remove_left_overs(const char *folder, const char *base, bool prefix);
/* The same of those names for which `ours` is true: in a folder that holds other things, too. */
void remove_left_overs_if(const char *folder, bool (*ours)(const char *name));
/* The same for the file or folder of that path. */
void remove_left_overs_of(const char *path);
/* rename(2): `to` is replaced whole, never half. */
Status rename_path(const char *from, const char *to, Err *e);
/* Exchanges two paths in one step (Linux); *done false where the file system cannot, and nothing was changed. */
Status exchange_paths(const char *a, const char *b, bool *done, Err *e);
/* Takes the folder for this process until the descriptor in *fd is closed; a folder that another process holds is an error.
 * File systems without locks give *fd -1: nothing is locked. */
Status lock_folder(const char *path, int *fd, Err *e);
/* Puts a finished folder under its name, durably. One that is there is replaced whole, in one step where the file system
 * can, and removed. */
Status replace_folder(Arena *a, const char *temporary, const char *final, Err *e);
/* fsync of a folder, so that a rename inside it is durable. */
Status sync_folder(const char *path, Err *e);
/* sync_folder of the folder that holds path; the message begins with path. */
Status sync_folder_of(const char *path, Err *e);
/* Names in a folder, sorted bytewise, without "." and "..". */
Status list_folder(Arena *a, const char *path, char ***names, size_t *n, Err *e);
/* Bytes free for this user on the file system that holds path (or its nearest existing parent). */
Status free_bytes(const char *path, uint64_t *out, Err *e);

#endif
