"""What make_parity.py and check_random.py share: random Llama models, PEFT adapters, rows of ids, and
what torch + transformers + peft compute from them (log-probabilities, loss, gradients, AdamW steps).

Everything runs in float32 on one thread with eager attention, one row at a time without padding.
Development tools only: neither lorac's build nor its tests import this.
"""
import contextlib
import datetime
import importlib.metadata
import json
import math
import pathlib
import platform

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama import modeling_llama

ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IGNORE = -100


def provenance(script):
    names = ("torch", "transformers", "peft", "safetensors", "numpy")
    versions = {"python": platform.python_version()}
    versions.update({n: importlib.metadata.version(n) for n in names})
    return {"script": script, "versions": versions, "date": datetime.date.today().isoformat()}


def write_json(path, value):
    pathlib.Path(path).write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_compact(path, head, lists):
    """A JSON object: head's members, then each long list with one element a line."""
    parts = [f'"{k}": {json.dumps(v)}' for k, v in head.items()]
    for k, v in lists.items():
        parts.append(f'"{k}": [\n' + ",\n".join(json.dumps(e) for e in v) + "\n]")
    pathlib.Path(path).write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def digits(x):
    """A float that prints with nine significant digits (exact for float32)."""
    return float(f"{float(x):.9g}")


# ---------------------------------------------------------------- models
def make_config(shape):
    """LlamaConfig of a dict with Transformers' names; rope holds rope_parameters without the base."""
    shape = dict(shape)
    rope = {"rope_theta": shape.pop("rope_theta"), "rope_type": "default", **shape.pop("rope", {})}
    config = LlamaConfig(rope_parameters=rope, bos_token_id=0, eos_token_id=2, pad_token_id=None,
                         attn_implementation="eager", **shape)
    config.architectures = ["LlamaForCausalLM"]
    return config


def random_model(config, seed):
    """Weights of a scale that makes attention and logits far from uniform (logit std about 2)."""
    model = LlamaForCausalLM(config).float().eval()
    g = torch.Generator().manual_seed(seed)
    sizes = {"embed_tokens": 0.9, "lm_head": 2.0, "q_proj": 1.5, "k_proj": 1.2, "v_proj": 1.0, "o_proj": 0.8,
             "gate_proj": 1.2, "up_proj": 1.0, "down_proj": 0.9}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.copy_(0.5 + torch.rand(p.shape, generator=g))
                continue
            leaf = name.split(".")[-2]
            std = sizes[leaf] / math.sqrt(p.shape[1])
            if leaf == "embed_tokens":
                std = 2.0 / math.sqrt(p.shape[1]) if config.tie_word_embeddings else sizes[leaf]
            p.copy_(torch.randn(p.shape, generator=g) * std)
    return model


def v4_config(config, dtype):
    """config.json as Transformers 4 writes it: rope_theta, rope_scaling, torch_dtype."""
    rope = dict(config.rope_parameters)
    theta, kind = rope.pop("rope_theta"), rope.pop("rope_type")
    scaling = None
    if kind == "linear":
        scaling = {"factor": rope["factor"], "type": "linear"}
    elif kind != "default":
        scaling = {**rope, "rope_type": kind}
    out = {"architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
           "bos_token_id": 0, "eos_token_id": 2, "hidden_act": "silu",
           "hidden_size": config.hidden_size, "initializer_range": 0.02,
           "intermediate_size": config.intermediate_size,
           "max_position_embeddings": config.max_position_embeddings, "mlp_bias": False,
           "model_type": "llama", "num_attention_heads": config.num_attention_heads,
           "num_hidden_layers": config.num_hidden_layers,
           "num_key_value_heads": config.num_key_value_heads, "pretraining_tp": 1,
           "rms_norm_eps": config.rms_norm_eps, "rope_scaling": scaling, "rope_theta": theta,
           "tie_word_embeddings": config.tie_word_embeddings, "torch_dtype": dtype,
           "transformers_version": "4.46.3", "use_cache": True, "vocab_size": config.vocab_size}
    if config.head_dim != config.hidden_size // config.num_attention_heads:
        out["head_dim"] = config.head_dim
    return out


