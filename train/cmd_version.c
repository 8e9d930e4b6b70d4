/* cmd_version.c: lorac --version: version, build, CPU level, libraries. */
#include "train/cmd.h"

#include "kernels/backend.h"

Status cmd_version(Ctx *ctx, int argc, char **argv, Err *e) {
    Pool *pool;
    Backend b;
    (void)argc, (void)argv;
    TRY(pool_open(&pool, 1, e));
    Status st = backend_open("cpu", ctx->cpu_level, pool, &b, e);
    if (st == OK) {
        FILE *out = ctx->log.out;
        fprintf(out, "lorac %s (C compiler %s)\n", ctx->version, __VERSION__);
        fprintf(out, "cpu: level %s of", b.level);
        for (const char *const *l = backend_cpu_levels(); *l != NULL; l++)
            fprintf(out, " %s%s", *l, backend_cpu_has(*l) ? "" : " (not on this CPU)");
        fputs("\nlibraries: yajl, xxHash, libmd, HDF5 (static), libyaml, PCRE2, utf8proc, zlib, zstd\n", out);
    }
    pool_close(pool);
    return st;
}
