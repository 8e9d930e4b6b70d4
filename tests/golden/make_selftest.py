#!/usr/bin/env python3
"""Makes train/selftest_golden.h: what Hugging Face gives for the embedded model (data/tiny/tiny.gguf) on the first four rows
of `lorac selftest` with its adapter: the loss, and the norm of each module's LoRA gradient (which the order of a file's rows
does not change). Rows and adapter values are those of train/selftest_runs.c and train/selftest_graph.c, drawn here again.

Usage: make_selftest.py [--out train/selftest_golden.h]
"""
import argparse
import hashlib
import pathlib

from parity_lib import *  # noqa: F403

ROOT = pathlib.Path(__file__).resolve().parents[2]
STREAM_ROWS, STREAM_VALUES, SHORTEST, LONGEST, ROWS, RANK, ALPHA = 100, 101, 6, 40, 4, 4, 32
M32, M64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


def philox(key, low, high):
    """Philox4x32-10, as base/rng.h has it."""
    k0, k1 = key & M32, key >> 32
    c = [low & M32, low >> 32, high & M32, high >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k0, p1 & M32, (p0 >> 32) ^ c[3] ^ k1, p0 & M32]
        k0, k1 = (k0 + 0x9E3779B9) & M32, (k1 + 0xBB67AE85) & M32
    return c


def mix(a, b):
    z = (a + 0x9E3779B97F4A7C15 * (b + 1)) & M64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
    return z ^ (z >> 31)


def selftest_row(r, vocab):
    key = mix(STREAM_ROWS, r)
    n = SHORTEST + philox(key, 0, 0)[0] % (LONGEST - SHORTEST + 1)
    ids = [philox(key, i + 1, 0)[0] % vocab for i in range(n)]
    return {"input_ids": ids, "labels": [IGNORE if i < n // 3 else x for i, x in enumerate(ids)]}


def file_order(rows, heads, inverse=False):
    """Row j of the file's order is row order[j] of Hugging Face's (models.md: gguf[h*hd + 2j + p] = hf[h*hd + p*hd/2 + j])."""
    size = rows // heads
    return [h * size + p * (size // 2) + j for h in range(heads) for j in range(size // 2) for p in range(2)]


def fill(peft, config):
    """0.1 * (2u - 1) over the modules sorted by path, A before B, B in the order of the file's rows."""
    tensors = {n: p for n, p in peft.named_parameters() if "lora_" in n}
    at = 0
    for name in sorted(tensors):
        p = tensors[name]
        flat = [np.float32(0.1) * (np.float32(2.0) * (np.float32(philox(STREAM_VALUES, at + i, 0)[0] >> 8) * np.float32(2.0**-24))
                                   - np.float32(1.0)) for i in range(p.numel())]
        at += p.numel()
        values = torch.tensor(np.array(flat, dtype=np.float32)).reshape(p.shape)
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        for role, count in heads.items():
            if role in name and "lora_B" in name:
                turned = torch.empty_like(values)
                turned[file_order(p.shape[0], count)] = values
                values = turned
        with torch.no_grad():
            p.copy_(values)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--out", default=str(ROOT / "train" / "selftest_golden.h"))
    args = ap.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    path = ROOT / "data" / "tiny" / "tiny.gguf"
    model = LlamaForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32,
                                             attn_implementation="eager").eval()
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    rows = [selftest_row(r, model.config.vocab_size) for r in range(ROWS)]
    peft = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets))
    fill(peft, model.config)
    tokens = sum(trained(row) for row in rows)
    loss = sum(token_losses(peft, row).sum() for row in rows) / tokens
    loss.backward()
    squares = {}
    for name, p in peft.named_parameters():
        if "lora_" in name:
            module = name.split("base_model.model.")[1].split(".lora_")[0]
            squares[module] = squares.get(module, 0.0) + float((p.grad.double() ** 2).sum())
    made = provenance("tests/golden/make_selftest.py")
    lines = [f"/* selftest_golden.h: made by {made['script']} on {made['date']} with " +
             ", ".join(f"{k} {made['versions'][k]}" for k in ("torch", "transformers", "peft")) + ".",
             " * Hugging Face's loss and gradient norms for the embedded model, see there. */",
             "#ifndef LORAC_TRAIN_SELFTEST_GOLDEN_H", "#define LORAC_TRAIN_SELFTEST_GOLDEN_H", "",
             f"/* sha256 of data/tiny/tiny.gguf: {hashlib.sha256(path.read_bytes()).hexdigest()} */",
             f"static const double GOLDEN_LOSS = {float(loss.detach()):.9g};", "static const struct {", "    const char *module;",
             "    double gradient_norm;", "} GOLDEN[] = {"]
    lines += [f'    {{"{name}", {math.sqrt(squares[name]):.9g}}},' for name in sorted(squares)]
    lines += ["};", "", "#endif", ""]
    pathlib.Path(args.out).write_text("\n".join(lines), encoding="utf-8")
    print(float(loss.detach()), tokens, [len(r["input_ids"]) for r in rows])


if __name__ == "__main__":
    main()
