#!/usr/bin/env python3
"""Writes the small files of this folder with the libraries whose formats lorac reads and writes.

  all_types.gguf, split-0000?-of-00002.gguf   gguf-py: every metadata type, several tensor types
  all_types.safetensors                       safetensors: every dtype, a scalar, an empty tensor, metadata
  peft_adapter/                               peft: LoRA on a one-layer Llama, ranks and alphas that differ by pattern
  versions.json                               what made them, and when

Usage: make_golden.py      Needs gguf, safetensors, torch, transformers, peft (development tools). Tensor values are
functions of the index that the C tests repeat; the adapter's are random and are checked by sums in versions.json.
"""
import datetime
import importlib.metadata
import json
import pathlib
import shutil

import gguf
import numpy as np
import peft
import torch
import transformers
from gguf import GGMLQuantizationType as T
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent


def values(n):
    """x[i] = ((37 i) mod 101 - 50) / 64"""
    return ((37 * np.arange(n) % 101 - 50) / 64).astype(np.float32)


def add_metadata(w):
    w.add_uint8("t.u8", 200)
    w.add_int8("t.i8", -100)
    w.add_uint16("t.u16", 60000)
    w.add_int16("t.i16", -30000)
    w.add_uint32("t.u32", 4000000000)
    w.add_int32("t.i32", -2000000000)
    w.add_uint64("t.u64", 1 << 40)
    w.add_int64("t.i64", -(1 << 40))
    w.add_float32("t.f32", 0.5)
    w.add_float64("t.f64", -0.1)
    w.add_bool("t.bool", True)
    w.add_string("t.string", "héllo")
    w.add_array("t.strings", ["a", "bc", "", "déf"])
    w.add_array("t.ints", [1, -2, 3])
    w.add_array("t.reals", [0.5, -1.5])
    w.add_array("t.bools", [True, False])


def make_gguf():
    w = gguf.GGUFWriter(HERE / "all_types.gguf", "test")
    add_metadata(w)
    w.add_tensor("f32.weight", values(6).reshape(2, 3))
    w.add_tensor("f16.weight", values(10).astype(np.float16).reshape(2, 5))
    for t in (T.BF16, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1):
        w.add_tensor(t.name.lower() + ".weight", gguf.quantize(values(64).reshape(2, 32), t), raw_dtype=t)
    w.add_tensor("i32.ids", np.arange(7, dtype=np.int32))
    w.add_tensor("three.weight", values(24).reshape(2, 3, 4))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    w = gguf.GGUFWriter(HERE / "split.gguf", "test", split_max_tensors=2)
    w.add_string("t.string", "split")
    for i in range(3):
        w.add_tensor("part.%d" % i, values(8 + i))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_safetensors():
    d = {}
    for name in ("bool", "uint8", "int8", "float8_e5m2", "float8_e4m3fn", "float8_e8m0fnu", "int16", "uint16", "float16",
                 "bfloat16", "int32", "uint32", "float32", "float64", "int64", "uint64", "complex64"):
        d["x." + name] = torch.arange(4).to(getattr(torch, name))
    d["f32.b"] = torch.from_numpy(values(6)).reshape(2, 3)
    d["f32.a"] = torch.from_numpy(values(5))
    d["bf16"] = torch.from_numpy(values(12)).to(torch.bfloat16).reshape(3, 4)
    d["scalar"] = torch.tensor(2.5)
    d["empty"] = torch.zeros(0, 3)
    save_file(d, HERE / "all_types.safetensors", metadata={"format": "pt"})


def make_adapter():
    torch.manual_seed(7)
    config = transformers.LlamaConfig(vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=1,
                                      num_attention_heads=2, num_key_value_heads=1)
    model = peft.get_peft_model(
        transformers.LlamaForCausalLM(config),
        peft.LoraConfig(r=4, lora_alpha=6, lora_dropout=0.05, use_rslora=True, task_type="CAUSAL_LM",
                        target_modules=["q_proj", "v_proj", "down_proj"], rank_pattern={"down_proj": 2},
                        alpha_pattern={"self_attn.v_proj": 3.5, "q_(proj|x)": 8}))
    sums = {}
    for name, p in model.named_parameters():
        if "lora_" not in name:
            continue
        with torch.no_grad():
            p.copy_(torch.randn_like(p) * 0.1)
        sums[name] = float(p.detach().double().sum())
    scales = {n: m.scaling["default"] for n, m in model.base_model.model.named_modules() if isinstance(getattr(m, "scaling", None), dict)}
    model.save_pretrained(HERE / "peft_adapter")
    (HERE / "peft_adapter" / "README.md").unlink(missing_ok=True)
    return {"sums": sums, "scales": scales}


def main():
    shutil.rmtree(HERE / "peft_adapter", ignore_errors=True)
    make_gguf()
    make_safetensors()
    adapter = make_adapter()
    packages = ("gguf", "safetensors", "peft", "transformers", "torch", "numpy")
    versions = {p: importlib.metadata.version(p) for p in packages}
    (HERE / "versions.json").write_text(
        json.dumps({"versions": versions, "date": str(datetime.date.today()), "adapter": adapter}, indent=1) + "\n")


main()
