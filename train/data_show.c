/* data_show.c: lorac data show: rows as text with what is trained marked, token by token, or as JSON. */
#include "train/data_commands.h"

#include "base/json.h"
#include "base/utf8.h"
#include "data/tokenizer.h"

#include <string.h>

/* The row's ids and flags as training sees them. */
typedef struct Shown {
    const int32_t *ids;
    const uint8_t *trained;
    size_t n;
} Shown;

static Status shown_row(Trainer *t, const Dataset *d, const DataRow *r, Shown *out, Err *e) {
    int32_t *ids;
    uint8_t *trained;
    *out = (Shown){d->ids + r->start, d->trained + r->start, (size_t)r->length};
    if (r->edits == 0 && r->context == 0) return OK;
    TRY(ARENA_NEW(t->save, r->length, ids, e));
    TRY(ARENA_NEW(t->save, r->length, trained, e));
    for (int64_t i = 0; i < r->length; i++) {
        ids[i] = dataset_id(d, r, i);
        trained[i] = dataset_is_trained(d, r, i);
    }
    *out = (Shown){ids, trained, (size_t)r->length};
    return OK;
}

/* ---- JSON --------------------------------------------------------------------------------------------------------- */

static Status put_row_text(Trainer *t, const Shown *s, Buf *b, Err *e) {
    char *text = "";
    size_t len = 0;
    if (t->tokenizer != NULL) TRY(tokenizer_decode(t->tokenizer, t->save, s->ids, s->n, false, &text, &len, e));
    return json_put_string(b, text, len, e);
}

static Status show_json(Trainer *t, const Dataset *d, const DataRow *r, const Shown *s, Err *e) {
    Buf b = {.arena = t->save};
    const char *path = d->paths[r->source];
    TRY(buf_puts(&b, "{\"dataset\":", e));
    TRY(json_put_string(&b, path, strlen(path), e));
    TRY(json_put_int_member(&b, "line", r->line, e));
    if (dataset_element(d, r) > 0) TRY(json_put_int_member(&b, "element", dataset_element(d, r), e));
    if (r->side != SIDE_NONE) TRY(buf_printf(&b, e, ",\"side\":\"%s\"", SIDE_NAMES[r->side]));
    TRY(buf_puts(&b, ",\"text\":", e));
    TRY(put_row_text(t, s, &b, e));
    TRY(data_put_tokens(&b, s->ids, s->trained, s->n, e));
    fprintf(t->ctx->log.out, "%s}\n", b.data);
    return OK;
}

/* ---- for the eye -------------------------------------------------------------------------------------------------- */

static void put_head(const Trainer *t, const Dataset *d, const DataRow *r) {
    FILE *out = t->ctx->log.out;
    int64_t free_labels = dataset_free_labels(d, r);
    char place[1024];
    fprintf(out, "%s  %d tokens, %d trained", dataset_place(d, r, place, sizeof place), r->length, r->trained);
    if (free_labels > 0) fprintf(out, " (%lld towards a label that is another id)", (long long)free_labels);
    if (r->side != SIDE_NONE) fprintf(out, ", %s", SIDE_NAMES[r->side]);
    fputc('\n', out);
}

/* Text as a terminal may see it: bytes that are no UTF-8 as U+FFFD, control characters but tab and newline as their picture. */
static void put_safe(FILE *out, const char *s, size_t len) {
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        int n = utf8_decode(s + i, len - i, &cp);
        if (n == 0)
            fputs("\xEF\xBF\xBD", out);
        else if ((cp < 0x20 && cp != '\n' && cp != '\t') || cp == 0x7F)
            fprintf(out, "\xE2\x90%c", cp == 0x7F ? 0xA1 : (int)(0x80 + cp));
        else if (cp >= 0x80 && cp < 0xA0)
            fprintf(out, "<U+%04X>", cp);
        else
            fwrite(s + i, 1, (size_t)n, out);
        i += n == 0 ? 1 : (size_t)n;
    }
}

/* How a run of tokens of one kind is marked. */
typedef struct Mark {
    const char *on, *off;
} Mark;

