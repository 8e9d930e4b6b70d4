/* generate.c: see generate.h. */
#include "train/generate.h"

#include "base/signals.h"
#include "base/utf8.h"

#include <string.h>

const char *stop_reason_name(StopReason r) {
    static const char *const NAMES[] = {"end", "stop_string", "length", "context"};
    return NAMES[r];
}

/* Where the earliest stop string begins at or after `from`, or len. */
static size_t find_stop(const GenerateOptions *o, const Buf *text, size_t from) {
    size_t best = text->len;
    for (int i = 0; i < o->n_stops; i++) {
        size_t n = strlen(o->stops[i]);
        for (size_t at = from; n > 0 && at + n <= text->len && at < best; at++) {
            if (memcmp(text->data + at, o->stops[i], n) == 0) best = at;
        }
    }
    return best;
}

/* The length of the text that further tokens cannot change: no incomplete character, no beginning of a stop string. */
static size_t settled(const GenerateOptions *o, const Buf *text) {
    size_t end = text->len;
    for (size_t back = 1; back <= 3 && back <= text->len; back++) {
        unsigned char c = (unsigned char)text->data[text->len - back];
        if ((c & 0xC0) == 0x80) continue;
        size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
        if (need > back) end = text->len - back;
        break;
    }
    for (int i = 0; i < o->n_stops; i++) {
        size_t n = strlen(o->stops[i]);
        for (size_t k = n > 0 ? n - 1 : 0; k > 0; k--) {
            if (k > text->len || memcmp(text->data + text->len - k, o->stops[i], k) != 0) continue;
            if (text->len - k < end) end = text->len - k;
            break;
        }
    }
    return end;
}

static Status emit(GenerateSink sink, void *ctx, const Buf *text, size_t *sent, size_t end, Err *e) {
    if (sink == NULL || end <= *sent) return OK;
    TRY(sink(ctx, text->data + *sent, end - *sent, e));
    *sent = end;
    return OK;
}

/* Takes one token into the answer; *done when the answer is complete. */
static Status take(const Tokenizer *tok, const GenerateOptions *o, int32_t id, Generated *out, bool *done, Err *e) {
    size_t before = out->text.len, longest = 0;
    for (int i = 0; i < o->n_stops; i++) {
        if (strlen(o->stops[i]) > longest) longest = strlen(o->stops[i]);
    }
    TokenText piece = tokenizer_piece(tok, id, false, true);
    TRY(buf_add(&out->text, piece.s, piece.len, e));
    size_t stop = find_stop(o, &out->text, before > longest ? before - longest : 0);
    if (stop < out->text.len) {
        out->text.len = stop;
        out->text.data[stop] = 0;
        out->reason = STOP_STRING;
        *done = true;
    }
    return OK;
}

static Status answer(Decoder *d, const Tokenizer *tok, Sampler *sampler, const GenerateOptions *o, GenerateSink sink,
                     void *ctx, Generated *out, Err *e) {
    size_t sent = 0;
    bool done = false;
    out->reason = STOP_LENGTH;
    while (!done && out->tokens < o->max_tokens) {
        int32_t id;
        if (stop_requested()) FAIL(e, ERR_STOPPED, "stopped after %lld tokens", (long long)out->tokens);
        TRY(sampler_next(sampler, d->logits, decoder_length(d), &id, e));
        if (tokenizer_is_end(tok, id)) {
            out->reason = STOP_END;
            break;
        }
        out->tokens++;
        TRY(take(tok, o, id, out, &done, e));
        TRY(emit(sink, ctx, &out->text, &sent, done ? out->text.len : settled(o, &out->text), e));
        if (done || out->tokens == o->max_tokens) break;
        if (decoder_length(d) == d->cache.capacity) {
            out->reason = STOP_CONTEXT;
            break;
        }
        TRY(decoder_feed(d, &id, 1, e));
    }
    return emit(sink, ctx, &out->text, &sent, out->text.len, e);
}

Status generate(Decoder *d, const Tokenizer *tok, Arena *a, const char *prompt, size_t len, const GenerateOptions *o,
                GenerateSink sink, void *ctx, Generated *out, Err *e) {
    int32_t *ids;
    size_t n;
    Sampler *sampler;
    *out = (Generated){.text = {.arena = a}};
    TRY(buf_add(&out->text, "", 0, e));
    TRY(sampler_open(a, &o->sampling, d->session->model->config.vocab_size, &sampler, e));
    TRY(tokenizer_encode(tok, a, prompt, len, TOKENIZER_SPECIAL | TOKENIZER_BOS, &ids, &n, e));
    if (n == 0) FAIL(e, ERR_DATA, "the prompt is empty; this model needs at least one token to go on from");
    for (size_t i = 0; i < n; i++) {
        if (ids[i] >= d->session->model->config.vocab_size)
            FAIL(e, ERR_DATA, "the tokenizer's id %d is not in the model's vocabulary", (int)ids[i]);
    }
    decoder_reset(d);
    double begin = clock_s();
    TRY(decoder_feed(d, ids, (int64_t)n, e));
    out->prompt_tokens = (int64_t)n;
    out->prompt_s = clock_since(begin);
    begin = clock_s();
    TRY(answer(d, tok, sampler, o, sink, ctx, out, e));
    out->answer_s = clock_since(begin);
    return OK;
}
