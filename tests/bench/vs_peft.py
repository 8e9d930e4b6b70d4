#!/usr/bin/env python3
"""vs_peft.py: speed, memory and start of lorac and of PEFT + PyTorch on the same model, tokens, rank and targets, interleaved.

    python3 tests/bench/vs_peft.py --lorac build/release/lorac --base SmolLM2-135M-Instruct.Q4_1.gguf \
        [--data train.jsonl --field-prompt question --field-completion answer] [--compute bf16,fp32] \
        [--routes fp32,bf16,bf16+compile,nf4] [--rounds 2] [--steps 3] [--limit 1800] [--set gradient_checkpointing=true]

Memory and start alone, in seconds:   python3 tests/bench/vs_peft.py --lorac LORAC --base BASE --routes none --steps 2 --rounds 1

Needs torch, transformers, peft and gguf (development tools; for --routes none no package at all); nf4 needs bitsandbytes. Both
sides train micro-batches of packed tokens, rank 16 on every linear layer, AdamW. With --data the token ids are lorac's own (`lorac
data show --json`), cut into blocks, else random; PEFT gets the base dequantized by gguf-py. A round is one run of lorac for each
compute type and one of each route; ratios are formed within a round, and the last lines are their medians, so that a machine whose
speed drifts cannot favour one side. Times are given twice: by the clock, which counts only on a quiet machine, and in processor
time of all threads, divided by their number. On a busy machine take --threads 1 and the second: PyTorch's threads wait for each
other in a loop, so that two of them are slower than one where a core is taken away now and then. "start" is the time from launch
to the end of the first optimizer step, less the time of a later step.
"""
import argparse, importlib.util, json, os, random, statistics, subprocess, sys, tempfile, time

TICK = os.sysconf("SC_CLK_TCK")
CORES = len(os.sched_getaffinity(0))


