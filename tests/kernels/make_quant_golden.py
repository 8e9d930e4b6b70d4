#!/usr/bin/env python3
"""Writes golden_quant.h: what gguf-py makes of fixed values in each weight format.

Usage: make_quant_golden.py > golden_quant.h      Needs gguf and numpy (development tools).
"""
import datetime
import importlib.metadata

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

PACKED = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]
# Where the f16 scales of a block are: they are made finite and moderate.
UNPACKED = {"F16": None, "BF16": None, "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
            "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
BLOCKS = 16


def values():
    """Nine blocks of 32: normal values at several scales, and the corner cases of scale and rounding."""
    rng = np.random.default_rng(20240607)
    x = rng.standard_normal((9, 32)).astype(np.float32)
    x[1] *= np.float32(0.02)
    x[2] *= np.float32(3e-7)  # scales that are subnormal as f16
    x[3] *= np.float32(900)
    x[4] = 0
    x[5] = np.float32(-0.375)
    x[6] = np.where(np.arange(32) % 2 == 0, 1.5, -1.5)  # two values of the same largest magnitude
    x[7] = np.arange(-16, 16) / np.float32(8)  # many ties of rounding
    x[8] = np.abs(x[8])
    return x


def random_bytes(n):
    """The generator that the C test repeats."""
    state, out = 12345, bytearray()
    for _ in range(n):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append(state >> 24)
    return out


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def rows(numbers, form, per_line):
    numbers = list(numbers)
    return ",\n    ".join(", ".join(form % v for v in numbers[i:i + per_line]) for i in range(0, len(numbers), per_line))


def main():
    x = values()
    print("/* golden_quant.h: written by make_quant_golden.py with gguf %s, numpy %s, %s. Do not edit.\n"
          " * PACK_VALUES (f32 bits) packed into each format, and the FNV-1a hash of what each format unpacks to. */\n"
          "#ifndef LORAC_TESTS_KERNELS_GOLDEN_QUANT_H\n#define LORAC_TESTS_KERNELS_GOLDEN_QUANT_H"
          % (importlib.metadata.version("gguf"), np.__version__, datetime.date.today()))
    print("static const uint32_t PACK_VALUES[%d] = {\n    %s};" % (x.size, rows(x.view(np.uint32).ravel(), "0x%08x", 9)))
    for name in PACKED:
        packed = gguf.quantize(x.reshape(-1, 32), T[name])
        data = packed.tobytes()
        if name == "F32":
            continue
        print("static const uint8_t PACKED_%s[%d] = {\n    %s};" % (name, len(data), rows(data, "%d", 23)))
    print("static const uint64_t UNPACKED_HASH[WT_COUNT] = {")
    for name, scales in UNPACKED.items():
        elems, size = gguf.GGML_QUANT_SIZES[T[name]]
        if scales is None:
            elems, size, scales = 32, 64, range(0, 64, 2)
        data = random_bytes(BLOCKS * size)
        for b in range(BLOCKS):
            for s in scales:
                at = b * size + s + 1
                data[at] = data[at] & 0x83 | 0x2C
        raw = np.frombuffer(bytes(data), np.uint8).reshape(BLOCKS, size)
        y = gguf.dequantize(raw, T[name]).astype(np.float32)
        assert y.size == BLOCKS * elems and np.isfinite(y).all()
        print("    [WT_%s] = 0x%016xu," % (name, fnv(y.tobytes())))
    print("};\n#endif")


main()
