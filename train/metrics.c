/* metrics.c: writing metrics.jsonl. See metrics.h. */
#include "train/metrics.h"

#include "base/json.h"
#include "base/log.h"

#include <math.h>
#include <string.h>

enum { LINE_BYTES = 4096, ESCAPED_BYTES = 6 }; /* without the name; a byte as \u00XX */

Status metrics_prepare(Arena *a, const char *output_dir, size_t longest_name, Metrics *m, Err *e) {
    *m = (Metrics){.file = {.fd = -1}, .line = {.arena = a}};
    TRY(path_join(a, output_dir, "metrics.jsonl", &m->path, e));
    return arena_grow(a, &m->line.data, &m->line.cap, 0, LINE_BYTES + ESCAPED_BYTES * longest_name, 1, e);
}

Status metrics_open(uint64_t keep_bytes, Metrics *m, Err *e) {
    TRY(append_open(m->path, (size_t)keep_bytes, &m->file, e));
    m->bytes = m->file.size;
    return OK;
}

static Status write_line(Metrics *m, Err *e) {
    TRY(buf_puts(&m->line, "}\n", e));
    TRY(append_write(&m->file, m->line.data, m->line.len, e));
    m->bytes += m->line.len;
    return OK;
}

Status metrics_step(Metrics *m, const StepMetrics *s, Err *e) {
    Buf *b = &m->line;
    char hex[HASH_HEX_BYTES];
    buf_clear(b);
    TRY(buf_puts(b, "{\"event\":\"step\"", e));
    TRY(json_put_int_member(b, "step", s->step, e));
    TRY(json_put_real_member(b, "epoch", s->epoch, e));
    TRY(json_put_real_member(b, "loss", s->loss, e));
    TRY(json_put_real_member(b, "learning_rate", s->learning_rate, e));
    TRY(json_put_real_member(b, "grad_norm", s->grad_norm, e));
    TRY(json_put_int_member(b, "tokens", s->tokens, e));
    TRY(json_put_int_member(b, "trained_tokens", s->trained_tokens, e));
    TRY(json_put_real_member(b, "tokens_per_second", s->seconds > 0.0 ? (double)s->tokens / s->seconds : 0.0, e));
    TRY(json_put_real_member(b, "elapsed_s", s->elapsed_s, e));
    TRY(json_put_int_member(b, "rss_bytes", (int64_t)rss_bytes(), e));
    hash_hex(s->state_hash, hex);
    TRY(buf_printf(b, e, ",\"state_hash\":\"%s\"", hex));
    return write_line(m, e);
}

Status metrics_eval(Metrics *m, const EvalMetrics *v, Err *e) {
    Buf *b = &m->line;
    buf_clear(b);
    TRY(buf_puts(b, "{\"event\":\"eval\"", e));
    TRY(json_put_int_member(b, "step", v->step, e));
    TRY(buf_puts(b, ",\"dataset\":", e));
    TRY(json_put_string(b, v->dataset, strlen(v->dataset), e));
    TRY(json_put_real_member(b, "loss", v->loss, e));
    TRY(json_put_real_member(b, "perplexity", exp(v->loss), e));
    TRY(json_put_int_member(b, "tokens", v->tokens, e));
    return write_line(m, e);
}

Status metrics_sync(Metrics *m, Err *e) { return append_sync(&m->file, e); }

void metrics_close(Metrics *m) { append_close(&m->file); }