def token_blocks(args, folder):
    need = args.block * args.micro * args.steps
    if not args.data:
        ids = random.Random(1).choices(range(256), k=need)
    else:
        ids, config = [], os.path.join(folder, "show.yaml")
        with open(config, "w") as f:
            f.write(f"base_model: {args.base}\ndatasets:\n  - path: {args.data}\n    field_prompt: {args.field_prompt}\n"
                    f"    field_completion: {args.field_completion}\n    type: prompt_completion\n")
        show = subprocess.Popen([args.lorac, "data", "show", config, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                text=True)
        for line in show.stdout:
            ids += json.loads(line)["ids"]
            if len(ids) >= need:
                break
        show.stdout.close()
        show.wait()
    if len(ids) < need:
        sys.exit(f"{args.data} has {len(ids)} tokens, {need} are needed")
    return [ids[i * args.block:(i + 1) * args.block] for i in range(args.micro * args.steps)]


def result(args, launched, times, processor, rss_mb):
    """times, processor: clock and processor seconds at the end of each optimizer step."""
    steps, tokens = len(times) - 1, args.block * args.micro
    step = (times[-1] - times[0]) / steps
    return {"tokens_per_s": tokens / step, "undisturbed": tokens * steps * args.threads / (processor[-1] - processor[0]),
            "start_s": times[0] - launched - step, "rss_mb": rss_mb}


def run_lorac(args, folder, blocks, compute):
    rows, out = os.path.join(folder, "rows.jsonl"), os.path.join(folder, "out")
    with open(rows, "w") as f:
        for b in blocks:
            f.write(json.dumps({"input_ids": b, "labels": b}) + "\n")
    config = os.path.join(folder, "run.yaml")
    with open(config, "w") as f:
        f.write(f"base_model: {args.base}\ndatasets:\n  - path: {rows}\n    type: tokens\nsequence_len: {args.block}\n"
                f"lora_r: 16\nlora_alpha: 32\nmicro_batch_size: 1\ngradient_accumulation_steps: {args.micro}\n"
                f"max_steps: {args.steps}\nsave_steps: 0\noutput_dir: {out}\noverwrite_output_dir: true\ncompute_dtype: {compute}\nthreads: {args.threads}\n")
    metrics = os.path.join(out, "metrics.jsonl")
    if os.path.exists(metrics):
        os.remove(metrics)
    launched, times, processor = time.time(), [], []
    run = subprocess.Popen([args.lorac, "train", config, "--quiet"] + args.set)
    while len(times) < args.steps:
        done = open(metrics).read().count('"event":"step"') if os.path.exists(metrics) else 0
        if done > len(times):
            stat = open(f"/proc/{run.pid}/stat").read().rsplit(")", 1)[1].split()
            times.append(time.time())
            processor.append((int(stat[11]) + int(stat[12])) / TICK)
        elif run.poll() is not None:
            break
        time.sleep(0.005)
    _, status, usage = os.wait4(run.pid, 0) if run.returncode is None else (0, run.returncode, None)
    if status != 0 or len(times) < args.steps:
        sys.exit("lorac train failed")
    return result(args, launched, times, processor, usage.ru_maxrss / 1024)


def peft_worker(args, route, blocks_file):
    """Runs in its own process, so that memory and start are its own."""
    import numpy, resource, torch
    from gguf import GGUFReader, dequantize
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.set_num_threads(args.threads)
    reader = GGUFReader(args.base)
    field = lambda k: reader.fields[f"llama.{k}"].contents()
    heads, kv = field("attention.head_count"), field("attention.head_count_kv")
    names = {t.name: t for t in reader.tensors}
    config = LlamaConfig(hidden_size=field("embedding_length"), num_hidden_layers=field("block_count"), num_attention_heads=heads,
                         num_key_value_heads=kv, intermediate_size=field("feed_forward_length"),
                         vocab_size=int(names["token_embd.weight"].shape[1]), rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
                         rope_theta=field("rope.freq_base"), max_position_embeddings=field("context_length"),
                         tie_word_embeddings="output.weight" not in names)
    dtype = torch.float32 if route == "fp32" else torch.bfloat16
    model = LlamaForCausalLM(config)

    def weight(name, n=0):
        w = torch.from_numpy(numpy.array(dequantize(names[name].data, names[name].tensor_type), dtype=numpy.float32))
        if n:
            w = w.reshape(n, w.shape[0] // n // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
        return w
    state = {"model.embed_tokens.weight": weight("token_embd.weight"), "model.norm.weight": weight("output_norm.weight")}
    parts = {"self_attn.q_proj": ("attn_q", heads), "self_attn.k_proj": ("attn_k", kv), "self_attn.v_proj": ("attn_v", 0),
             "self_attn.o_proj": ("attn_output", 0), "mlp.gate_proj": ("ffn_gate", 0), "mlp.up_proj": ("ffn_up", 0),
             "mlp.down_proj": ("ffn_down", 0), "input_layernorm": ("attn_norm", 0), "post_attention_layernorm": ("ffn_norm", 0)}
    for i in range(config.num_hidden_layers):
        for theirs, (ours, n) in parts.items():
            state[f"model.layers.{i}.{theirs}.weight"] = weight(f"blk.{i}.{ours}.weight", n)
    if not config.tie_word_embeddings:
        state["lm_head.weight"] = weight("output.weight")
    model.load_state_dict(state, strict=False)
    model = model.to(dtype)
    if route == "nf4":
        to_nf4(torch, model)
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    forward = torch.compile(model) if route == "bf16+compile" else model
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)
    blocks = torch.tensor(json.load(open(blocks_file)))
    times, processor = [], []
    for step in range(args.steps):
        for k in range(args.micro):
            ids = blocks[step * args.micro + k][None]
            (forward(input_ids=ids, labels=ids).loss / args.micro).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.time())
        processor.append(time.process_time())
    print(json.dumps(result(args, args.launched, times, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))


def to_nf4(torch, model):
    """Every linear layer but the head in bitsandbytes' 4-bit NF4."""
    import bitsandbytes as bnb
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.Linear) and name != "lm_head":
                new = bnb.nn.Linear4bit(child.in_features, child.out_features, bias=False, compute_dtype=torch.bfloat16,
                                        quant_type="nf4", device="meta")
                new.weight = bnb.nn.Params4bit(child.weight.data, requires_grad=False, quant_type="nf4", module=new)
                setattr(parent, name, new.to("cpu"))


