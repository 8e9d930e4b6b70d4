/* gemm_mask.c: the dropout mask (struct Dropout in backend.h), CPU_VW draws of four elements at a time. The numbers are
 * those of philox4x32 in base/rng.h, bit for bit. */
#include "kernels/cpu/gemm.h"

#include "base/rng.h"

/* Draws that wait for a full vector: their counters, and where the four elements of each go. */
typedef struct Draws {
    uint32_t token_low[CPU_VW], token_high[CPU_VW], group[CPU_VW];
    float *to[CPU_VW];
    int n;
} Draws;

static void draw(Draws *d, const GemmMask *mask) {
    uint32_t k0 = (uint32_t)mask->key, k1 = (uint32_t)(mask->key >> 32);
    vu c[4];
    memcpy(&c[0], d->token_low, sizeof c[0]);
    memcpy(&c[1], d->token_high, sizeof c[1]);
    memcpy(&c[2], d->group, sizeof c[2]);
    c[3] = (vu){0};
    for (int round = 0; round < 10; round++) {
        vu high0, low0, high1, low1;
        vu_multiply_wide(c[0], 0xD2511F53u, &high0, &low0);
        vu_multiply_wide(c[2], 0xCD9E8D57u, &high1, &low1);
        c[0] = high1 ^ c[1] ^ k0;
        c[2] = high0 ^ c[3] ^ k1;
        c[1] = low1;
        c[3] = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    vf kept = vf_set1((float)(1.0 / (1.0 - (double)mask->p)));
    float factor[4][CPU_VW];
    for (int j = 0; j < 4; j++) {
        vf unit = __builtin_convertvector((vi)(c[j] >> 8), vf) * 0x1p-24f;
        vf_store(factor[j], vf_select((vi)(unit >= mask->p), kept, (vf){0}));
    }
    for (int i = 0; i < d->n; i++)
        for (int j = 0; j < 4; j++) d->to[i][j] = factor[j][i];
    d->n = 0;
}

void gemm_mask_rows(float *m, int64_t stride, const GemmMask *mask, int64_t t0, int64_t rows, int64_t k0, int64_t n) {
    Draws d = {.n = 0};
    for (int64_t r = 0; r < rows; r++) {
        uint64_t token = mask->token[t0 + r];
        for (int64_t i = 0; i < n; i += 4) {
            d.token_low[d.n] = (uint32_t)token;
            d.token_high[d.n] = (uint32_t)(token >> 32);
            d.group[d.n] = (uint32_t)((k0 + i) / 4);
            d.to[d.n++] = m + r * stride + i;
            if (d.n == CPU_VW) draw(&d, mask);
        }
    }
    if (d.n > 0) draw(&d, mask);
}
