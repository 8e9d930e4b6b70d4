/* gemm.c: the loops around the microkernel: blocks of depth, groups of tiles that stay in L2, panels that stay in L1. */
#include "kernels/cpu/gemm.h"

int64_t gemm_chunk_lanes(const int64_t *n, int count, int threads) {
    int64_t best = 0, best_cost = 0;
    for (int64_t lanes = GEMM_LANES; lanes > 0; lanes -= GEMM_LANES_UNIT) {
        int64_t chunks = 0;
        for (int i = 0; i < count; i++) chunks += (n[i] + lanes - 1) / lanes;
        int64_t cost = (chunks + threads - 1) / threads * lanes;
        if (best == 0 || cost < best_cost) best = lanes, best_cost = cost;
    }
    return best;
}

/* One block of one term, for the tiles of a chunk. */
typedef struct Block {
    const GemmTerm *term;
    int64_t step0;         /* of the block in the left side */
    int64_t steps, steps2; /* units of the first and second product; steps2 = 0 but in the last block of a term */
    bool first, last;      /* of the whole sum */
} Block;

static const float *left_at(const GemmLeft *left, int64_t tile, int64_t step) {
    return left->data + (tile - left->tile0) * left->stride + step * GEMM_MR;
}

/* sum += mask * (left2 * right2), the second product under dropout. */
static void add_masked(const GemmJob *job, const Block *b, int64_t tile, int64_t row0, int rows, int64_t lane0,
                       int lanes, const float *panel, float *sum) {
    float product[GEMM_MR * GEMM_NR], mask[GEMM_MR * GEMM_NR] = {0};
    gemm_tile(rows, 0, NULL, b->steps2, left_at(&b->term->left2, tile, 0), panel + b->steps * GEMM_NR, product, false,
              job->mode);
    gemm_mask_rows(mask, GEMM_NR, &b->term->mask, row0, rows, lane0, lanes);
    for (int i = 0; i < rows * GEMM_NR; i++) sum[i] += mask[i] * product[i];
}

static void run_block(const GemmJob *job, const Block *b, int64_t tile0, int64_t tile1, int64_t lane0, int64_t lanes,
                      const GemmScratch *scratch) {
    int64_t n_panels = (lanes + GEMM_NR - 1) / GEMM_NR, panel_floats = (b->steps + b->steps2) * GEMM_NR;
    bool masked = b->steps2 > 0 && b->term->mask.token != NULL;
    for (int64_t group = tile0; group < tile1; group += GEMM_GROUP) {
        int64_t group_end = group + GEMM_GROUP < tile1 ? group + GEMM_GROUP : tile1;
        for (int64_t p = 0; p < n_panels; p++) {
            const float *panel = scratch->right + p * panel_floats;
            int64_t lane = lane0 + p * GEMM_NR, n = lanes - p * GEMM_NR;
            int n_lanes = (int)(n < GEMM_NR ? n : GEMM_NR);
            for (int64_t tile = group; tile < group_end; tile++) {
                int64_t row0 = gemm_tile_row(job->T, tile);
                int rows = (int)(gemm_tile_row(job->T, tile + 1) - row0);
                float *sum = scratch->sum + ((tile - tile0) * n_panels + p) * (GEMM_MR * GEMM_NR);
                const float *left2 = b->steps2 > 0 && !masked ? left_at(&b->term->left2, tile, 0) : NULL;
                gemm_tile(rows, b->steps, left_at(&b->term->left, tile, b->step0), masked ? 0 : b->steps2, left2, panel,
                          sum, !b->first, job->mode);
                if (masked) add_masked(job, b, tile, row0, rows, lane, n_lanes, panel, sum);
                if (b->last) job->store(job->ctx, sum, tile, row0, rows, lane, n_lanes);
            }
        }
    }
}

/* The chunk for tiles that fit the scratch. */
static void run_tiles(const GemmJob *job, int64_t tile0, int64_t tile1, int64_t lane0, int64_t lanes,
                      const GemmScratch *scratch) {
    for (int i = 0; i < job->n_terms; i++) {
        const GemmTerm *term = &job->terms[i];
        int64_t n_blocks = gemm_blocks(term->depth, job->mode);
        for (int64_t j = 0; j < n_blocks; j++) {
            int64_t d0 = gemm_block(term->depth, n_blocks, j), d1 = gemm_block(term->depth, n_blocks, j + 1);
            bool last = j + 1 == n_blocks;
            Block b = {.term = term,
                       .step0 = gemm_steps(d0, job->mode),
                       .steps = gemm_steps(d1 - d0, job->mode),
                       .steps2 = last ? gemm_steps(term->depth2, job->mode) : 0,
                       .first = i == 0 && j == 0,
                       .last = last && i + 1 == job->n_terms};
            int64_t steps = b.steps + b.steps2;
            gemm_fill(scratch->right, &term->right, d0, d1, lane0, lanes, 0, steps, job->mode);
            if (b.steps2 > 0)
                gemm_fill(scratch->right, &term->right2, 0, term->depth2, lane0, lanes, b.steps, steps, job->mode);
            run_block(job, &b, tile0, tile1, lane0, lanes, scratch);
        }
    }
}

void gemm_chunk(const GemmJob *job, int64_t tile0, int64_t tile1, int64_t lane0, int64_t lanes,
                const GemmScratch *scratch) {
    for (int64_t tile = tile0; tile < tile1; tile += scratch->sum_tiles) {
        int64_t end = tile + scratch->sum_tiles < tile1 ? tile + scratch->sum_tiles : tile1;
        run_tiles(job, tile, end, lane0, lanes, scratch);
    }
}
