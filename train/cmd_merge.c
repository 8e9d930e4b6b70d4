/* cmd_merge.c: lorac merge. */
#include "train/merge.h"

const char cmd_merge_help[] =
    "usage: lorac merge --base M --adapter DIR --out F.gguf|DIR [--outtype T] [--force] [--threads N]\n"
    "\n"
    "Writes base + adapter as one model in the base's own format, tensor by tensor, opens the result again and compares its\n"
    "next-token distribution with base + adapter.\n"
    "\n"
    "  --base M       GGUF file or model folder (safetensors)\n"
    "  --adapter DIR  folder with adapter_model.safetensors and adapter_config.json\n"
    "  --out OUT      NAME.gguf for a GGUF base, a folder for a safetensors base\n"
    "  --outtype T    GGUF: f16 (default), f32, bf16, q8_0, q4_0, q4_1, keep (each tensor in its own type);\n"
    "                 safetensors: keep (default), f32, f16, bf16\n"
    "  --force        replace an existing OUT\n"
    "  --threads N    threads (default: all processors)\n"
    "\n"
    "Exit code 3: the result lies beyond the printed bound (nothing is left behind).\n";

Status cmd_merge(Ctx *ctx, int argc, char **argv, Err *e) {
    static const ArgSpec SPECS[] = {{"--base", "M"},    {"--adapter", "DIR"}, {"--out", "OUT"},
                                    {"--outtype", "T"}, {"--force", NULL},    {"--threads", "N"}};
    Args args;
    TRY(args_parse(ctx->arena, argc, argv, SPECS, 6, 0, 0, 0, &args, e));
    MergeOptions o = {.base = args_get(&args, "--base"),
                      .adapter = args_get(&args, "--adapter"),
                      .out = args_get(&args, "--out"),
                      .outtype = args_get(&args, "--outtype"),
                      .force = args_has(&args, "--force")};
    TRY(args_int(&args, "--threads", 1, 4096, &o.threads, e));
    if (o.base == NULL || o.adapter == NULL || o.out == NULL)
        FAIL(e, ERR_USAGE, "merge: --base, --adapter and --out are needed (see lorac merge --help)");
    MergeReport r;
    TRY(merge_run(ctx, &o, &r, e));
    char size[16];
    fprintf(ctx->log.out, "%s: %lld tensors, %lld with the adapter merged, %s as %s\n", o.out, (long long)r.tensors,
            (long long)r.merged, human_bytes(r.bytes, size), r.outtype);
    fprintf(
        ctx->log.out,
        "re-opened: KL from base + adapter %.3g nats per token (bound %.3g; the base alone: %.3g), same top token at "
        "%.1f%% of %lld positions\n",
        r.kl, r.bound, r.kl_base, 100.0 * r.top1, (long long)r.positions);
    return OK;
}
