#!/usr/bin/env python3
"""Makes tests/golden/parity: random Llama models, adapters and rows, and what Hugging Face computes
from them. See README.md for the files. Prints float32's own rounding noise (against float64).

Usage: make_parity.py [--out tests/golden/parity] [--case NAME]
Needs: torch, transformers, peft, safetensors, gguf, numpy.
"""
import argparse
import pathlib
import shutil

import gguf

from parity_lib import *  # noqa: F403

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
BASE = {"num_hidden_layers": 2, "rms_norm_eps": 1e-5, "max_position_embeddings": 256, "rope_theta": 10000.0}
HOW = {"steps": 10, "learning_rate": 1e-3, "lr_scheduler": "cosine", "warmup_steps": 0, "weight_decay": 0.0,
       "max_grad_norm": 1.0, "accumulation": 4}
ROWS = 22  # 5 batches of 4 and one of 2, then 4 more steps from the start

# name -> shape of the model, config.json style, adapter, training, extras
CASES = {
    "mha_untied": {
        "shape": {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 4,
                  "num_key_value_heads": 4, "vocab_size": 101, "tie_word_embeddings": False},
        "style": 4, "also": "float16", "lora": {"r": 4, "alpha": 8, "targets": ALL_LINEAR, "rslora": False},
        "how": {"warmup_steps": 2, "weight_decay": 0.01},
    },
    "gqa_tied": {
        "shape": {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
                  "num_key_value_heads": 2, "vocab_size": 288, "tie_word_embeddings": True},
        "style": 5, "gguf": True, "lora": {"r": 8, "alpha": 16, "targets": ["q_proj", "v_proj"], "rslora": False},
        "how": {"lr_scheduler": "linear", "warmup_steps": 3},
    },
    "llama3_rope": {
        "shape": {"hidden_size": 40, "intermediate_size": 80, "num_attention_heads": 4,
                  "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 113, "tie_word_embeddings": True,
                  "rope": LLAMA3, "rope_theta": 500000.0},
        "style": 5, "also": "bfloat16", "lora": {"r": 6, "alpha": 12, "targets": ALL_LINEAR, "rslora": False},
        "how": {"max_grad_norm": 0.05},
    },
    "odd_sizes": {
        "shape": {"hidden_size": 52, "intermediate_size": 70, "num_attention_heads": 4,
                  "num_key_value_heads": 1, "head_dim": 14, "vocab_size": 107, "tie_word_embeddings": False},
        "style": 4, "lora": {"r": 5, "alpha": 7, "targets": ALL_LINEAR, "rslora": True},
        "how": {"lr_scheduler": "linear", "max_grad_norm": 6.0},
    },
    "linear_rope": {
        "shape": {"hidden_size": 60, "intermediate_size": 84, "num_attention_heads": 6,
                  "num_key_value_heads": 3, "vocab_size": 97, "tie_word_embeddings": False,
                  "rope": {"rope_type": "linear", "factor": 2.5}, "rms_norm_eps": 1e-6},
        "style": 4, "shard_bytes": "90KB", "lora": {"r": 4, "alpha": 16, "targets": ALL_LINEAR, "rslora": False},
        "how": {"lr_scheduler": "constant_with_warmup", "warmup_steps": 2, "max_grad_norm": 100.0},
    },
}


# ---------------------------------------------------------------- one model also as GGUF
def byte_tokens():
    """The 256 characters byte-level BPE writes bytes with, in byte order."""
    plain = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or 0xAE <= b <= 0xFF]
    other = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(other)) for b in range(256)]


