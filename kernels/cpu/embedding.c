/* embedding.c: rows of the embedding table, unpacked by the format's own definition: a call reads T rows of V, so speed
 * does not matter and the result is exact. */
#include "kernels/cpu/level.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/spread.h"

enum { PIECE = 256 }; /* a multiple of every format's block */

typedef struct Embedding {
    void *y;
    const int32_t *ids;
    const uint8_t *w;
    int64_t C, row_bytes;
    const QuantTraits *traits;
    DType dt;
} Embedding;

static void embedding_rows(const void *ctx, int64_t begin, int64_t end) {
    const Embedding *e = ctx;
    float piece[PIECE];
    for (int64_t t = begin; t < end; t++) {
        const uint8_t *row = e->w + e->ids[t] * e->row_bytes;
        if (e->dt == DT_F32) {
            e->traits->unpack((float *)e->y + t * e->C, row, 0, e->C);
            continue;
        }
        for (int64_t c0 = 0; c0 < e->C; c0 += PIECE) {
            int64_t n = e->C - c0 < PIECE ? e->C - c0 : PIECE;
            e->traits->unpack(piece, row, c0, n);
            for (int64_t c = 0; c < n; c += CPU_VW) {
                int64_t lanes = n - c < CPU_VW ? n - c : CPU_VW;
                vf_store_n_dt(e->y, t * e->C + c0 + c, vf_load_n(piece + c, lanes), lanes, e->dt);
            }
        }
    }
}

void CPU_NAME(embedding_forward)(Stream *s, void *y, const int32_t *ids, const void *w, int64_t T, int64_t C, WType wt,
                                 DType dt) {
    Embedding e = {
        .y = y, .ids = ids, .w = w, .C = C, .row_bytes = wtype_row_bytes(wt, C), .traits = wtype_traits(wt), .dt = dt};
    spread_rows(s, T, C, embedding_rows, &e);
}
