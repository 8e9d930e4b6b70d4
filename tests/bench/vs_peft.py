#!/usr/bin/env python3
"""vs_peft.py: tokens per second of lorac and of PEFT + PyTorch on the same model, data, rank and targets, interleaved.

    python3 tests/bench/vs_peft.py --lorac build/release/lorac --base SmolLM2-135M-Instruct.Q4_1.gguf \
        --data train.jsonl --field-prompt question --field-completion answer [--rounds 2] [--routes fp32,bf16]

Needs torch, transformers, peft, gguf (development tools). Both sides train 4 micro-batches of 512 packed tokens a step, rank 16
on every linear layer, AdamW. The token ids are lorac's own (`lorac data show --json`), cut into blocks of 512, so both see the same
numbers; PEFT gets the base dequantized by gguf-py. A round is one lorac run and one PEFT run of each route; ratios are formed
within a round, so that a machine whose speed drifts cannot favour one side.
"""
import argparse, json, os, subprocess, sys, tempfile, time

BLOCK, MICRO = 512, 4


def token_blocks(args, folder):
    config = os.path.join(folder, "show.yaml")
    with open(config, "w") as f:
        f.write(f"base_model: {args.base}\ndatasets:\n  - path: {args.data}\n    field_prompt: {args.field_prompt}\n"
                f"    field_completion: {args.field_completion}\n    type: prompt_completion\n")
    ids, need = [], BLOCK * MICRO * args.steps
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
    return [ids[i * BLOCK:(i + 1) * BLOCK] for i in range(MICRO * args.steps)]


def run_lorac(args, folder, blocks):
    rows = os.path.join(folder, "rows.jsonl")
    with open(rows, "w") as f:
        for b in blocks:
            f.write(json.dumps({"input_ids": b, "labels": b}) + "\n")
    config = os.path.join(folder, "run.yaml")
    out = os.path.join(folder, "out")
    with open(config, "w") as f:
        f.write(f"base_model: {args.base}\ndatasets:\n  - path: {rows}\n    type: tokens\nsequence_len: {BLOCK}\n"
                f"lora_r: 16\nlora_alpha: 32\nmicro_batch_size: 1\ngradient_accumulation_steps: {MICRO}\n"
                f"max_steps: {args.steps}\nsave_steps: 0\noutput_dir: {out}\noverwrite_output_dir: true\n")
    start = time.time()
    subprocess.run(["/usr/bin/time", "-f", "%M", "-o", os.path.join(folder, "rss"), args.lorac, "train", config, "--quiet"], check=True)
    wall = time.time() - start
    steps = [json.loads(l) for l in open(os.path.join(out, "metrics.jsonl"))]
    steps = [s for s in steps if s["event"] == "step"]
    rss = int(open(os.path.join(folder, "rss")).read().split()[-1]) / 1024
    first = steps[0]["elapsed_s"]
    later = steps[-1]["elapsed_s"] - first
    return {"tokens_per_s": BLOCK * MICRO * (args.steps - 1) / later, "first_step_s": first, "rss_mb": rss, "wall_s": wall}


def peft_worker(args, route, blocks_file):
    """Runs in its own process, so that memory and start are its own."""
    import numpy, resource, torch
    from gguf import GGUFReader, dequantize
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM
    begin = time.time()
    torch.set_num_threads(os.cpu_count())
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
    model = get_peft_model(model.to(dtype), LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    forward = torch.compile(model) if route == "bf16+compile" else model
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)
    blocks = torch.tensor(json.load(open(blocks_file)))
    times = []
    for step in range(args.steps):
        for k in range(MICRO):
            ids = blocks[step * MICRO + k][None]
            (forward(input_ids=ids, labels=ids).loss / MICRO).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.time())
    print(json.dumps({"tokens_per_s": BLOCK * MICRO * (args.steps - 1) / (times[-1] - times[0]), "first_step_s": times[0] - begin,
                      "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def run_peft(args, route, folder, blocks):
    path = os.path.join(folder, "blocks.json")
    json.dump(blocks, open(path, "w"))
    command = [sys.executable, __file__, "--worker", route, "--blocks", path, "--steps", str(args.steps), "--base", args.base, "--lorac", "-", "--data", "-"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lorac", required=True)
    p.add_argument("--base", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--field-prompt", default="question")
    p.add_argument("--field-completion", default="answer")
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--steps", type=int, default=3, help="optimizer steps of 2048 tokens; the first is not timed")
    p.add_argument("--routes", default="fp32,bf16", help="fp32, bf16, bf16+compile")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    p.add_argument("--blocks", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.worker:
        return peft_worker(args, args.worker, args.blocks)
    with tempfile.TemporaryDirectory() as folder:
        blocks = token_blocks(args, folder)
        for r in range(args.rounds):
            ours = run_lorac(args, folder, blocks)
            print(f"round {r + 1}: lorac      {ours['tokens_per_s']:7.0f} tokens/s, first step after {ours['first_step_s']:5.1f} s, "
                  f"{ours['rss_mb']:6.0f} MB", flush=True)
            for route in args.routes.split(","):
                theirs = run_peft(args, route, folder, blocks)
                print(f"round {r + 1}: PEFT {route:6s}{theirs['tokens_per_s']:7.0f} tokens/s, first step after "
                      f"{theirs['first_step_s']:5.1f} s, {theirs['rss_mb']:6.0f} MB; lorac / PEFT = "
                      f"{ours['tokens_per_s'] / theirs['tokens_per_s']:.2f}", flush=True)


if __name__ == "__main__":
    main()