def write_gguf(model, path):
    """F32, llama.cpp's names and row order of q and k. The tokenizer: three control tokens, 256 bytes,
    and pairs of letters; it exists so that the file is whole, the goldens use ids only."""
    c = model.config
    w = gguf.GGUFWriter(str(path), "llama")
    w.add_name("random llama for parity")
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_block_count(c.num_hidden_layers)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    if c.head_dim * c.num_attention_heads != c.hidden_size:
        w.add_key_length(c.head_dim)
        w.add_value_length(c.head_dim)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_rope_dimension_count(c.head_dim)
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    w.add_vocab_size(c.vocab_size)
    pairs = [(a, b) for a in "aeiou" for b in "nrstlm"][: c.vocab_size - 259]
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *byte_tokens(), *(a + b for a, b in pairs)]
    assert len(tokens) == c.vocab_size and len(set(tokens)) == len(tokens)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(tokens) - 3))
    w.add_token_merges([f"{a} {b}" for a, b in pairs])
    w.add_bos_token_id(0)
    w.add_eos_token_id(2)
    w.add_add_bos_token(False)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, c.num_hidden_layers)
    for name, p in model.state_dict().items():
        if name == "lm_head.weight" and c.tie_word_embeddings:
            continue
        a = p.float()
        for leaf, heads in (("q_proj", c.num_attention_heads), ("k_proj", c.num_key_value_heads)):
            if leaf in name:
                a = a.reshape(heads, 2, c.head_dim // 2, -1).swapaxes(1, 2).reshape(a.shape)
        w.add_tensor(names.get_name(name, try_suffixes=(".weight",)), a.contiguous().numpy())
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# ---------------------------------------------------------------- a case
def expected(folder, adapter, rows):
    model = load_model(folder)
    base, (base_loss, count) = row_logprobs(model, rows), mean_loss(model, rows)
    peft = with_adapter(model, adapter)
    lora, (lora_loss, _) = row_logprobs(peft, rows), mean_loss(peft, rows)
    head = {"rows": len(rows), "trained_tokens": count, "base_loss": digits(base_loss),
            "adapter_loss": digits(lora_loss)}
    return head, {"base_logprobs": base, "adapter_logprobs": lora}


def noise(folder, adapter, rows, how, head, lists, grads, log, final):
    """float32's rounding: the same numbers in float64, and the relative (log-probabilities: absolute) gap."""
    with float64_llama():
        peft = with_adapter(load_model(folder), adapter).double()
        logp, (loss, _) = row_logprobs(peft, rows), mean_loss(peft, rows)
        grads64 = gradients(peft, rows)
        start = lora_tensors(peft)
        log64 = train(peft, rows, how)
        final64 = lora_tensors(peft)
    delta = {k: final[k].double() - start[k] for k in final}
    delta64 = {k: final64[k] - start[k] for k in final}
    return {
        "logprob_max_abs": float(f"{largest_difference(lists['adapter_logprobs'], logp):.2g}"),
        "loss_rel": float(f"{abs(head['adapter_loss'] - loss) / loss:.2g}"),
        "grad_worst_tensor_rel": float(f"{worst_tensor(grads, grads64)[0]:.2g}"),
        "step_loss_max_rel": float(f"{max(abs(a['loss'] / b['loss'] - 1) for a, b in zip(log, log64)):.2g}"),
        "grad_norm_max_rel":
            float(f"{max(abs(a['grad_norm'] / b['grad_norm'] - 1) for a, b in zip(log, log64)):.2g}"),
        "final_worst_tensor_rel": float(f"{worst_tensor(final, final64)[0]:.2g}"),
        "final_update_rel": float(f"{relative(delta, delta64):.2g}"),
    }


def make_case(name, case, out, seed):
    where = out / name
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    config = make_config({**BASE, **case["shape"]})
    model = random_model(config, seed)
    rows = random_rows(np.random.default_rng(seed), config.vocab_size, ROWS)
    write_rows(where / "rows.jsonl", rows)
    save_model(model, where / "model", case["style"], shard_bytes=case.get("shard_bytes"))
    if case.get("gguf"):
        write_gguf(model, where / "model.gguf")
    plain = model.state_dict()
    assert all(torch.equal(v, plain[k]) for k, v in load_model(where / "model").state_dict().items())
    make_adapter(load_model(where / "model"), where / "adapter", seed + 7, **case["lora"])

    made = provenance("tests/golden/make_parity.py")
    head, lists = expected(where / "model", where / "adapter", rows)
    peft = with_adapter(load_model(where / "model"), where / "adapter")
    grads = gradients(peft, rows)
    save_file(grads, where / "expected_grads.safetensors", metadata={"format": "pt"})
    how = {**HOW, **case["how"]}
    peft = with_adapter(load_model(where / "model"), where / "adapter")
    log = train(peft, rows, how)
    final = lora_tensors(peft)
    save_file(final, where / "final_adapter.safetensors", metadata={"format": "pt"})
    gap = noise(where / "model", where / "adapter", rows, how, head, lists, grads, log, final)
    write_compact(where / "expected.json", {"made_by": made, **head, "float32_noise": gap}, lists)
    write_compact(where / "expected_train.json", {"made_by": made, "config": how}, {"steps": log})
    if case.get("also"):
        save_model(model, where / f"model_{case['also']}", 9 - case["style"], dtype=case["also"])
        head, lists = expected(where / f"model_{case['also']}", where / "adapter", rows)
        write_compact(where / f"expected_{case['also']}.json", {"made_by": made, **head}, lists)
    size = sum(f.stat().st_size for f in where.rglob("*") if f.is_file())
    print(name, f"{size} bytes", {k: head[k] for k in ("base_loss", "adapter_loss", "trained_tokens")}, gap,
          "grad_norm", [float(f"{s['grad_norm']:.3g}") for s in log], flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--out", default=str(pathlib.Path(__file__).resolve().parent / "parity"))
    ap.add_argument("--case", choices=CASES)
    args = ap.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for i, (name, case) in enumerate(CASES.items()):
        if args.case in (None, name):
            make_case(name, case, pathlib.Path(args.out), 1000 + 10 * i)


if __name__ == "__main__":
    main()