def save_model(model, folder, style, dtype="float32", shard_bytes=None):
    """A model folder as Transformers writes it; style 4 or 5 says which version's config.json."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy = copy.to(getattr(torch, dtype))
    copy.save_pretrained(folder, max_shard_size=shard_bytes or "1GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    if style == 4:
        write_json(folder / "config.json", v4_config(model.config, dtype))


def load_model(folder):
    """The folder as Transformers reads it, its weights widened to float32."""
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def make_adapter(model, folder, seed, r, alpha, targets, rslora):
    """A PEFT adapter folder with nonzero B, as if it had been trained already. The model is used up."""
    torch.manual_seed(seed)
    peft = get_peft_model(model, LoraConfig(r=r, lora_alpha=alpha, target_modules=targets, lora_dropout=0.0,
                                            use_rslora=rslora, task_type="CAUSAL_LM"))
    g = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, p in peft.named_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=g) * 0.3 / math.sqrt(r))
    peft.save_pretrained(folder, save_embedding_layers=False)
    folder = pathlib.Path(folder)
    (folder / "README.md").unlink(missing_ok=True)
    settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = "../model"  # PEFT writes the path it was loaded from
    write_json(folder / "adapter_config.json", settings)


def with_adapter(model, folder):
    return PeftModel.from_pretrained(model, folder, is_trainable=True, autocast_adapter_dtype=False).eval()


def lora_tensors(peft, grad=False):
    """PEFT's key names in the file (the adapter name removed) -> tensor, or its gradient."""
    return {n.replace(".default.", "."): (p.grad if grad else p.detach()).clone().contiguous()
            for n, p in peft.named_parameters() if "lora_" in n}


