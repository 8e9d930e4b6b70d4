#!/usr/bin/env python3
"""Makes tests/golden/tiny.json: what Hugging Face gives for data/tiny/tiny.gguf.

The tokenizer is rebuilt from the GGUF's tokens and merges with the pre-tokenizer of SmolLM2; the model is
the file's dequantized weights in transformers' Llama. Holds the file's sha256, so a test can say when the
golden belongs to another file.

Usage: make_tiny.py [--out tests/golden/tiny.json]
"""
import argparse
import hashlib
import importlib.metadata
import pathlib

import gguf
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from parity_lib import *  # noqa: F403

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = [
    "", " ", "a", "Natalia sold clips to 48 of her friends in April.",
    "She has 3.50 + 12 = <<3.5+12=15.5>>15.5 dollars.\n#### 15.5",
    "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n", "<|endoftext|><|endoftext|> x",
    "learning_rate: 2e-4\n  - path: data/train.jsonl  # rows\n", "I'll don't we've   spaces    and\ttabs\n\n\nlines  ",
    "na\u00efve caf\u00e9 \u4f60\u597d\uff0c\u4e16\u754c \u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947 "
    "\U0001f469\u200d\U0001f4bb\U0001f1e9\U0001f1ea e\u0301", "zero\u0000byte \u00a0nbsp \u3000 wide",
    "1234567890 \u0661\u0662\u0663 \u2167 \u00bd",
]


def hf_tokenizer(fields):
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    types = fields["tokenizer.ggml.token_type"].contents()
    tok = tokenizers.Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([t for t, k in zip(tokens, types) if k == gguf.TokenType.CONTROL])
    return tok


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--out", default=str(pathlib.Path(__file__).resolve().parent / "tiny.json"))
    args = ap.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    path = ROOT / "data" / "tiny" / "tiny.gguf"
    tok = hf_tokenizer(gguf.GGUFReader(str(path)).fields)
    texts = []
    for text in TEXTS:
        ids = tok.encode(text).ids
        assert tok.decode(ids, skip_special_tokens=False) == text
        tok.encode_special_tokens = True
        texts.append({"text": text, "ids": ids, "ids_no_special": tok.encode(text).ids})
        tok.encode_special_tokens = False
    model = LlamaForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32,
                                             attn_implementation="eager").eval()
    rows = [{"input_ids": t["ids"], "labels": t["ids"]} for t in texts if len(t["ids"]) > 8]
    made = provenance("tests/golden/make_tiny.py")
    for name in ("tokenizers", "gguf"):
        made["versions"][name] = importlib.metadata.version(name)
    loss, count = mean_loss(model, rows)
    head = {"made_by": made, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "loss": digits(loss), "trained_tokens": count}
    out = [{"ids": r["input_ids"], "logprobs": p} for r, p in zip(rows, row_logprobs(model, rows))]
    write_compact(args.out, head, {"texts": texts, "rows": out})
    print(head, [len(t["ids"]) for t in texts])


if __name__ == "__main__":
    main()
