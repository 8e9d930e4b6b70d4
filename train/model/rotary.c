/* rotary.c: frequencies and tables; formulas of Hugging Face's modeling_rope_utils.py (default, linear, llama3). */
#include "train/model/rotary.h"

#include <math.h>

static float llama3_scaled(const RopeConfig *r, float inv) {
    double wavelength = 2.0 * 3.14159265358979323846 / (double)inv;
    double original = (double)r->original_max_positions;
    double low = original / r->low_freq_factor, high = original / r->high_freq_factor;
    if (wavelength < high) return inv;
    if (wavelength > low) return (float)((double)inv / r->factor);
    double smooth = (original / wavelength - r->low_freq_factor) / (r->high_freq_factor - r->low_freq_factor);
    return (float)((1.0 - smooth) * (double)inv / r->factor + smooth * (double)inv);
}

void rotary_frequencies(const RopeConfig *rope, int64_t head_dim, float *inv_freq) {
    for (int64_t i = 0; i < head_dim / 2; i++) {
        float exponent = (float)(2 * i) / (float)head_dim;
        float inv = 1.0f / (float)pow(rope->theta, (double)exponent);
        if (rope->scaling == ROPE_SCALING_LINEAR) inv = (float)((double)inv / rope->factor);
        if (rope->scaling == ROPE_SCALING_LLAMA3) inv = llama3_scaled(rope, inv);
        if (rope->divisors != NULL) inv /= rope->divisors[i];
        inv_freq[i] = inv;
    }
}

Status rotary_tables(Arena *a, const RopeConfig *rope, int64_t head_dim, int64_t positions, float **cos_out,
                     float **sin_out, Err *e) {
    int64_t half = head_dim / 2;
    float *inv;
    TRY(ARENA_NEW(a, half, inv, e));
    TRY(arena_alloc(a, (size_t)(positions * half), sizeof(float), cos_out, e));
    TRY(arena_alloc(a, (size_t)(positions * half), sizeof(float), sin_out, e));
    rotary_frequencies(rope, head_dim, inv);
    for (int64_t p = 0; p < positions; p++) {
        for (int64_t i = 0; i < half; i++) {
            double angle = (double)((float)p * inv[i]);
            (*cos_out)[p * half + i] = (float)cos(angle);
            (*sin_out)[p * half + i] = (float)sin(angle);
        }
    }
    return OK;
}
