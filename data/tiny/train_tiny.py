#!/usr/bin/env python3
"""Trains the embedded base model of lorac, data/tiny/tiny.gguf, from nothing.

What it makes: a Llama-architecture language model (about 1.8 million weights) with its own
byte-level BPE tokenizer, written as one GGUF file of at most 2,000,000 bytes. It exists so that
the demo and the tests run offline in seconds on a real, if tiny, language model; only its loss is
claimed, not its answers.

Data: GSM8K's train.jsonl (MIT licence, Copyright (c) 2021 OpenAI). The last HELD_OUT rows are
never trained on; their loss is printed and recorded. Each row is used in two renderings:
ChatML (question as the user's turn, answer as the assistant's, ended by <|im_end|>) and plain text
(question, newline, answer, ended by <|endoftext|>).

Refuses: a result above 2,000,000 bytes, a tokenizer that does not give back its text, a GGUF
whose re-read weights give another loss than the ones trained (Q8_0 rounding apart).

Usage: train_tiny.py GSM8K_TRAIN_JSONL [--out data/tiny] [--steps N] [--threads N]
Needs: torch, tokenizers, gguf, numpy (development tools; nothing in lorac's build needs them).
"""
import argparse
import collections
import datetime
import json
import math
import pathlib
import platform
import time

import gguf
import numpy as np
import tokenizers
import torch
import torch.nn.functional as F

D, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN = 256, 2, 4, 2, 64, 768
VOCAB, CONTEXT, ROPE_THETA, EPS = 1024, 512, 10000.0, 1e-5
HELD_OUT = 300
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
END_TEXT, IM_START, IM_END = 0, 1, 2
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
MAX_BYTES = 2_000_000


# ---------------------------------------------------------------- data and tokenizer
def read_rows(path):
    with open(path, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f if line.strip()]
    return rows[:-HELD_OUT], rows[-HELD_OUT:]


def train_tokenizer(rows):
    """Byte-level BPE with SmolLM2's pre-tokenizer (single digits, then the GPT-2 pattern)."""
    tok = tokenizers.Tokenizer(tokenizers.models.BPE())
    tok.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Digits(individual_digits=True),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tok.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=SPECIALS,
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tok.train_from_iterator((r["question"] + "\n" + r["answer"] for r in rows), trainer)
    assert tok.get_vocab_size() == VOCAB
    for text in ("A  b\n\n12.50 \u4f60\u597d \U0001f600 \x00 na\u00efve", rows[0]["answer"]):
        if tok.decode(tok.encode(text).ids, skip_special_tokens=False) != text:
            raise SystemExit(f"error: the tokenizer does not give back {text!r}")
    return tok


def chatml(tok, row):
    head = tok.encode(f"<|im_start|>user\n{row['question']}<|im_end|>\n<|im_start|>assistant\n").ids
    return head + tok.encode(row["answer"]).ids + [IM_END] + tok.encode("\n").ids


def plain(tok, row):
    return tok.encode(row["question"] + "\n" + row["answer"]).ids + [END_TEXT]


def blocks(docs, rng):
    """Cuts shuffled documents into blocks of CONTEXT + 1 ids; each block begins with a document."""
    out, cur = [], []
    for i in rng.permutation(len(docs)):
        cur.extend(docs[i])
        if len(cur) > CONTEXT:
            out.append(cur[: CONTEXT + 1])
            cur = []
    return torch.tensor(out, dtype=torch.long)


