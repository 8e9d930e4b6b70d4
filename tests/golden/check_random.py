#!/usr/bin/env python3
"""Compares a lorac binary with torch + transformers + peft on new random models.

Each case (seed, seed+1, ...) draws a Llama shape (GQA or not, tied or not, head sizes and widths that need not
be multiples of 32, default/linear/llama3 RoPE, config.json of Transformers 4 or 5, F32/F16/BF16, one file or
shards), a PEFT adapter, rows of ids and a schedule, and checks in float32 arithmetic:
  eval   log-probabilities of base and base + adapter (absolute, against max(1, |value|)), loss, counts
  train  ten AdamW steps from the adapter: loss, learning rate, gradient norm, the final adapter
Exit 0 when every number agrees within --bound, 3 when one does not, 1 when a command fails.

Usage: check_random.py --lorac BIN [--seed N] [--count N] [--bound 1e-4] [--keep DIR] [--gguf] [--free-labels]
                       [--eval-args "--compute-dtype fp32"]
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import make_parity
from parity_lib import *  # noqa: F403


def draw_shape(rng):
    heads = int(rng.choice([1, 2, 3, 4, 6, 8]))
    kv = int(rng.choice([k for k in range(1, heads + 1) if heads % k == 0]))
    shape = {"num_attention_heads": heads, "num_key_value_heads": kv,
             "intermediate_size": int(rng.integers(17, 200)), "vocab_size": int(rng.integers(30, 400)),
             "num_hidden_layers": int(rng.integers(1, 4)), "tie_word_embeddings": bool(rng.random() < 0.5),
             "rms_norm_eps": float(rng.choice([1e-5, 1e-6])), "max_position_embeddings": 512,
             "rope_theta": float(rng.choice([1e4, 1e5, 5e5, 1e6]))}
    if rng.random() < 0.5:
        shape["head_dim"] = 2 * int(rng.integers(2, 21))
        shape["hidden_size"] = heads * int(rng.integers(max(1, 24 // heads), 120 // heads + 1))
    else:
        shape["hidden_size"] = heads * 2 * int(rng.integers(max(2, 12 // heads), 60 // heads + 1))
    kind = rng.choice(["default", "linear", "llama3"])
    if kind == "linear":
        shape["rope"] = {"rope_type": "linear", "factor": float(rng.choice([2.0, 4.0, 1.5]))}
    elif kind == "llama3":
        shape["rope"] = {**make_parity.LLAMA3, "factor": float(rng.choice([8.0, 32.0])),
                         "original_max_position_embeddings": int(rng.choice([32, 64, 128]))}
    return shape


def draw_adapter(rng):
    r = int(rng.integers(1, 17))
    some = [t for t in ALL_LINEAR if rng.random() < 0.5] or ["o_proj"]
    return {"r": r, "alpha": int(rng.integers(1, 33)), "rslora": bool(rng.random() < 0.3),
            "targets": ALL_LINEAR if rng.random() < 0.6 else some}


def draw_training(rng):
    return {"steps": 10, "accumulation": int(rng.integers(1, 6)),
            "learning_rate": float(rng.choice([1e-3, 3e-4, 2e-4])),
            "lr_scheduler": str(rng.choice(["linear", "cosine", "constant", "constant_with_warmup"])),
            "warmup_steps": int(rng.integers(0, 5)), "weight_decay": float(rng.choice([0.0, 0.01, 0.1])),
            "max_grad_norm": float(rng.choice([0.05, 1.0, 5.0, 100.0]))}


def free_labels(rng, rows, vocab):
    """Targets that are not the next id: `tokens` rows are taken as they are."""
    for row in rows[::3]:
        row["labels"] = [x if x == IGNORE else int(rng.integers(0, vocab)) for x in row["labels"]]


def config_text(where, base, how):
    """A config with the names of lorac's schema. `constant` has no warm-up in Hugging Face."""
    lines = [f"base_model: {base}", f"lora_model_dir: {where}/adapter", "adapter: lora",
             "datasets:", f"  - path: {where}/rows.jsonl", "    type: tokens",
             "sequence_len: 128", "sample_packing: false", "shuffle: false", "micro_batch_size: 1",
             f"gradient_accumulation_steps: {how['accumulation']}", f"max_steps: {how['steps']}",
             f"learning_rate: {how['learning_rate']}", f"lr_scheduler: {how['lr_scheduler']}",
             f"weight_decay: {how['weight_decay']}", f"max_grad_norm: {how['max_grad_norm']}",
             "compute_dtype: fp32", f"output_dir: {where}/run"]
    if how["lr_scheduler"] != "constant":
        lines.append(f"warmup_steps: {how['warmup_steps']}")
    return "\n".join(lines) + "\n"


