/* data_context.c: see data_context.h. */
#include "train/data_context.h"

#include "base/file.h"
#include "train/tokenizer_load.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TEMPLATE_MAX = 1 << 22, NOON_S = 12 * 3600 };

bool day_seconds(const char *day, int64_t *out) {
    int year, month, date, n = 0;
    struct tm t = {0};
    if (sscanf(day, "%4d-%2d-%2d%n", &year, &month, &date, &n) != 3 || n != 10 || day[n] != 0) return false;
    t.tm_year = year - 1900, t.tm_mon = month - 1, t.tm_mday = date;
    time_t at = timegm(&t);
    /* a day that does not exist has become another one */
    if (t.tm_year != year - 1900 || t.tm_mon != month - 1 || t.tm_mday != date) return false;
    *out = (int64_t)at + NOON_S;
    return true;
}

void today(char text[16]) {
    time_t now = time(NULL);
    struct tm t;
    if (localtime_r(&now, &t) == NULL || strftime(text, 16, "%Y-%m-%d", &t) == 0) memcpy(text, "1970-01-01", 11);
}

Status recorded_day(Arena *a, const char *folder, char day[16], Err *e) {
    Config *before;
    char *path;
    int64_t unused;
    TRY(path_join(a, folder, "config.resolved.yaml", &path, e));
    if (!path_exists(path)) return OK;
    Status st = config_load(a, path, NULL, 0, &before, e);
    if (st == ERR_OOM) return st;
    if (st != OK || !day_seconds(config_string(before, "template_date"), &unused)) return OK;
    snprintf(day, 16, "%s", config_string(before, "template_date"));
    return OK;
}

static Status open_chat(Arena *a, const char *base, const char *file, const char *day, DataContext *dc, Err *e) {
    Chat *chat;
    int64_t now;
    if (!day_seconds(day, &now)) FAIL(e, ERR_CONFIG, "template_date: got '%.40s', expected a day as YYYY-MM-DD", day);
    if (file != NULL && *file != 0) {
        char *text;
        size_t len;
        Status st = file_read(a, file, TEMPLATE_MAX, &text, &len, e);
        if (st == OK) st = chat_open(a, file, (TokenText){text, len}, dc->tokenizer, now, &chat, e);
        if (st != OK) return err_prefix(e, st, "chat_template");
        dc->chat = chat;
        dc->chat_from = file;
        return OK;
    }
    dc->no_chat = "the base has none; chat_template: FILE gives one";
    Err none;
    Status st = chat_open_own(a, base, dc->tokenizer, now, &chat, &none);
    if (st != OK || chat != NULL) dc->chat_from = base;
    if (st == ERR_OOM) *e = none;
    if (st == ERR_OOM) return st;
    if (st == OK) {
        dc->chat = chat;
        return OK;
    }
    char *why;
    TRY(arena_printf(a, &why, e, "the base's own cannot be read (%s); chat_template: FILE gives another",
                     none.message));
    dc->no_chat = why;
    dc->chat_unreadable = true;
    return OK;
}

static Status hash_sources(Arena *work, const char *base, const char *template_file, Hash128 *out, Err *e) {
    Hasher *h;
    Hash128 source;
    char *text = "";
    size_t len = 0;
    TRY(tokenizer_source_hash(work, base, &source, e));
    TRY(hasher_open(work, &h, e));
    hasher_add(h, &source, sizeof source);
    if (template_file != NULL && *template_file != 0) {
        Status st = file_read(work, template_file, TEMPLATE_MAX, &text, &len, e);
        if (st != OK) return err_prefix(e, st, "chat_template");
    }
    hasher_add(h, text, len);
    *out = hasher_value(h);
    return OK;
}

/* What ids follow from besides the rows and the day. */
static Status sources_hash(const char *base, const char *template_file, Hash128 *out, Err *e) {
    Arena *work;
    TRY(arena_open(&work, "tokenizer identity", e));
    Status st = hash_sources(work, base, template_file, out, e);
    arena_close(work);
    return st;
}

/* Prepared data are found by it. */
static Hash128 identity_of(Hash128 sources, const char *day) {
    char text[sizeof sources + 16] = {0};
    memcpy(text, &sources, sizeof sources);
    snprintf(text + sizeof sources, sizeof text - sizeof sources, "%s", day);
    return hash128(text, sizeof text);
}

Status data_context_open(Arena *a, const char *base, const char *template_file, const char *day, DataContext *out,
                         Err *e) {
    Hash128 before, after;
    TRY(sources_hash(base, template_file, &before, e));
    TRY(tokenizer_load(a, base, &out->tokenizer, e));
    TRY(open_chat(a, base, template_file, day, out, e));
    TRY(sources_hash(base, template_file, &after, e));
    if (memcmp(&before, &after, sizeof before) != 0)
        FAIL(e, ERR_IO, "%s: the tokenizer or the template was changed while it was read; start again", base);
    out->identity = identity_of(after, out->chat != NULL && chat_reads_clock(out->chat) ? day : "");
    return OK;
}

Status data_source_of(const Config *c, const char *list, int64_t i, DataSource *out, Err *e) {
    const char *eos = config_dataset(c, list, i, "train_on_eos");
    *out = (DataSource){.path = config_dataset(c, list, i, "path"), .type = config_dataset(c, list, i, "type")};
    TRY(config_dataset_where(c, list, i, "type", &out->where, e));
    for (int f = 0; f < FIELD_COUNT; f++) {
        char key[64];
        snprintf(key, sizeof key, "field_%s", FIELD_NAMES[f]);
        out->fields[f] = config_dataset(c, list, i, key);
    }
    out->training = (ChatTraining){.roles = config_dataset(c, list, i, "roles_to_train"),
                                   .inputs = config_bool(c, "train_on_inputs")};
    if (eos != NULL && !chat_eos_find(eos, &out->training.eos)) {
        const char *where;
        TRY(config_dataset_where(c, list, i, "train_on_eos", &where, e));
        FAIL(e, ERR_CONFIG, "%s: train_on_eos: got '%.40s', expected turn, all, last or none", where, eos);
    }
    return OK;
}

void data_tell_types(Log *log, const Dataset *d) {
    for (int i = 0, end; i < d->n_sources; i = end) {
        end = i + 1;
        if (d->found_by[i] == NULL) continue;
        while (end < d->n_sources && d->entries[end] == d->entries[i] && d->found_by[end] != NULL &&
               d->types[end] == d->types[i] && strcmp(d->found_by[end], d->found_by[i]) == 0)
            end++;
        char more[40] = "";
        if (end > i + 1) snprintf(more, sizeof more, " and %d more", end - i - 1);
        log_note(log, "%s%s: rows of type %s (detected from the fields %s)", d->paths[i], more, d->types[i],
                 d->found_by[i]);
    }
}

void data_warn_bare(Log *log, const Dataset *d, const DataContext *dc) {
    int64_t rows = 0;
    int first = -1;
    for (int i = 0; i < d->n_sources; i++) {
        rows += d->bare[i];
        if (first < 0 && d->bare[i] > 0) first = i;
    }
    if (rows == 0 || dc->chat_from == NULL) return;
    log_warn(
        log,
        "%s: %lld rows are a bare prompt and completion, but the model has a chat template (in %s), which whatever serves it "
        "will put around the prompt; write the rows as messages (type chat) or as instruction and output (type alpaca), or "
        "ignore this if the model will be used without its template",
        d->paths[first], (long long)rows, dc->chat_from);
}
