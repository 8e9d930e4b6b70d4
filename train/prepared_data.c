/* prepared_data.c: see prepared_data.h. */
#include "train/prepared_data.h"

#include <stdio.h>
#include <string.h>

/* Told once a block of rows. */
static void show_progress(void *ctx, const char *path, double done) { log_bar(ctx, done, "reading %s", path); }

Status prepared_data_open(Arena *a, const Config *c, Log *log, int n_sets, bool write, PreparedData *out,
                          DataContext *context, Err *e) {
    const char *given = config_string(c, "dataset_prepared_path");
    char *path;
    *out = (PreparedData){.log = log, .own = *given == 0};
    TRY(path_join(a, config_string(c, "output_dir"), PREPARED_FOLDER, &path, e));
    TRY(arena_alloc(a, (size_t)n_sets, sizeof *out->used, &out->used, e));
    out->folder = (PreparedFolder){.path = *given == 0 ? path : given, .write = write};
    context->prepared = &out->folder;
    context->progress = show_progress;
    context->ctx = log;
    return OK;
}

Status prepared_data_load(PreparedData *p, Arena *a, const DataSource *sources, int n, const DataContext *context,
                          Dataset *out, Err *e) {
    PreparedFolder *f = &p->folder;
    f->key[0] = 0;
    Status st = dataset_load(a, sources, n, context, out, e);
    log_bar_end(p->log);
    TRY(st);
    memcpy(p->used[p->n_used++], f->key, sizeof f->key);
    if (f->damage[0] != 0) log_warn(p->log, "%s; it is %s", f->damage, f->write ? "written anew" : "not used");
    if (f->found)
        log_note(p->log, "%s: prepared data of %s", f->path, out->paths[0]);
    else if (f->write)
        log_note(p->log, "%s: %s was read and prepared for the next time", f->path, out->paths[0]);
    return OK;
}

static bool is_used(const PreparedData *p, const char *name) {
    for (int i = 0; i < p->n_used; i++) {
        if (strncmp(name, p->used[i], HASH_HEX_BYTES - 1) == 0) return true;
    }
    return false;
}

/* "0123456789abcdef0123456789abcdef.h5" */
static bool is_prepared_name(const char *name) {
    size_t hex = strspn(name, "0123456789abcdef");
    return hex == HASH_HEX_BYTES - 1 && strcmp(name + hex, ".h5") == 0;
}

static Status remove_unused(const PreparedData *p, Arena *work, Err *e) {
    char **names, *path;
    size_t n;
    Status st = list_folder(work, p->folder.path, &names, &n, e);
    if (st == ERR_IO && e->gone) return OK; /* another process removed it */
    TRY(st);
    for (size_t i = 0; i < n; i++) {
        if (!is_prepared_name(names[i]) || is_used(p, names[i])) continue;
        TRY(path_join(work, p->folder.path, names[i], &path, e));
        TRY(remove_tree(path, e));
    }
    return OK;
}

Status prepared_data_clean(PreparedData *p, Err *e) {
    Arena *work;
    if (!p->own || !p->folder.write) return OK;
    TRY(arena_open(&work, "prepared data", e));
    Status st = remove_unused(p, work, e);
    arena_close(work);
    return st;
}