def run_peft(args, route, folder, blocks):
    """None and a reason where the route cannot run here."""
    if route == "nf4" and importlib.util.find_spec("bitsandbytes") is None:
        return None, "bitsandbytes is not installed: skipped"
    path = os.path.join(folder, "blocks.json")
    json.dump(blocks, open(path, "w"))
    command = [sys.executable, __file__, "--worker", route, "--blocks", path, "--steps", str(args.steps), "--micro", str(args.micro),
               "--block", str(args.block), "--threads", str(args.threads), "--base", args.base, "--lorac", "-", "--launched", str(time.time())]
    try:
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=args.limit)
    except subprocess.TimeoutExpired:
        return None, f"{args.steps} steps did not end within {args.limit:.0f} s (--limit): left out"
    if run.returncode != 0:
        return None, "failed (its messages are above): left out"
    return json.loads(run.stdout.splitlines()[-1]), ""


def show(name, r):
    print(f"{name:22s}{r['tokens_per_s']:7.1f} tokens/s, in processor time {r['undisturbed']:7.1f}; start {r['start_s']:6.2f} s; "
          f"{r['rss_mb']:6.0f} MB", flush=True)


def compare(ratios, ours, theirs, compute, route):
    pair = [ours[k] / theirs[k] for k in ("tokens_per_s", "undisturbed", "rss_mb")]
    ratios.setdefault(f"lorac {compute} / PEFT {route}", []).append(pair)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lorac", required=True)
    p.add_argument("--base", required=True)
    p.add_argument("--data", help="JSONL of prompts and completions; without it tokens are random")
    p.add_argument("--field-prompt", default="question")
    p.add_argument("--field-completion", default="answer")
    p.add_argument("--compute", default="bf16,fp32", help="lorac's compute_dtype, a list")
    p.add_argument("--routes", default="fp32,bf16,bf16+compile,nf4", help="a list, or none")
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--steps", type=int, default=3, help="optimizer steps; the first is not timed")
    p.add_argument("--micro", type=int, default=4, help="micro-batches a step")
    p.add_argument("--block", type=int, default=512, help="tokens of a micro-batch")
    p.add_argument("--threads", type=int, default=CORES)
    p.add_argument("--limit", type=float, default=1800, help="seconds a PEFT run may take; a route beyond it is not tried again")
    p.add_argument("--set", action="append", default=[], help="key=value for lorac's config")
    for hidden in ("--worker", "--blocks"):
        p.add_argument(hidden, help=argparse.SUPPRESS)
    p.add_argument("--launched", type=float, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.steps < 2:
        sys.exit("--steps: at least 2, the first is not timed")
    if args.worker:
        return peft_worker(args, args.worker, args.blocks)
    routes = [] if args.routes == "none" else args.routes.split(",")
    ratios = {}
    with tempfile.TemporaryDirectory() as folder:
        blocks = token_blocks(args, folder)
        for r in range(args.rounds):
            ours = {}
            for compute in args.compute.split(","):
                ours[compute] = run_lorac(args, folder, blocks, compute)
                show(f"{r + 1} lorac {compute}", ours[compute])
            for route in list(routes):
                theirs, why = run_peft(args, route, folder, blocks)
                if theirs is None:
                    print(f"{r + 1} PEFT {route}: {why}", flush=True)
                    routes.remove(route)
                    continue
                show(f"{r + 1} PEFT {route}", theirs)
                for compute in ours:
                    compare(ratios, ours[compute], theirs, compute, route)
    for name, pairs in ratios.items():
        clock, processor, memory = (statistics.median(x[i] for x in pairs) for i in range(3))
        print(f"{name:34s} tokens/s {clock:6.2f} x, in processor time {processor:6.2f} x, resident memory {memory:5.2f} x "
              f"(median of {len(pairs)})")


if __name__ == "__main__":
    main()
