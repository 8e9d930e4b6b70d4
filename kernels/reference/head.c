/* head.c: output head: log-probabilities with their gradient, and plain logits. */
#include "kernels/reference/reference.h"

#include <math.h>

/* z[v] = X[t] . W[v] */
static void logits_of(double *z, float *row, const void *X, int64_t t, const void *W, int64_t C, int64_t V, WType wt,
                      DType dt) {
    for (int64_t v = 0; v < V; v++) {
        reference_row(row, W, v, C, wt);
        double sum = 0.0;
        for (int64_t c = 0; c < C; c++) sum += reference_load(X, t * C + c, dt) * (double)row[c];
        z[v] = sum;
    }
}

static double logsumexp(const double *z, int64_t n) {
    double max = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        if (z[i] > max) max = z[i];
    for (int64_t i = 0; i < n; i++) sum += exp(z[i] - max);
    return max + log(sum);
}

/* sums[c] = sum_v weight * (softmax(z)[v] - [v == target]) * W[v,c] */
static void gradient_of(double *sums, float *row, const double *z, double lse, int32_t target, double weight,
                        const void *W, int64_t C, int64_t V, WType wt) {
    for (int64_t c = 0; c < C; c++) sums[c] = 0.0;
    for (int64_t v = 0; v < V; v++) {
        double dz = weight * (exp(z[v] - lse) - (v == target ? 1.0 : 0.0));
        reference_row(row, W, v, C, wt);
        for (int64_t c = 0; c < C; c++) sums[c] += dz * (double)row[c];
    }
}

/* Logits of one token, the sums of its gradient, one row of W. */
int64_t reference_head_loss_workspace(const Stream *s, int64_t M, int64_t C, int64_t V, WType wt, DType dt) {
    (void)s;
    (void)M;
    (void)wt;
    (void)dt;
    return (V + C) * (int64_t)sizeof(double) + C * (int64_t)sizeof(float);
}

void reference_head_loss(Stream *s, void *ws, void *dX, float *logp, const void *X, const void *W, const int32_t *index,
                         const int32_t *target, const float *weight, int64_t M, int64_t T, int64_t C, int64_t V,
                         WType wt, DType dt) {
    (void)s;
    double *z = ws, *sums = z + V;
    float *row = (float *)(sums + C);
    if (dX != NULL)
        for (int64_t i = 0; i < T * C; i++) reference_store(dX, i, 0.0, dt);
    for (int64_t i = 0; i < M; i++) {
        logits_of(z, row, X, index[i], W, C, V, wt, dt);
        double lse = logsumexp(z, V);
        logp[i] = (float)(z[target[i]] - lse);
        if (dX == NULL) continue;
        gradient_of(sums, row, z, lse, target[i], (double)weight[i], W, C, V, wt);
        for (int64_t c = 0; c < C; c++) reference_store(dX, index[i] * C + c, sums[c], dt);
    }
}

/* Logits of one token, one row of W. */
int64_t reference_head_logits_workspace(const Stream *s, int64_t M, int64_t C, int64_t V, WType wt, DType dt) {
    (void)s;
    (void)M;
    (void)wt;
    (void)dt;
    return V * (int64_t)sizeof(double) + C * (int64_t)sizeof(float);
}

void reference_head_logits(Stream *s, void *ws, float *logits, const void *X, const void *W, const int32_t *index,
                           int64_t M, int64_t C, int64_t V, WType wt, DType dt) {
    (void)s;
    double *z = ws;
    float *row = (float *)(z + V);
    for (int64_t i = 0; i < M; i++) {
        logits_of(z, row, X, index[i], W, C, V, wt, dt);
        for (int64_t v = 0; v < V; v++) logits[i * V + v] = (float)z[v];
    }
}