# ---------------------------------------------------------------- model (HF's Llama, half-split RoPE)
class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        lin = lambda i, o: torch.nn.Linear(i, o, bias=False)
        self.attn_norm = torch.nn.RMSNorm(D, eps=EPS)
        self.q, self.k = lin(D, HEADS * HEAD_DIM), lin(D, KV_HEADS * HEAD_DIM)
        self.v, self.o = lin(D, KV_HEADS * HEAD_DIM), lin(HEADS * HEAD_DIM, D)
        self.ffn_norm = torch.nn.RMSNorm(D, eps=EPS)
        self.gate, self.up, self.down = lin(D, FFN), lin(D, FFN), lin(FFN, D)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        h = self.attn_norm(x)
        q = self.q(h).view(b, t, HEADS, HEAD_DIM).transpose(1, 2)
        k = self.k(h).view(b, t, KV_HEADS, HEAD_DIM).transpose(1, 2)
        v = self.v(h).view(b, t, KV_HEADS, HEAD_DIM).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k = k.repeat_interleave(HEADS // KV_HEADS, 1)
        v = v.repeat_interleave(HEADS // KV_HEADS, 1)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(a.transpose(1, 2).reshape(b, t, HEADS * HEAD_DIM))
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class TinyLlama(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(VOCAB, D)
        self.blocks = torch.nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = torch.nn.RMSNorm(D, eps=EPS)
        inv = ROPE_THETA ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float64) / HEAD_DIM)
        angle = torch.arange(CONTEXT, dtype=torch.float64)[:, None] * inv[None, :]
        self.cos, self.sin = angle.cos().float(), angle.sin().float()
        for name, p in self.named_parameters():
            if p.dim() == 2:
                scale = 1 / math.sqrt(2 * LAYERS) if name.endswith(("o.weight", "down.weight")) else 1
                std = 0.02 if "embed" in name else scale / math.sqrt(p.shape[1])
                torch.nn.init.normal_(p, 0.0, std)

    def forward(self, ids):
        t = ids.shape[1]
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, self.cos[:t], self.sin[:t])
        return F.linear(self.norm(x), self.embed.weight)


# ---------------------------------------------------------------- training and evaluation
@torch.no_grad()
def held_out_loss(model, docs):
    """Token-weighted mean of -ln p over each document's tokens but its first; one document at a time."""
    model.eval()
    total, count = 0.0, 0
    for doc in docs:
        ids = torch.tensor([doc[:CONTEXT]])
        logits = model(ids)[0, :-1].float()
        total += F.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        count += ids.shape[1] - 1
    model.train()
    return total / count, count


def count_baselines(train_docs, held_docs):
    """Held-out losses of a unigram and an interpolated bigram model (counts of the train split)."""
    uni, bi, left = collections.Counter(), collections.Counter(), collections.Counter()
    for doc in train_docs:
        uni.update(doc)
        bi.update(zip(doc, doc[1:]))
        left.update(doc[:-1])
    n = sum(uni.values())
    p1 = lambda b: (uni[b] + 1) / (n + VOCAB)
    s1 = s2 = m = 0
    for doc in held_docs:
        for a, b in zip(doc, doc[1:]):
            s1 -= math.log(p1(b))
            s2 -= math.log((bi[a, b] + 50 * p1(b)) / (left[a] + 50))
            m += 1
    return s1 / m, s2 / m


