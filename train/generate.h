/* generate.h: one prompt to one answer: encode, decode token by token, stop. */
#ifndef LORAC_TRAIN_GENERATE_H
#define LORAC_TRAIN_GENERATE_H

#include "base/buf.h"
#include "data/tokenizer.h"
#include "train/decode.h"

typedef enum StopReason { STOP_END, STOP_STRING, STOP_LENGTH, STOP_CONTEXT } StopReason;

typedef struct GenerateOptions {
    int64_t max_tokens;
    Sampling sampling;
    const char *const *stops; /* the answer ends before the first of these */
    int n_stops;
} GenerateOptions;

typedef struct Generated {
    Buf text; /* without the prompt and the stop string; valid UTF-8 unless the model ends within a character */
    int64_t prompt_tokens, tokens;
    double prompt_s, answer_s;
    StopReason reason;
} Generated;

/* Gets the next bytes that can no longer change: whole characters, and no beginning of a stop string. */
typedef Status (*GenerateSink)(void *ctx, const char *bytes, size_t n, Err *e);

/* The prompt is encoded as at training: BOS iff the model wants one, special tokens parsed. sink may be NULL. out->text
 * lives in the arena. A prompt that does not fit the context is ERR_DATA; a stop request ends with ERR_STOPPED. */
Status generate(Decoder *d, const Tokenizer *tok, Arena *a, const char *prompt, size_t len, const GenerateOptions *o,
                GenerateSink sink, void *ctx, Generated *out, Err *e);

const char *stop_reason_name(StopReason r);

#endif