class Check:
    def __init__(self, bound, eval_args):
        self.bound, self.eval_args, self.bad, self.worst = bound, eval_args, [], {}

    def close(self, what, gap):
        """gap: a relative difference; NaN counts as a miss."""
        key = what.split(":")[0]
        self.worst[key] = max(self.worst.get(key, 0.0), gap if gap == gap else math.inf)
        if not gap <= self.bound:
            self.bad.append(f"{what} differs by {gap:.3g}")

    def equal(self, what, got, want):
        if got != want:
            self.bad.append(f"{what} is {got!r}, expected {want!r}")


def call(args):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"exit {done.returncode} from {' '.join(map(str, args))}\n{done.stderr.strip()}")
    return done.stdout


def rel(a, b):
    return abs(a - b) / max(1.0, abs(b))


def check_eval(check, lorac, where, base, rows, model, adapter):
    name = "adapter" if adapter else "base"
    args = [lorac, "eval", "--base", base, "--data", where / "rows.jsonl", "--type", "tokens", "--json",
            "--per-token", where / f"{name}.jsonl", *check.eval_args]
    if adapter:
        args += ["--adapter", where / "adapter"]
    got = json.loads(call(args))
    loss, count = mean_loss(model, rows)
    check.close(f"eval {name} loss", abs(got["loss"] - loss) / loss)
    check.close(f"eval {name} perplexity", abs(got["perplexity"] / math.exp(loss) - 1))
    check.equal(f"eval {name} rows", got["rows"], len(rows))
    check.equal(f"eval {name} tokens", got["tokens"], count)
    with open(where / f"{name}.jsonl", encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    check.equal(f"eval {name} per-token lines", len(lines), len(rows))
    for i, (line, want) in enumerate(zip(lines, row_logprobs(model, rows))):
        check.equal(f"eval {name} row {i} ids", line["ids"], rows[i]["input_ids"])
        have = line["logprobs"]
        if len(have) != len(want) or have[0] is not None or None in have[1:]:
            check.bad.append(f"eval {name} row {i}: logprobs have the wrong form")
            continue
        gap = max((rel(a, b) for a, b in zip(have[1:], want[1:])), default=0.0)
        check.close(f"eval {name} logprobs: row {i}", gap)


def check_train(check, lorac, where, base, rows, peft, how):
    (where / "train.yaml").write_text(config_text(where, base, how), encoding="utf-8")
    call([lorac, "train", where / "train.yaml"])
    start = lora_tensors(peft)
    log = train(peft, rows, how)
    with open(where / "run" / "metrics.jsonl", encoding="utf-8") as f:
        steps = [e for e in map(json.loads, f) if e["event"] == "step"]
    check.equal("train steps", len(steps), len(log))
    for got, want in zip(steps, log):
        for key in ("loss", "learning_rate", "grad_norm"):
            check.close(f"train {key}: step {want['step']}",
                        abs(got[key] - want[key]) / (abs(want[key]) or 1.0))
        for key in ("step", "tokens", "trained_tokens"):
            check.equal(f"train step {want['step']} {key}", got[key], want[key])
    final, want = load_file(where / "run" / "adapter_model.safetensors"), lora_tensors(peft)
    check.equal("adapter tensors", sorted(final), sorted(want))
    for key in want if sorted(final) == sorted(want) else ():
        check.equal(f"{key} dtype", final[key].dtype, torch.float32)
        check.close(f"final adapter: {key}", relative(final[key], want[key]))
    if sorted(final) == sorted(want):
        moved = relative({k: final[k].double() - start[k].double() for k in want},
                         {k: want[k].double() - start[k].double() for k in want})
        check.worst["update of all steps (not bounded)"] = moved


def one_case(args, seed, where):
    rng = np.random.default_rng(seed)
    shape = draw_shape(rng)
    if args.gguf:  # what write_gguf can say: its made-up tokenizer, no scaling of RoPE
        shape.update(vocab_size=int(rng.integers(259, 290)))
        shape.pop("rope", None)
    config = make_config({**make_parity.BASE, **shape})
    model = random_model(config, seed)
    dtype = str(rng.choice(["float32", "float32", "float16", "bfloat16"]))
    style, shards = int(rng.choice([4, 5])), rng.random() < 0.3
    count = int(rng.integers(3, 40))
    rows = random_rows(rng, config.vocab_size, count, longest=int(rng.integers(12, 120)))
    if args.free_labels:
        free_labels(rng, rows, config.vocab_size)
    lora, how = draw_adapter(rng), draw_training(rng)
    write_rows(where / "rows.jsonl", rows)
    save_model(model, where / "model", style, dtype, "60KB" if shards else None)
    make_adapter(load_model(where / "model"), where / "adapter", seed, **lora)
    base = where / "model"
    if args.gguf:
        base = where / "model.gguf"
        make_parity.write_gguf(load_model(where / "model"), base)
    shape = {k: getattr(config, k) for k in ("hidden_size", "intermediate_size", "num_attention_heads",
             "num_key_value_heads", "head_dim", "vocab_size", "num_hidden_layers", "tie_word_embeddings")}
    print(f"seed {seed}: {base.name} v{style} {dtype} {'shards ' if shards else ''}{shape} "
          f"{config.rope_parameters} {lora} {how} rows {count}", flush=True)

    check = Check(args.bound, args.eval_args.split())
    plain = load_model(where / "model")
    check_eval(check, args.lorac, where, base, rows, plain, adapter=False)
    peft = with_adapter(plain, where / "adapter")
    check_eval(check, args.lorac, where, base, rows, peft, adapter=True)
    check_train(check, args.lorac, where, base, rows, peft, how)
    print("  worst:", {k: float(f"{v:.2g}") for k, v in check.worst.items()})
    for line in check.bad[:20]:
        print("  MISS", line)
    return not check.bad


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--lorac", required=True)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--count", type=int, default=5)
    ap.add_argument("--bound", type=float, default=1e-4)
    ap.add_argument("--keep", help="folder for the models and runs (default: a temporary one)")
    ap.add_argument("--gguf", action="store_true", help="give the base as GGUF (F32, RoPE not scaled)")
    ap.add_argument("--free-labels", action="store_true", help="some rows with labels other than their ids")
    ap.add_argument("--eval-args", default="", help="further arguments of lorac eval, separated by spaces")
    args = ap.parse_args()
    args.lorac = pathlib.Path(args.lorac).resolve()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    missed = failed = 0
    with tempfile.TemporaryDirectory() as tmp:
        for seed in range(args.seed, args.seed + args.count):
            where = pathlib.Path(args.keep or tmp).resolve() / f"seed{seed}"
            where.mkdir(parents=True)
            try:
                missed += not one_case(args, seed, where)
            except RuntimeError as e:
                failed += 1
                print(f"  FAILED {e}", flush=True)
    print(f"{args.count} cases: {args.count - missed - failed} agree, {missed} differ, {failed} commands failed")
    sys.exit(1 if failed else 3 if missed else 0)


if __name__ == "__main__":
    main()
