/* lora.c: gradients of the adapters folded into the row tree, the fold of the tree, and the merge into weights. */
#include "kernels/reference/reference.h"

/* The step of the binary counter for one element: G is the sum of row `index` alone; the complete runs it closes are
 * added from the smallest up, in f32, and the result is stored one level above them. */
static void tree_add(float *tree, int64_t level_stride, int64_t index, double G) {
    float sum = (float)G;
    while ((index & 1) != 0) {
        sum += *tree;
        tree += level_stride;
        index >>= 1;
    }
    *tree = sum;
}

int64_t reference_lora_grad_workspace(const Stream *s, const LinearPart *parts, int n_parts, int64_t T, int64_t K,
                                      DType dt) {
    (void)s;
    (void)parts;
    (void)n_parts;
    (void)T;
    (void)K;
    (void)dt;
    return 0;
}

/* GA[j,k] = sum_t dU[t,j] * drop(X)[t,k] over the tokens of one row. */
static void grad_A(const LinearPart *p, const void *X, const Dropout *drop, const RowSpan *row, int64_t level_stride,
                   int64_t K, DType dt) {
    for (int64_t j = 0; j < p->r; j++)
        for (int64_t k = 0; k < K; k++) {
            double sum = 0.0;
            for (int64_t t = row->begin; t < row->end; t++)
                sum += (double)p->dU[t * p->r + j] * reference_load(X, t * K + k, dt) *
                       reference_dropout(drop, p->drop_key, t, k);
            tree_add(p->dA + j * K + k, level_stride, row->index, sum);
        }
}

/* GB[n,j] = sum_t dY[t,n] * U[t,j] over the tokens of one row. */
static void grad_B(const LinearPart *p, const RowSpan *row, int64_t level_stride, DType dt) {
    for (int64_t n = 0; n < p->N; n++)
        for (int64_t j = 0; j < p->r; j++) {
            double sum = 0.0;
            for (int64_t t = row->begin; t < row->end; t++)
                sum += reference_load(p->dY, t * p->N + n, dt) * (double)p->U[t * p->r + j];
            tree_add(p->dB + n * p->r + j, level_stride, row->index, sum);
        }
}

void reference_lora_grad(Stream *s, void *ws, const LinearPart *parts, int n_parts, const void *X, const Dropout *drop,
                         const RowSpan *rows, int64_t n_rows, int64_t level_stride, int64_t T, int64_t K, DType dt) {
    (void)s;
    (void)ws;
    (void)T;
    for (int i = 0; i < n_parts; i++) {
        if (parts[i].A == NULL) continue;
        for (int64_t j = 0; j < n_rows; j++) {
            grad_A(&parts[i], X, drop, &rows[j], level_stride, K, dt);
            grad_B(&parts[i], &rows[j], level_stride, dt);
        }
    }
}

void reference_tree_fold(Stream *s, float *out, const float *tree, int64_t level_stride, int64_t n_rows, int64_t n) {
    (void)s;
    for (int64_t i = 0; i < n; i++) {
        const float *level = tree + i;
        int64_t rows = n_rows;
        for (; (rows & 1) == 0; rows >>= 1) level += level_stride; /* n_rows >= 1: a set bit exists */
        float sum = *level;
        for (rows >>= 1; rows != 0; rows >>= 1) {
            level += level_stride;
            if ((rows & 1) != 0) sum += *level;
        }
        out[i] = sum;
    }
}

void reference_lora_merge(Stream *s, float *Y, const void *W, const float *A, const float *B, float scale, int64_t row0,
                          int64_t rows, int64_t K, int64_t r, WType wt) {
    (void)s;
    for (int64_t i = 0; i < rows; i++) {
        float *y = Y + i * K;
        reference_row(y, W, row0 + i, K, wt);
        if (r == 0) continue;
        for (int64_t k = 0; k < K; k++) {
            double sum = 0.0;
            for (int64_t j = 0; j < r; j++) sum += (double)B[(row0 + i) * r + j] * (double)A[j * K + k];
            y[k] = (float)((double)y[k] + (double)scale * sum);
        }
    }
}
