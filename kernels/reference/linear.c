/* linear.c: a group of linear layers on one input, each with its LoRA branch, forward and backward. */
#include "kernels/reference/reference.h"

/* U = scale * drop(X) * A^T. */
static void adapter_down(const LinearPart *p, const void *X, const Dropout *drop, int64_t T, int64_t K, DType dt) {
    for (int64_t t = 0; t < T; t++)
        for (int64_t j = 0; j < p->r; j++) {
            double sum = 0.0;
            for (int64_t k = 0; k < K; k++)
                sum += reference_load(X, t * K + k, dt) * reference_dropout(drop, p->drop_key, t, k) *
                       (double)p->A[j * K + k];
            p->U[t * p->r + j] = (float)((double)p->scale * sum);
        }
}

/* (U * B^T)[t,n], 0 without an adapter. */
static double adapter_up(const LinearPart *p, int64_t t, int64_t n) {
    if (p->A == NULL) return 0.0;
    double sum = 0.0;
    for (int64_t j = 0; j < p->r; j++) sum += (double)p->U[t * p->r + j] * (double)p->B[n * p->r + j];
    return sum;
}

/* One row of W. */
int64_t reference_linear_forward_workspace(const Stream *s, const LinearPart *parts, int n_parts, int64_t T, int64_t K,
                                           DType dt) {
    (void)s;
    (void)parts;
    (void)n_parts;
    (void)T;
    (void)dt;
    return K * (int64_t)sizeof(float);
}

void reference_linear_forward(Stream *s, void *ws, const LinearPart *parts, int n_parts, const void *R, const void *X,
                              const Dropout *drop, int64_t T, int64_t K, DType dt) {
    (void)s;
    float *row = ws;
    for (int i = 0; i < n_parts; i++) {
        const LinearPart *p = &parts[i];
        if (p->A != NULL) adapter_down(p, X, drop, T, K, dt);
        for (int64_t n = 0; n < p->N; n++) {
            reference_row(row, p->W, n, K, p->wt);
            for (int64_t t = 0; t < T; t++) {
                double sum = 0.0;
                for (int64_t k = 0; k < K; k++) sum += reference_load(X, t * K + k, dt) * (double)row[k];
                sum += adapter_up(p, t, n);
                if (R != NULL) sum += reference_load(R, t * p->N + n, dt);
                reference_store(p->Y, t * p->N + n, sum, dt);
            }
        }
    }
}

/* dU = scale * dY * B. */
static void adapter_up_backward(const LinearPart *p, int64_t T, DType dt) {
    for (int64_t t = 0; t < T; t++)
        for (int64_t j = 0; j < p->r; j++) {
            double sum = 0.0;
            for (int64_t n = 0; n < p->N; n++)
                sum += reference_load(p->dY, t * p->N + n, dt) * (double)p->B[n * p->r + j];
            p->dU[t * p->r + j] = (float)((double)p->scale * sum);
        }
}

/* sums += unmask(dU * A). */
static void adapter_down_backward(double *sums, const LinearPart *p, const Dropout *drop, int64_t T, int64_t K) {
    for (int64_t t = 0; t < T; t++)
        for (int64_t k = 0; k < K; k++) {
            double sum = 0.0;
            for (int64_t j = 0; j < p->r; j++) sum += (double)p->dU[t * p->r + j] * (double)p->A[j * K + k];
            sums[t * K + k] += sum * reference_dropout(drop, p->drop_key, t, k);
        }
}

/* The sums of dX (T,K) f64, then one row of W. */
int64_t reference_linear_backward_workspace(const Stream *s, const LinearPart *parts, int n_parts, int64_t T, int64_t K,
                                            DType dt) {
    (void)s;
    (void)parts;
    (void)n_parts;
    (void)dt;
    return T * K * (int64_t)sizeof(double) + K * (int64_t)sizeof(float);
}

void reference_linear_backward(Stream *s, void *ws, void *dX, const LinearPart *parts, int n_parts, const Dropout *drop,
                               float beta, int64_t T, int64_t K, DType dt) {
    (void)s;
    for (int i = 0; i < n_parts; i++)
        if (parts[i].A != NULL) adapter_up_backward(&parts[i], T, dt);
    if (dX == NULL) return;

    double *sums = ws;
    float *row = (float *)(sums + T * K);
    for (int64_t i = 0; i < T * K; i++) sums[i] = 0.0;
    for (int i = 0; i < n_parts; i++) {
        const LinearPart *p = &parts[i];
        for (int64_t n = 0; n < p->N; n++) {
            reference_row(row, p->W, n, K, p->wt);
            for (int64_t t = 0; t < T; t++) {
                double dy = reference_load(p->dY, t * p->N + n, dt);
                for (int64_t k = 0; k < K; k++) sums[t * K + k] += dy * (double)row[k];
            }
        }
        if (p->A != NULL) adapter_down_backward(sums, p, drop, T, K);
    }
    for (int64_t i = 0; i < T * K; i++) reference_store(dX, i, reference_add(dX, i, beta, sums[i], dt), dt);
}
