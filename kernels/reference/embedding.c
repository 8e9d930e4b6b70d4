/* embedding.c: rows of the embedding table. */
#include "kernels/reference/reference.h"

enum { CHUNK = 256 }; /* a multiple of every format's block */

void reference_embedding_forward(Stream *s, void *y, const int32_t *ids, const void *w, int64_t T, int64_t C, WType wt,
                                 DType dt) {
    (void)s;
    const QuantTraits *traits = wtype_traits(wt);
    float chunk[CHUNK];
    for (int64_t t = 0; t < T; t++) {
        const uint8_t *row = (const uint8_t *)w + ids[t] * wtype_row_bytes(wt, C);
        for (int64_t c0 = 0; c0 < C; c0 += CHUNK) {
            int64_t n = C - c0 < CHUNK ? C - c0 : CHUNK;
            traits->unpack(chunk, row, c0, n);
            for (int64_t c = 0; c < n; c++) reference_store(y, t * C + c0 + c, (double)chunk[c], dt);
        }
    }
}
