/* decode.h: generating tokens with a KV cache: prompt in batches, then one token at a time. */
#ifndef LORAC_TRAIN_DECODE_H
#define LORAC_TRAIN_DECODE_H

#include "train/sampling.h"
#include "train/session.h"

typedef struct Decoder {
    const Session *session;
    const AdapterSet *adapters; /* NULL: base */
    Arena *arena;               /* cache, logits, batch arrays */
    Runner prompt, single;
    KvCache cache;
    float *logits; /* (V) of the last token */
    int64_t batch; /* tokens of one prompt batch */
    int32_t *pos, *cu, *index;
} Decoder;

/* capacity: most tokens of prompt and answer together (at most the model's positions). ad may be NULL. */
Status decoder_open(const Session *s, const Adapter *ad, int64_t capacity, Decoder *d, Err *e);
void decoder_close(Decoder *d);

/* Appends n tokens to the sequence and leaves the logits after the last in d->logits. More than the capacity holds:
 * ERR_DATA. */
Status decoder_feed(Decoder *d, const int32_t *ids, int64_t n, Err *e);
/* Starts a new sequence. */
void decoder_reset(Decoder *d);
/* Tokens in the sequence. */
int64_t decoder_length(const Decoder *d);

#endif