# ---------------------------------------------------------------- rows
def random_rows(rng, vocab, count, longest=60, shortest=5):
    """Rows {"input_ids","labels"}: a masked prompt, sometimes a masked hole, sometimes all trained."""
    rows = []
    for i in range(count):
        n = int(rng.integers(shortest, longest + 1))
        if i == 0:
            n = longest
        elif i == 1:
            n = shortest
        ids = [int(x) for x in rng.integers(0, vocab, n)]
        labels = list(ids)
        if i % 5 != 4:
            labels[: int(rng.integers(1, n - 1))] = []
            labels = [IGNORE] * (n - len(labels)) + labels
        if n > 20 and i % 3 == 0:
            at = int(rng.integers(n // 2, n - 4))
            labels[at : at + 3] = [IGNORE] * 3
        rows.append({"input_ids": ids, "labels": labels})
    return rows


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows)


def trained(row):
    """Predicted positions that count: labels shifted by one, the first token is never predicted."""
    return sum(x != IGNORE for x in row["labels"][1:])


# ---------------------------------------------------------------- what torch computes
@contextlib.contextmanager
def float64_llama():
    """Transformers' Llama with its casts to float32 removed, for measuring float32's rounding.
    The rotation angles stay the float32 products that the library forms; their cos and sin are exact."""
    norm, rope, attn = (modeling_llama.LlamaRMSNorm.forward, modeling_llama.LlamaRotaryEmbedding.forward,
                        modeling_llama.eager_attention_forward)

    def norm64(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    def rope64(self, x, position_ids):
        freqs = (position_ids[..., None].float() * self.inv_freq.float()).double()
        emb = torch.cat((freqs, freqs), dim=-1)
        return emb.cos() * self.attention_scaling, emb.sin() * self.attention_scaling

    def attn64(module, q, k, v, mask, scaling, dropout=0.0, **kw):
        n = module.num_key_value_groups
        s = q @ modeling_llama.repeat_kv(k, n).transpose(2, 3) * scaling
        hidden = torch.ones(s.shape[-2:], dtype=torch.bool).triu(1)
        w = torch.softmax(s.masked_fill(hidden, -math.inf), -1)
        return (w @ modeling_llama.repeat_kv(v, n)).transpose(1, 2).contiguous(), w

    modeling_llama.LlamaRMSNorm.forward = norm64
    modeling_llama.LlamaRotaryEmbedding.forward = rope64
    modeling_llama.eager_attention_forward = attn64
    try:
        yield
    finally:
        modeling_llama.LlamaRMSNorm.forward = norm
        modeling_llama.LlamaRotaryEmbedding.forward = rope
        modeling_llama.eager_attention_forward = attn


def token_losses(model, row):
    """(T-1) losses -ln p(label[i] | ids[<i]) for i >= 1, with 0 where the label is -100."""
    logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1]
    return F.cross_entropy(logits, torch.tensor(row["labels"][1:]), reduction="none", ignore_index=IGNORE)


@torch.no_grad()
def row_logprobs(model, rows):
    """Per row: ln p(ids[i] | ids[<i]), None at 0."""
    out = []
    for row in rows:
        ids = torch.tensor([row["input_ids"]])
        logp = F.log_softmax(model(input_ids=ids).logits[0, :-1], -1)
        got = logp.gather(1, ids[0, 1:, None])[:, 0]
        out.append([None] + [digits(x) for x in got])
    return out


@torch.no_grad()
def mean_loss(model, rows):
    """(sum of token losses) / (trained tokens), and the number of trained tokens."""
    total = sum(token_losses(model, r).double().sum().item() for r in rows)
    count = sum(map(trained, rows))
    return total / count, count


def gradients(peft, rows):
    """Gradient of the token-weighted mean loss over all rows, by PEFT name."""
    peft.zero_grad(set_to_none=True)
    count = sum(map(trained, rows))
    for row in rows:
        (token_losses(peft, row).sum() / count).backward()
    return lora_tensors(peft, grad=True)


def optimizer_batches(count, per_batch, steps):
    """Row numbers of each step: in order, repeated when exhausted, an epoch's last batch may be smaller."""
    out = []
    while len(out) < steps:
        out.extend(list(range(a, min(a + per_batch, count))) for a in range(0, count, per_batch))
    return out[:steps]


def train(peft, rows, how):
    """AdamW steps as HF's Trainer takes them, with the loss of the whole optimizer batch token-weighted.
    how: steps, learning_rate, lr_scheduler, warmup_steps, weight_decay, max_grad_norm, accumulation."""
    params = [p for p in peft.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=how["learning_rate"], betas=(0.9, 0.999), eps=1e-8,
                            weight_decay=how["weight_decay"])
    sched = transformers.get_scheduler(how["lr_scheduler"], opt, num_warmup_steps=how["warmup_steps"],
                                       num_training_steps=how["steps"])
    log = []
    for step, batch in enumerate(optimizer_batches(len(rows), how["accumulation"], how["steps"])):
        count = sum(trained(rows[i]) for i in batch)
        opt.zero_grad(set_to_none=True)
        loss = 0.0
        for i in batch:
            part = token_losses(peft, rows[i]).sum() / count
            part.backward()
            loss += part.item()
        norm = torch.nn.utils.clip_grad_norm_(params, how["max_grad_norm"])
        log.append({"step": step + 1, "loss": digits(loss), "learning_rate": digits(sched.get_last_lr()[0]),
                    "grad_norm": digits(norm), "rows": batch, "trained_tokens": count,
                    "tokens": sum(len(rows[i]["input_ids"]) for i in batch)})
        opt.step()
        sched.step()
    return log


def relative(a, b):
    """||a - b|| / ||b|| over two tensors or dicts of tensors."""
    if isinstance(b, dict):
        assert set(a) == set(b), set(a) ^ set(b)
        d = sum((a[k].double() - b[k].double()).pow(2).sum() for k in b)
        return math.sqrt(d / sum(b[k].double().pow(2).sum() for k in b))
    return ((a.double() - b.double()).norm() / b.double().norm()).item()


def worst_tensor(a, b):
    """The largest per-tensor relative difference and its name."""
    assert set(a) == set(b), set(a) ^ set(b)
    return max((relative(a[k], b[k]), k) for k in b)


def largest_difference(a, b):
    """max |a - b| over two lists of rows of log-probabilities."""
    return max(abs(x - y) for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)
               if x is not None)


__all__ = [n for n in dir() if not n.startswith("_")]