static Mark mark_of(const Log *log, bool trained, bool special) {
    static const Mark COLORED[2][2] = {{{"", ""}, {"\033[35m", "\033[0m"}},
                                       {{"\033[32m", "\033[0m"}, {"\033[1;32m", "\033[0m"}}};
    static const Mark PLAIN[2] = {{"", ""}, {"[", "]"}};
    return log->color ? COLORED[trained][special] : PLAIN[trained];
}

static bool is_special(const Trainer *t, int32_t id) {
    return t->tokenizer != NULL && tokenizer_is_special(t->tokenizer, id);
}

/* Runs of trained and untrained, special and other tokens. */
static Status show_text(Trainer *t, const Shown *s, Err *e) {
    FILE *out = t->ctx->log.out;
    bool color = t->ctx->log.color;
    for (size_t i = 0; i < s->n;) {
        size_t begin = i;
        const int32_t *ids = s->ids;
        const uint8_t *trained = s->trained;
        Buf text = {.arena = t->save};
        for (; i < s->n && trained[i] == trained[begin]; i++) {
            if (color && is_special(t, ids[i]) != is_special(t, ids[begin])) break;
            if (t->tokenizer == NULL) continue;
            TokenText piece = tokenizer_piece(t->tokenizer, ids[i], i == 0, false);
            TRY(buf_add(&text, piece.s, piece.len, e));
        }
        Mark mark = mark_of(&t->ctx->log, trained[begin] != 0, color && is_special(t, ids[begin]));
        fputs(mark.on, out);
        put_safe(out, text.data, text.len);
        fputs(mark.off, out);
    }
    fputs("\n\n", out);
    return OK;
}

/* Position, id, what the token is, and its text as a JSON string: bytes that are a part of a character only are U+FFFD in it. */
static Status show_ids(Trainer *t, const Dataset *d, const DataRow *r, const Shown *s, Err *e) {
    FILE *out = t->ctx->log.out;
    const int32_t *own = d->ids + r->start, *labels = dataset_labels(d, r);
    for (size_t i = 0; i < s->n; i++) {
        int32_t id = s->ids[i];
        bool trained = s->trained[i] != 0;
        Buf text = {.arena = t->save};
        TokenText piece = {"", 0};
        if (t->tokenizer != NULL) piece = tokenizer_piece(t->tokenizer, id, i == 0, false);
        TRY(json_put_string(&text, piece.s, piece.len, e));
        Mark mark = mark_of(&t->ctx->log, trained, is_special(t, id));
        if (!t->ctx->log.color) mark = (Mark){"", ""};
        fprintf(out, "%6zu %8d  %-7s  %s%s%s%s", i, id, trained ? "trained" : "", mark.on, text.data, mark.off,
                is_special(t, id) ? "  special" : "");
        if (trained && labels != own && labels[i] != id) fprintf(out, "  label %d", labels[i]);
        fputc('\n', out);
    }
    fputc('\n', out);
    return OK;
}

Status data_show(Trainer *t, const Args *args, Err *e) {
    const Dataset *d = &t->train;
    int64_t only = -1;
    bool found = false;
    bool json = args_has(args, "--json"), ids = args_has(args, "--ids");
    if (json && ids) FAIL(e, ERR_USAGE, "--json has the ids already; --ids is for reading");
    TRY(args_int(args, "--row", 0, INT64_MAX, &only, e));
    int64_t rows = d->n_rows > 0 ? (int64_t)d->rows[d->n_rows - 1].number + 1 : 0; /* a pair is one */
    if (only >= rows) FAIL(e, ERR_USAGE, "--row %lld: there are %lld rows, from 0", (long long)only, (long long)rows);
    for (int64_t i = 0; i < d->n_rows; i++) {
        const DataRow *r = &d->rows[i];
        ArenaMark mark = arena_mark(t->save);
        Shown s;
        if (only >= 0 && r->number != only) continue;
        found = true;
        TRY(shown_row(t, d, r, &s, e));
        if (!json) put_head(t, d, r);
        TRY(json ? show_json(t, d, r, &s, e) : ids ? show_ids(t, d, r, &s, e) : show_text(t, &s, e));
        arena_reset(t->save, mark);
    }
    if (only >= 0 && !found)
        FAIL(e, ERR_USAGE, "--row %lld: this row is left out (excess_length_strategy: drop)", (long long)only);
    return OK;
}