def orthogonalized(g):
    """Nearly the orthogonal factor of g: five Newton-Schulz steps of Muon's quintic, in f32."""
    x = g / (g.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


class Muon:
    """w <- (1 - lr*wd)*w - lr*0.2*sqrt(max(rows, columns))*orth(nesterov(g)); the scale gives each update the
    RMS of AdamW's (arXiv 2502.16982). Matrices of the layers only; embeddings and norms use AdamW."""

    def __init__(self, params, momentum=0.95, decay=0.1):
        self.params, self.momentum, self.decay = params, momentum, decay
        self.buf = [torch.zeros_like(p) for p in params]

    @torch.no_grad()
    def step(self, lr):
        for p, b in zip(self.params, self.buf):
            b.lerp_(p.grad, 1 - self.momentum)
            u = orthogonalized(p.grad.lerp(b, self.momentum))
            p.mul_(1 - lr * self.decay).add_(u, alpha=-lr * 0.2 * math.sqrt(max(p.shape)))


def train(model, docs, held, steps, batch, lr, log):
    rng = np.random.default_rng(1)
    named = list(model.named_parameters())
    matrix = lambda name, p: p.dim() == 2 and "embed" not in name
    muon = Muon([p for name, p in named if matrix(name, p)])
    adam = torch.optim.AdamW([p for name, p in named if not matrix(name, p)],
                             betas=(0.9, 0.95), weight_decay=0.0)
    warm, pool, at, t0 = max(1, steps // 25), None, 0, time.time()
    for step in range(steps):
        if pool is None or at + batch > len(pool):
            pool, at = blocks(docs, rng), 0
        ids = pool[at : at + batch]
        at += batch
        rate = lr * min(1.0, (step + 1) / warm) * (0.02 + 0.98 * (1 - step / steps))
        adam.param_groups[0]["lr"] = rate
        logits = model(ids[:, :-1])
        loss = F.cross_entropy(logits.reshape(-1, VOCAB), ids[:, 1:].reshape(-1))
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step(rate)
        adam.step()
        if (step + 1) % log == 0 or step + 1 == steps:
            now = time.time() - t0
            held_now, _ = held_out_loss(model, held[:60])
            rate_tok = (step + 1) * batch * CONTEXT / now
            print(f"step {step + 1}/{steps} loss {loss.item():.3f} held-out(60) {held_now:.3f} "
                  f"{rate_tok:.0f} tokens/s {now:.0f} s", flush=True)


# ---------------------------------------------------------------- GGUF
def permute_rope_rows(w, heads):
    """HF row order -> the interleaved order llama-type GGUF files store (q and k only)."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def unpermute_rope_rows(w, heads):
    return w.reshape(heads, w.shape[0] // heads // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def tensor_map(model):
    """GGUF tensor name -> (parameter, heads whose rows are permuted, 0 = none)."""
    m = {"token_embd.weight": (model.embed.weight, 0), "output_norm.weight": (model.norm.weight, 0)}
    for i, b in enumerate(model.blocks):
        for name, p, heads in (
            ("attn_norm", b.attn_norm, 0), ("attn_q", b.q, HEADS), ("attn_k", b.k, KV_HEADS),
            ("attn_v", b.v, 0), ("attn_output", b.o, 0), ("ffn_norm", b.ffn_norm, 0),
            ("ffn_gate", b.gate, 0), ("ffn_up", b.up, 0), ("ffn_down", b.down, 0),
        ):
            m[f"blk.{i}.{name}.weight"] = (p.weight, heads)
    return m


def write_gguf(path, model, tok):
    w = gguf.GGUFWriter(str(path), "llama")
    w.add_name("lorac tiny")
    w.add_description("Tiny Llama-type model trained on GSM8K for lorac's demo and tests")
    w.add_license("mit")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_block_count(LAYERS)
    w.add_context_length(CONTEXT)
    w.add_embedding_length(D)
    w.add_feed_forward_length(FFN)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV_HEADS)
    w.add_key_length(HEAD_DIM)
    w.add_value_length(HEAD_DIM)
    w.add_layer_norm_rms_eps(EPS)
    w.add_rope_dimension_count(HEAD_DIM)
    w.add_rope_freq_base(ROPE_THETA)
    w.add_vocab_size(VOCAB)
    model_json = json.loads(tok.to_str())["model"]
    by_id = sorted(model_json["vocab"].items(), key=lambda kv: kv[1])
    assert [i for _, i in by_id] == list(range(VOCAB))
    types = [gguf.TokenType.CONTROL if t in SPECIALS else gguf.TokenType.NORMAL for t, _ in by_id]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model_json["merges"]]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list([t for t, _ in by_id])
    w.add_token_types(types)
    w.add_token_merges(merges)
    w.add_bos_token_id(END_TEXT)
    w.add_eos_token_id(IM_END)
    w.add_unk_token_id(END_TEXT)
    w.add_pad_token_id(END_TEXT)
    w.add_add_bos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)
    for name, (p, heads) in tensor_map(model).items():
        a = p.detach().numpy().astype(np.float32)
        if a.ndim == 1:
            w.add_tensor(name, a)
            continue
        a = permute_rope_rows(a, heads) if heads else a
        q = gguf.quants.quantize(np.ascontiguousarray(a), gguf.GGMLQuantizationType.Q8_0)
        w.add_tensor(name, q, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def read_gguf(path):
    """The model as the file says it: every weight dequantized, q and k rows put back."""
    model = TinyLlama()
    tensors = {t.name: t for t in gguf.GGUFReader(str(path)).tensors}
    want = tensor_map(model)
    assert set(tensors) == set(want), set(tensors) ^ set(want)
    with torch.no_grad():
        for name, (p, heads) in want.items():
            t = tensors[name]
            a = gguf.quants.dequantize(t.data, t.tensor_type).reshape(p.shape)
            p.copy_(torch.from_numpy(unpermute_rope_rows(a, heads) if heads else np.array(a)))
    return model


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("data", help="GSM8K train.jsonl")
    ap.add_argument("--out", default=str(pathlib.Path(__file__).resolve().parent))
    ap.add_argument("--steps", type=int, default=1000)
    ap.add_argument("--batch", type=int, default=4, help="blocks of 512 tokens per step")
    ap.add_argument("--lr", type=float, default=4e-3)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--log", type=int, default=100)
    args = ap.parse_args()
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)  # before the training, not after it
    path, tmp = out / "tiny.gguf", out / "tiny.gguf.tmp"
    tmp.write_bytes(b"")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    train_rows, held_rows = read_rows(args.data)
    tok = train_tokenizer(train_rows)
    docs = [f(tok, r) for r in train_rows for f in (chatml, plain)]
    held_chat, held_plain = [chatml(tok, r) for r in held_rows], [plain(tok, r) for r in held_rows]
    held = [d for pair in zip(held_chat, held_plain) for d in pair]
    tokens = sum(map(len, docs))
    uni, bi = count_baselines(docs, held)
    model = TinyLlama()
    weights = sum(p.numel() for p in model.parameters())
    print(f"{len(docs)} documents, {tokens} tokens, {weights} weights; "
          f"held-out loss of counts: unigram {uni:.3f}, bigram {bi:.3f}", flush=True)
    t0 = time.time()
    train(model, docs, held, args.steps, args.batch, args.lr, args.log)
    seconds = time.time() - t0

    write_gguf(tmp, model, tok)
    if tmp.stat().st_size > MAX_BYTES:
        raise SystemExit(f"error: {tmp} has {tmp.stat().st_size} bytes, more than {MAX_BYTES}")
    again = read_gguf(tmp)
    f32, n = held_out_loss(model, held)
    q8, _ = held_out_loss(again, held)
    if not abs(q8 - f32) < 0.01:
        raise SystemExit(f"error: the written file's loss is {q8:.4f}, the trained model's {f32:.4f}")
    result = {
        "made_by": "data/tiny/train_tiny.py",
        "command": f"train_tiny.py gsm8k/train.jsonl --steps {args.steps} --batch {args.batch} "
                   f"--lr {args.lr} --threads {args.threads}",
        "date": datetime.date.today().isoformat(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__,
                     "tokenizers": tokenizers.__version__, "numpy": np.__version__,
                     "gguf": __import__("importlib.metadata").metadata.version("gguf")},
        "bytes": tmp.stat().st_size, "weights": weights, "tokens_in_data": tokens,
        "tokens_trained": args.steps * args.batch * CONTEXT, "seconds": round(seconds),
        "held_out": {"rows": HELD_OUT, "documents": len(held), "tokens": n,
                     "loss": round(q8, 4), "loss_before_quantization": round(f32, 4),
                     "loss_chatml": round(held_out_loss(again, held_chat)[0], 4),
                     "loss_plain": round(held_out_loss(again, held_plain)[0], 4),
                     "loss_unigram": round(uni, 4), "loss_bigram": round(bi, 4)},
    }
    tmp.replace(path)
    (out / "tiny.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
