#!/usr/bin/env python3
"""random_gguf.py: a GGUF file of a Llama shape with random weights, for measuring speed and memory only.

    python3 tests/bench/random_gguf.py OUT.gguf [--shape llama1b|llama8b|smollm2] [--type Q4_K] [--layers N]

Needs numpy and gguf. Weights are random codes with small scales, the same bytes in every matrix row; norms are one. There is no
tokenizer: train on rows of type tokens. A --layers below the shape's makes a smaller file of the same layers.
"""
import argparse
import numpy
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES

SHAPES = {  # width, heads, kv heads, feed-forward, layers, vocabulary
    "smollm2": (576, 9, 3, 1536, 30, 49152),
    "llama1b": (2048, 32, 8, 8192, 16, 128256),
    "llama8b": (4096, 32, 8, 14336, 32, 128256),
}


def matrix(rng, kind, rows, cols):
    """(rows, bytes of a row): random codes; bytes that may be scales are 0x10, a small f16 in each half."""
    block, size = GGML_QUANT_SIZES[kind]
    row = rng.integers(0, 256, (cols // block, size), dtype=numpy.uint8)
    row[:, :4] = 0x10
    row[:, 208:] = 0x10
    return numpy.broadcast_to(row.reshape(1, -1), (rows, row.size))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("--shape", choices=SHAPES, default="llama1b")
    p.add_argument("--type", default="Q4_K", help="a quantized GGUF type whose scales are f16")
    p.add_argument("--layers", type=int)
    args = p.parse_args()
    width, heads, kv, ff, layers, vocab = SHAPES[args.shape]
    layers, kind = args.layers or layers, GGMLQuantizationType[args.type]
    rng = numpy.random.default_rng(1)
    w = GGUFWriter(args.out, "llama")
    w.add_context_length(8192)
    w.add_embedding_length(width)
    w.add_block_count(layers)
    w.add_feed_forward_length(ff)
    w.add_head_count(heads)
    w.add_head_count_kv(kv)
    w.add_rope_dimension_count(width // heads)
    w.add_rope_freq_base(500000.0)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(vocab)
    w.add_tokenizer_model("none")  # llama.cpp wants to be told
    quantized = lambda name, rows, cols: w.add_tensor(name, matrix(rng, kind, rows, cols), raw_dtype=kind)
    ones = lambda name: w.add_tensor(name, numpy.ones(width, dtype=numpy.float32))
    quantized("token_embd.weight", vocab, width)
    ones("output_norm.weight")
    for i in range(layers):
        name = lambda part: f"blk.{i}.{part}.weight"
        ones(name("attn_norm"))
        ones(name("ffn_norm"))
        quantized(name("attn_q"), width, width)
        quantized(name("attn_k"), width // heads * kv, width)
        quantized(name("attn_v"), width // heads * kv, width)
        quantized(name("attn_output"), width, width)
        quantized(name("ffn_gate"), ff, width)
        quantized(name("ffn_up"), ff, width)
        quantized(name("ffn_down"), width, ff)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
