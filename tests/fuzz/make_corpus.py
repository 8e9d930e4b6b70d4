#!/usr/bin/env python3
"""Writes the seeds (corpus/NAME/*) and dictionaries (fuzz_NAME.dict) of the fuzz targets.

Run from anywhere: python3 tests/fuzz/make_corpus.py. What it writes is committed. Files named found-* in the corpus are
inputs that once failed; they are kept by hand and not touched here. Nothing comes from outside: everything is written
below, the configs of configs/, or a keyword list read from our own sources.
"""
import gzip
import json
import pathlib
import re
import struct

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def seeds(name, items):
    folder = HERE / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if not old.name.startswith("found-"):
            old.unlink()
    for key, data in items.items():
        (folder / key).write_bytes(data if isinstance(data, bytes) else data.encode())


def words(name, items):
    lines = [f"# Words of fuzz_{name}.c. Written by make_corpus.py."]
    for i, w in enumerate(dict.fromkeys(items)):
        data = w if isinstance(w, bytes) else w.encode()
        text = "".join(chr(b) if 32 <= b < 127 and chr(b) not in '\\"' else f"\\x{b:02x}" for b in data)
        lines.append(f'w{i}="{text}"')
    (HERE / f"fuzz_{name}.dict").write_text("\n".join(lines) + "\n")


def keys_of(path, pattern):
    return re.findall(pattern, (ROOT / path).read_text())


def compact(v):
    return json.dumps(v, separators=(",", ":"), ensure_ascii=False)


JSON_WORDS = ["{", "}", "[", "]", ":", ",", '"', "null", "true", "false", "0", "-1", "1e9", "9223372036854775807",
              "9223372036854775808", "1e400", "0.1", '\\u0000', '\\ud800', '\\udc00', '\\n', b"\xef\xbb\xbf", b"\xc3\xa9",
              b"\xf0\x9f\x98\x80", b"\xff", b"\x00", "[[[[[[[[", "{}", "[]", '""']

# ---- JSON ------------------------------------------------------------------------------------------------------------
seeds("json", {
    "object": '{"a": [1, -2, 3.5e-3, "x\\u00e9\\ud83d\\ude00\\n"], "b": {"c": null, "d": [true, false]}, "": 0}',
    "numbers": "[0, -0, -0.0, 1E+2, 9223372036854775807, -9223372036854775808, 9223372036854775808, 1.7976931348623157e308]",
    "deep": "[" * 30 + "]" * 30,
    "string": '"\\u0000\\"\\\\/\\b\\f\\n\\r\\t plain é 你好"',
    "twice": '{"k": 1, "k": 2}',
    "blank": " \n\t [ ] \n",
})
words("json", JSON_WORDS)

# ---- templates: what tests/golden_jinja renders, some in a seed; one that fails ends its seed's run ------------------
golden = json.loads((ROOT / "tests/golden_jinja/jinja.json").read_text())["cases"]
good, bad = [c[0] for c in golden if c[2] is not None], [c[0] for c in golden if c[2] is None]
seeds("jinja", {**{f"good-{i:02}": "".join(good[i::40]) for i in range(40)}, **{f"bad-{i:02}": bad[i] for i in range(0, len(bad), 5)}})
words("jinja", [w for f in ("filters", "filters_list", "tests", "methods", "methods_text") for w in keys_of(f"data/jinja_{f}.c", r'\{"([a-z_]+)"')]
      + keys_of("data/jinja_parse.c", r'\{?"((?:end)?[a-z]+)", (?:parse_|NULL)') + ["{{", "}}", "{%", "%}", "{#", "#}", "-%}", "{%-", "loop.", "ns.x", "namespace(", "messages", "[::-1]",
      " if ", " else ", " in ", " not ", " is ", " recursive", "|", "~", "**", "//", "\\x41", "\\u00e9", "%s", "{:>5}", "9223372036854775807", "1e300", "caller()", "varargs"])

# ---- config ----------------------------------------------------------------------------------------------------------
small = "base_model: m.gguf\ndatasets:\n  - path: a.jsonl\n    type: text\noutput_dir: out\n"
keys = keys_of("configs/schema.def", r'CONFIG_KEY\(\s*(\w+)')
defaults = keys_of("configs/schema.def", r'CONFIG_KEY\(\s*\w+,\s*\w+,\s*"([^"]+)"')
choices = [c for group in keys_of("configs/schema.def", r'"(\w+(?:\|\w+)+)"') for c in group.split("|")]
others = keys_of("configs/schema.def", r'CONFIG_(?:ALIAS|ABSENT)\(\s*(\w+)')
fields = keys_of("configs/schema.def", r'DATASET_(?:KEY|ALIAS|ABSENT)\(\s*(\w+)')
seeds("config", {
    "tiny": (ROOT / "configs/tiny.yaml").read_text(),
    "manual": (ROOT / "configs/smollm2_manual.yaml").read_text(),
    "small": small,
    "flow": 'base_model: "m"\ndatasets: [{path: a.jsonl, type: text}, {path: "b", field_text: t}]\n'
            "lora_target_modules: [q_proj, v_proj]\nlearning_rate: 1e-4\nsave_steps: 0.5\n",
    "aliases": small + "lora_rank: 8\nadapter: qlora\nwarmup_steps: 3\nbf16: auto\nlr_scheduler: cosine\n",
    "block": "# comment\nbase_model: |-\n  m.gguf\ndatasets:\n- path: >\n    a\n  type: text\n\nseed: 0x10\nval_set_size: .5\n",
    "overrides": small + "\0lora-r=4\0datasets.0.path=b.jsonl\0lora_target_modules=[q_proj]\0seed=7\0learning_rate=3e-4",
    "anchors": "base_model: &a m\ndatasets: *a\n",
    "documents": "%YAML 1.2\n---\na: !!str 1\n...\n---\nb: 2\n",
    "twice": small + "seed: 1\nseed: 2\n",
})
words("config", keys + defaults + choices + others + fields +
      [": ", "- ", "\n", "\n  ", "---\n", "...\n", "&a ", "*a", "!!str ", "? ", "|\n", ">-\n", "{", "}", "[", "]", "'", '"',
       "# ", "~", "null", "true", "false", "yes", "0x1F", "0o17", ".inf", ".nan", "1e400", "-1", "0.5", "1GiB", "%YAML 1.2\n",
       "<<: ", b"\x00", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc2\x85", b"\xe2\x80\xa8", "\t", "\\x", "=", ".0.", "datasets.0.path="])

# ---- JSONL -----------------------------------------------------------------------------------------------------------
names = keys_of("data/formats.c", r'\.name = "(\w+)"') + keys_of("data/dataset.h", r'X\(\w+, "(\w+)"\)')
seeds("jsonl", {
    "tokens": '{"input_ids": [5, 6, 7], "labels": [5, 6, -100]}\n\n{"labels": [-100, 8, 0, 99], "input_ids": [9, 8, 0, 99]}\n',
    "prompts": '{"prompt": "What is 2 + 2?", "completion": " 4"}\r\n{"prompt": "", "completion": "x<|im_end|>"}\r\n',
    "text": '\ufeff{"text": "Hello, world. é 你好 \\ud83d\\ude00"}\n{"text": "a"}\n{"text": "' + "long words " * 12 + '"}\n',
    "many": "".join('{"input_ids": [%d, %d, 3], "labels": [-100, %d, 3]}\n' % (i, i + 1, i + 1) for i in range(1, 30)),
    "bad": '{"text": "a"}\n{"text": 1}\n',
    "both": '{"text": "a", "prompt": "b", "completion": "c"}\n',
    "array": '[\n {"text": "a ]} \\" b"}, {"text": "c", "x": [[], {"y": 1}]}\n]\n',
    "gzip": gzip.compress(b'{"text": "a"}\n{"text": "b"}\n', mtime=0) + gzip.compress(b'{"text": "c"}', mtime=0),
    # a frame of one block as it is and one of a byte 300 times, then one that is skipped
    "zstd": b'\x28\xb5\x2f\xfd\0\x38\x70\0\0{"text": "a"}\n\x63\x09\0 ' + b"\x50\x2a\x4d\x18\2\0\0\0ab",
})
words("jsonl", JSON_WORDS + [f'"{n}":' for n in names] + ["\n", "\r\n", "-100", "1023", "1024", '"input_ids": [1, 2], "labels": [1, 2]',
                                                         "<|im_end|>", "<|im_start|>", "<|endoftext|>"])

# ---- rows of every type: the type's place in FORMATS, what is trained, the file ---------------------------------------
formats = keys_of("data/formats.c", r'\.name = "(\w+)"')
columns = keys_of("data/dataset.h", r'X\(\w+, "(\w+)"\)')


def said(role, text, **more):
    return dict({"role": role, "content": text}, **more)


def turn(who, text, **more):
    return dict({"from": who, "value": text}, **more)


ask, good, bad_answer = said("user", "Hi?"), said("assistant", "Yes."), said("assistant", "No.")
call = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
rows = {
    "prompt_completion": [{"prompt": "Hi?", "completion": " Yes."}, {"prompt": "<|im_start|>user\nx<|im_end|>\n", "completion": "y"},
                          {"prompt": [said("system", "s"), ask], "completion": [good, ask, good], "tools": []}],
    "text": [{"text": "Hello \u00e9"}],
    "tokens": [{"input_ids": [5, 6, 7], "labels": [-100, 6, 9]}],
    "chat": [{"messages": [said("system", "s"), ask, said("assistant", "", tool_calls=[call, call]), said("tool", "7", tool_call_id="1"),
                           said("assistant", [{"type": "text", "text": "t"}], reasoning_content="r", train=True), said("user", " "),
                           said("assistant", "w", weight=0)],
              "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
             {"messages": [said("user", "\u4f60"), said("assistant", None, tool_calls=[call]), said("x", "raise")]}, {"messages": []}],
    "sharegpt": [{"conversations": [turn("human", "q"), turn("function_call", '{"name": "f", "arguments": {}}'), turn("observation", "7"),
                                    turn("gpt", "a", weight=1), turn("GPT", "b", train=False)], "system": "s",
                  "tools": '[{"name": "f", "parameters": {}}]'},
                 {"conversations": [ask, {"role": "human", "value": "z"}, {"from": "model", "content": "m"}, turn("alien", "x")]}],
    "alpaca": [{"instruction": "i", "input": "j", "output": "o", "system": "s", "history": [["a", "b"], ["c", "d"]]},
               {"instruction": "i", "output": "o"}, {"instruction": "", "input": "", "output": " ", "history": []}],
    "input_output": [{"segments": [{"label": False, "text": "a "}, {"label": True, "text": "b<|im_end|>"}, {"label": True, "text": ""}]}],
    "preference": [{"prompt": "p", "chosen": " c", "rejected": " r"}, {"chosen": "same c", "rejected": "same r"},
                   {"prompt": [ask], "chosen": [good], "rejected": [bad_answer]}, {"chosen": [ask, good], "rejected": [ask, bad_answer]},
                   {"conversations": [turn("human", "q")], "chosen": turn("gpt", "c"), "rejected": turn("gpt", "r"), "system": "s"},
                   {"instruction": "i", "input": "j", "chosen": "c", "rejected": "r"}, {"messages": [ask], "chosen": "c", "rejected": "c"}],
    "kto": [{"prompt": "p", "completion": "c", "label": True}, {"prompt": [ask], "completion": [good], "label": False},
            {"messages": [ask, good], "label": True}, {"conversations": [turn("human", "q"), turn("gpt", "a")], "label": False},
            {"instruction": "i", "output": "o", "label": True}],
}
row_seeds = {}
for name, examples in rows.items():
    lines = "\n".join(compact(r) for r in examples) + "\n"
    row_seeds[name] = bytes([formats.index(name), 0]) + lines.encode()
    row_seeds[name + "_bare"] = bytes([formats.index(name), 1 | 2 | 8]) + lines.encode()
    row_seeds[name + "_options"] = bytes([formats.index(name), 4 | 16 | 32]) + lines.encode()
    for i, r in enumerate(examples):
        row_seeds[f"found_{name}_{i}"] = bytes([len(formats), 8 * (i % 4)]) + (compact([r, r]) if i % 2 else compact(r)).encode()
row_seeds["mixed"] = bytes([len(formats), 0]) + "\r\n".join(compact(r[0]) for r in rows.values()).encode()
seeds("rows", {k.replace("found_", "detected_"): v for k, v in row_seeds.items()})
speakers = keys_of("data/formats_chat.c", r'\{"([a-z_-]+)", "[a-z]+", (?:true|false)\}')
words("rows", JSON_WORDS + [f'"{c}":' for c in columns] + [f'"{w}"' for w in speakers] +
      ['"role":', '"content":', '"from":', '"value":', '"train":', '"weight":', '"tool_calls":', '"function":', '"name":', '"arguments":',
       '"reasoning_content":', '"type":"text","text":', '{"role":"user","content":"a"}', '{"role":"assistant","content":"b"}',
       '{"from":"gpt","value":"b"}', '[["a","b"]]', '{"label":true,"text":"a"}', '"x"', "\n", "\r\n", "<|im_end|>", "<|im_start|>", "0.5"])

# ---- safetensors -----------------------------------------------------------------------------------------------------


def st_header(tensors, meta=None):
    header, at = {}, 0
    if meta:
        header["__metadata__"] = meta
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return compact(header), bytes(i % 251 for i in range(at))


def st_text(*args):
    header, data = st_header(*args)
    return header.encode() + b"\0" + data


def st_raw(*args):
    header, data = st_header(*args)
    header = header + " " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header.encode() + data


two = {"a.weight": ("F32", [2, 3], 24), "b": ("BF16", [4], 8)}
scalars = {"s": ("I64", [], 8), "none": ("U8", [0, 5], 0), "x": ("F8_E4M3", [3, 1, 1], 3)}
index = compact({"metadata": {"total_size": 32}, "weight_map": {n: "model-00001-of-00001.safetensors" for n in two}})
seeds("safetensors", {
    "raw": b"R" + st_raw(two, {"format": "pt"}),
    "raw_empty": b"R" + struct.pack("<Q", 2) + b"{}",
    "header": b"H" + st_text(two, {"format": "pt", "made by": "a test"}),
    "scalars": b"H" + st_text(scalars),
    "index": b"I" + index.encode() + b"\0" + st_text(two),
})
st_words = ["__metadata__", '"dtype":', '"shape":', '"data_offsets":', "[0,0]", "weight_map", "metadata",
            "model-00001-of-00001.safetensors", "../", "total_size"] + \
    keys_of("checkpoints/safetensors.h", r"X\((\w+), \d\)")
words("safetensors", JSON_WORDS + st_words)

# ---- PEFT ------------------------------------------------------------------------------------------------------------
P = "base_model.model.model.layers.0.self_attn."
lora = {P + "q_proj.lora_A.weight": ("F32", [2, 3], 24), P + "q_proj.lora_B.weight": ("F32", [4, 2], 32)}
mixed = {P + "q_proj.lora_A.weight": ("BF16", [1, 2], 4), P + "q_proj.lora_B.weight": ("F16", [2, 1], 4),
         P + "v_proj.lora_A.weight": ("F32", [2, 2], 16), P + "v_proj.lora_B.weight": ("F32", [2, 2], 16)}
base = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "bias": "none",
        "base_model_name_or_path": "m", "lora_dropout": 0.1, "use_rslora": False, "task_type": "CAUSAL_LM"}
patterns = dict(base, target_modules=["q_proj", "v_proj"], rank_pattern={"q_proj": 1, "layers\\\\.[0-9]+\\\\.mlp": 3},
                alpha_pattern={"^model.layers.0.self_attn.(q|v)_proj": 8, "v_proj": 0.5}, use_rslora=True)
seeds("peft", {
    "plain": compact(base).encode() + b"\0" + st_text(lora, {"format": "pt"}),
    "patterns": compact(patterns).replace("\\\\\\\\", "\\\\").encode() + b"\0" + st_text(mixed),
    "dora": compact(dict(base, use_dora=True)).encode() + b"\0" + st_text(lora),
    "unpaired": compact(base).encode() + b"\0" + st_text({P + "q_proj.lora_A.weight": ("F32", [2, 3], 24)}),
    "base_copy": compact(dict(base, target_modules=["lm_head"])).encode() + b"\0" + st_text({
        "base_model.model.lm_head.lora_A.weight": ("F32", [2, 2], 16), "base_model.model.lm_head.lora_B.weight": ("F32", [3, 2], 24),
        "base_model.model.lm_head.base_layer.weight": ("F32", [3, 2], 24)}),
})
peft_keys = keys_of("checkpoints/adapter_peft.c", r'\{"(\w+)", [A-Z_]+\}')
words("peft", JSON_WORDS + st_words + [f'"{k}":' for k in peft_keys] +
      ["LORA", "none", "gaussian", "base_model.model.", ".lora_A.weight", ".lora_B.weight", ".base_layer.weight", "lm_head", "q_proj",
       "(a|b)*", "(((", "[0-9]+", "[^.]*", ".*", "a{1000}", "(a*)*", "\\\\d", "\\\\.", "^", "$", "(?:", "|", "x+y?"])

# ---- config.json -----------------------------------------------------------------------------------------------------
hf = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 16,
      "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 2, "vocab_size": 32,
      "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
      "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False, "bos_token_id": 1, "eos_token_id": [2, 3],
      "torch_dtype": "bfloat16", "use_cache": True}
llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
new = dict(hf, rope_parameters=dict(llama3, rope_theta=5e5), dtype="float32", eos_token_id=2)
del new["rope_theta"], new["torch_dtype"]
seeds("hf_config", {
    "llama": compact(hf),
    "llama3": compact(dict(hf, rope_scaling=llama3)),
    "linear": compact(dict(hf, rope_scaling={"type": "linear", "factor": 2.0})),
    "new": compact(new),
    "qwen": compact(dict(hf, architectures=["Qwen2ForCausalLM"], model_type="qwen2", use_sliding_window=False,
                         sliding_window=None, layer_types=["full_attention"] * 2)),
})
hf_keys = keys_of("checkpoints/hf_config.c", r'"(\w+)"')
words("hf_config", JSON_WORDS + [f'"{k}":' for k in hf_keys] + ["silu", "gelu", "llama3", "linear", "yarn", "1e-30", "1048577"])

# ---- GGUF ------------------------------------------------------------------------------------------------------------
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q", I64: "<q", F64: "<d"}


def g_string(s):
    data = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(data)) + data


def g_value(kind, v):
    return g_string(v) if kind == STRING else struct.pack(PACK[kind], v)


def g_kv(key, kind, v):
    out = g_string(key) + struct.pack("<I", ARRAY if isinstance(v, list) else kind)
    if isinstance(v, list):
        return out + struct.pack("<IQ", kind, len(v)) + b"".join(g_value(kind, x) for x in v)
    return out + g_value(kind, v)


def gguf(kvs, tensors, version=3, align=32):
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(kvs))
    head += b"".join(g_kv(*kv) for kv in kvs)
    at, data = 0, b""
    for name, kind, dims, size in tensors:
        head += g_string(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        head += struct.pack("<IQ", kind, len(data))
        data += bytes(i % 7 for i in range(size))
        data += bytes(-len(data) % align)
    return head + bytes(-len(head) % align) + data


D, FF, V = 32, 32, 6
LAYER = [("attn_norm", 0, [D]), ("attn_q", 8, [D, D]), ("attn_k", 0, [D, 8]), ("attn_v", 1, [D, 8]), ("attn_output", 2, [D, D]),
         ("ffn_norm", 0, [D]), ("ffn_gate", 3, [D, FF]), ("ffn_up", 8, [D, FF]), ("ffn_down", 30, [FF, D])]
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 8: (32, 34), 30: (1, 2)}


def sized(name, kind, dims):
    n = 1
    for x in dims:
        n *= x
    return (name, kind, dims, n // BLOCKS[kind][0] * BLOCKS[kind][1])


model_kv = [("general.architecture", STRING, "llama"), ("llama.block_count", U32, 1), ("llama.context_length", U32, 64),
            ("llama.embedding_length", U32, D), ("llama.feed_forward_length", U32, FF), ("llama.attention.head_count", U32, 4),
            ("llama.attention.head_count_kv", U32, 1), ("llama.rope.freq_base", F32, 10000.0),
            ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5)]
# Six tokens of a SentencePiece vocabulary, no byte tokens.
spm_kv = [("tokenizer.ggml.model", STRING, "llama"), ("tokenizer.ggml.tokens", STRING, ["<unk>", "<s>", "</s>", "▁", "a", "▁a"]),
          ("tokenizer.ggml.scores", F32, [0.0, 0.0, 0.0, -1.0, -2.0, -0.5]), ("tokenizer.ggml.token_type", I32, [2, 3, 3, 1, 1, 1]),
          ("tokenizer.ggml.bos_token_id", U32, 1), ("tokenizer.ggml.eos_token_id", U32, 2),
          ("tokenizer.ggml.add_bos_token", BOOL, 1), ("tokenizer.ggml.add_space_prefix", BOOL, 1)]
tensors = [sized("token_embd.weight", 1, [D, V]), sized("output_norm.weight", 0, [D])] + \
          [sized(f"blk.0.{n}.weight", k, d) for n, k, d in LAYER]
kinds = [(f"k{t}", t, 1) for t in (U8, I8, U16, I16, U32, I32, F32, BOOL, U64, I64, F64)] + \
        [(f"a{t}", t, [1, 0, 1]) for t in (U8, I16, U64, F64, BOOL)] + [("as", STRING, ["", "x"]), ("general.alignment", U32, 64)]
seeds("gguf", {
    "model": gguf(model_kv + spm_kv, tensors),
    "kinds": gguf(kinds, [("t", 0, [3], 12), ("u", 8, [32, 2, 1, 1], 68)], align=64),
    "empty": gguf([], []),
    "version2": gguf([("general.name", STRING, "x")], [("t", 26, [2], 8)], version=2),
})
gguf_keys = ["llama." + k for k in keys_of("checkpoints/gguf_config.c", r'\{"([a-z_.]+)", [A-Z_]+\}')] + \
            keys_of("train/tokenizer_load.c", r'"((?:tokenizer|general)\.[a-z_.]+)"') + \
            ["general.architecture", "general.alignment", "general.quantization_version", "split.count", "split.no",
             "split.tensors.count", "tokenizer.chat_template", "llama.rope.scaling.type"]
roles = keys_of("train/model/tensors.def", r'"([a-z_.]+)"')
words("gguf", ["GGUF"] + gguf_keys + [struct.pack("<I", i) for i in range(13)] +
      [struct.pack("<Q", v) for v in (0, 1, 31, 32, 63, 64, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)] +
      [struct.pack("<Q", len(k)) + k.encode() for k in gguf_keys[:20]])


def g_line(key, kind, v):
    one = {U32: "u", I32: "i", F32: "f", BOOL: "b", STRING: "s"}[kind]
    if isinstance(v, list):
        one = {"u": "I", "i": "I", "f": "F", "s": "S"}[one]
        return f"{one} {key} " + ("\t" if kind == STRING else ",").join(str(x) for x in v)
    return f"{one} {key} {v}"


def g_text(kvs, tensors, text):
    return "\n".join([g_line(*kv) for kv in kvs] +
                     [f"t {n} {k} " + ",".join(map(str, d)) for n, k, d, _ in tensors] + ["x " + text]) + "\n"


def byte_letters():
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


letters = byte_letters()
gpt_tokens = [letters[b] for b in range(256)] + ["he", "ll", "llo", "hello", "Ġw", "<|endoftext|>", "<|im_end|>"]
bpe_kv = [("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, "llama-bpe"),
          ("tokenizer.ggml.tokens", STRING, gpt_tokens),
          ("tokenizer.ggml.token_type", I32, [1] * 261 + [3, 3]),
          ("tokenizer.ggml.merges", STRING, ["h e", "l l", "ll o", "he llo", "Ġ w"]),
          ("tokenizer.ggml.eos_token_id", U32, 261), ("tokenizer.ggml.eot_token_id", U32, 262),
          ("tokenizer.chat_template", STRING, "{{ messages }}")]
few = ["h", "e", "l", "o", "he", "ll", "<x>"]
few_kv = [("general.architecture", STRING, "qwen2"), ("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, "qwen2"),
          ("tokenizer.ggml.tokens", STRING, few), ("tokenizer.ggml.token_type", I32, [1, 1, 1, 1, 1, 1, 4]),
          ("tokenizer.ggml.merges", STRING, ["h e", "l l"])]
byte_spm = [("tokenizer.ggml.model", STRING, "llama"),
            ("tokenizer.ggml.tokens", STRING, ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + ["▁", "a", "▁a", "  "]),
            ("tokenizer.ggml.scores", F32, [0.0] * 259 + [-1.0, -2.0, -0.5, -3.0]),
            ("tokenizer.ggml.token_type", I32, [2, 3, 3] + [6] * 256 + [1, 1, 1, 4])]
seeds("gguf_text", {
    "model": g_text(model_kv + spm_kv, tensors, "a a<s>aa"),
    "byte_level": g_text(bpe_kv, [], "hello world's 12 <|im_end|>\n"),
    "few": g_text(few_kv, [], "hello <x>hell"),
    "byte_fallback": g_text(byte_spm, [], "a é  你<s>"),
    "rope": g_text(model_kv + [("llama.rope.scaling.type", STRING, "linear"), ("llama.rope.scaling.factor", F32, 2.0),
                               ("llama.vocab_size", U32, V), ("llama.attention.key_length", U32, 8)],
                   tensors + [("rope_freqs.weight", 0, [4], 16), ("output.weight", 0, [D, V], 0)], "a"),
})
pre = [w for names_ in keys_of("data/tokenizer_pre.c", r'\.names = "([^"]+)"') for w in names_.split()]
words("gguf_text", gguf_keys + pre + roles + ["blk.0.", ".weight", ".bias", "\nu ", "\ni ", "\nf ", "\nb ", "\ns ", "\nI ", "\nF ", "\nS ",
                                             "\nt ", "\nx ", "\t", ",", "llama", "gpt2", "qwen2", "linear", "none", "yarn", "-1", "1e39",
                                             "4294967295", "2147483648", "<0x41>", "<|im_end|>", "</s>", "▁", "Ġ", "32,32", b"\xff"])

# ---- tokenizer.json --------------------------------------------------------------------------------------------------


def token(i, text, **more):
    return dict({"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                 "special": True}, **more)


def parts(*values):
    return b"\0".join(v if isinstance(v, bytes) else v.encode() if isinstance(v, str) else compact(v).encode() for v in values)


GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
LLAMA3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
few_vocab = {t: i for i, t in enumerate(["h", "e", "l", "o", "Ġ", "he", "ll", "llo", "hello", "w"])}
split = {"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated", "invert": False}
byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
gpt = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [token(10, "<s>"), token(11, "<|x|>", special=False, lstrip=True)],
       "normalizer": {"type": "NFC"},
       "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
       "post_processor": {"type": "TemplateProcessing",
                          "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                          "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [10], "tokens": ["<s>"]}}},
       "decoder": {"type": "ByteLevel"},
       "model": {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                 "vocab": few_vocab, "merges": ["h e", "l l", "ll o", ["he", "llo"]]}}
spm_vocab = {t: i for i, t in enumerate(["<unk>", "<s>", "</s>", "▁", "a", "▁a", "<0xC3>", "<0xA9>"])}
spm = {"added_tokens": [token(0, "<unk>"), token(1, "<s>"), token(2, "</s>", single_word=True, rstrip=True)],
       "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                                                          {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
       "pre_tokenizer": None, "post_processor": None,
       "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                                                    {"type": "ByteFallback"}, {"type": "Fuse"},
                                                    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
       "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "vocab": spm_vocab, "merges": ["▁ a"]}}
metaspace = dict(spm, normalizer=None, pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
                 decoder={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True})
digits = dict(gpt, pre_tokenizer={"type": "Sequence", "pretokenizers": [
    {"type": "Digits", "individual_digits": True},
    {"type": "Split", "pattern": {"String": "l"}, "behavior": "MergedWithPrevious", "invert": True},
    {"type": "Split", "pattern": {"Regex": "[^\\s(a-c)]{2,5}?|(?<=x)y|\\p{Lu}*+"}, "behavior": "Removed"}, byte_level]})
config = {"bos_token": "<s>", "eos_token": {"content": "<|x|>"}, "pad_token": None, "add_bos_token": True, "chat_template": "{{ x }}",
          "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 1000}
seeds("tokenizer", {
    "byte_level": parts(gpt, config, "hello hello<s> wo <|x|>"),
    "spm": parts(spm, dict(config, eos_token="</s>", tokenizer_class="LlamaTokenizer", chat_template=[{"name": "default", "template": "y"}]),
                 "a aé</s> a", {"eos_token_id": [2, 1]}),
    "metaspace": parts(metaspace, "", "a aaa a"),
    "digits": parts(digits, "", "hel12lo xy"),
    "alone": parts({"model": {"vocab": {"a": 0}, "merges": []}}),
})
stages = keys_of("data/tokenizer_json_stages.c", r'"(\w+)"') + keys_of("data/tokenizer_json.c", r'"(\w+)"') + \
    keys_of("data/tokenizer_json_config.c", r'"(\w+)"')
words("tokenizer", JSON_WORDS + [f'"{s}"' for s in stages] +
      ["\\\\p{L}", "\\\\p{N}+", "\\\\s", "\\\\S", "\\\\d", "\\\\w", "(?i:", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "[^", "a-z", "]", "{1,3}",
       "{1000}", "*+", "+?", "|", "(", ")", "$", "^", ".", "\\\\x{10FFFF}", "\\\\u00e9", "▁", "Ġ", "<0x41>", "65535", "65536"])

# ---- metrics.jsonl, two of them ------------------------------------------------------------------------------------------
def metrics(steps, seed=0, evals=(0, 2), **other):
    lines = []
    for step in range(steps + 1):
        if step > 0:
            line = {"event": "step", "step": step, "epoch": step / 8, "loss": 2.5 - step / 10, "learning_rate": 2e-4, "grad_norm": 0.75,
                    "tokens": 2048, "trained_tokens": 1200, "tokens_per_second": 150.5, "elapsed_s": step * 1.5, "rss_bytes": 1 << 20,
                    "state_hash": f"{seed + step:032x}"}
            line.update(other)
            lines.append(line)
        if step in evals:
            lines.append({"event": "eval", "step": step, "dataset": "test.jsonl", "loss": 1.5, "perplexity": 4.48, "tokens": 99})
    return "\n".join(json.dumps(line) for line in lines) + "\n"


seeds("verify", {
    "equal": metrics(3) + "\0" + metrics(3, elapsed_s=7, tokens_per_second=1),
    "hash": metrics(3) + "\0" + metrics(3, seed=1),
    "loss": metrics(2) + "\0" + metrics(2, loss=-0.0),
    "shorter": metrics(3) + "\0" + metrics(2),
    "evals": metrics(3) + "\0" + metrics(3, evals=(1, 2)),
    "member": metrics(1) + "\0" + metrics(1, another=[1, {"a": None}], loss="x"),
    "alone": metrics(1),
    "no_steps": metrics(0) + "\0" + metrics(1),
    "cut_off": metrics(1) + "\0" + metrics(1)[:-40],
})
words("verify", sorted(json.loads(metrics(1, evals=()))) + ['"event":"step"', '"event":"eval"', '"step":', "\n", "{", "}", ",", "\\u0000", "1e308", "-1",
                "9223372036854775808", "null", "true", "[]", "{}", b"\x00"])

# ---- prepared data ---------------------------------------------------------------------------------------------------
both = 's [{"path":"a","type":"tokens","bare":0,"first_row":0},{"path":"b","type":"chat","found_by":"messages","bare":1,"first_row":2}]\n'
columns_of_rows = ("d bounds 2 4 0,3,5,9\nd rows/line 2 3 1,2,1\nd rows/source 1 3 0,0,1\nd rows/number 1 3 0,1,2\nd rows/trained 1 3 2,1,3\n"
                   "d rows/side 0 3 0\nd ids 1 9 1,2,3,4,5,6,7,8,49\nd trained 0 9 0,1,1,0,1,0,1,1,1\n")
ledger_of_rows = "d ledger 2 2,4 2,5,3,2,1,4,3,1\n"
one = "h\n" + both + columns_of_rows + ledger_of_rows
seeds("prepared", {
    "whole": one,
    "labels": one + "d label_rows 2 2,2 0,0,5,3\nd labels 1 7 1,2,9,4,5,6,8\n",
    "labels_alone": one + "d label_rows 2 1,2 3,0\nd labels 1 1 1\n",
    "label_dims": one + "d label_rows 2 4 0,0,5,3\nd labels 1 7 1\n",
    "headless": both + columns_of_rows,
    "no_sources": "h\ns []\n" + columns_of_rows,
    "one_source": "h\n" + both.replace('},{"path', '},{"other').replace('"chat"', '"none"') + columns_of_rows,
    "bounds": one.replace("0,3,5,9", "0,3,3,9"),
    "negative": one.replace("0,3,5,9", "-9223372036854775808,3,5,9"),
    "beyond": one.replace("0,3,5,9", "0,3,5,9223372036854775807"),
    "vocabulary": one.replace("8,49", "8,50"),
    "first_trained": one.replace("0,1,1,0,1,0", "1,1,1,0,1,0"),
    "types": one.replace("d ids 1", "d ids 4").replace("d bounds 2", "d bounds 3"),
    "texts": "t format lorac-prepared-data\nd version 2 \nt key 0123456789abcdef0123456789abcdef\n" + both + columns_of_rows,
})
words("prepared", ["h\n", "s [", "t ", "d ", "bounds 2 ", "rows/line 2 ", "rows/source 1 ", "rows/number 1 ", "rows/trained 1 ", "rows/side 0 ", "ids 1 ",
                   "trained 0 ", "labels 1 ", "label_rows 2 ", "ledger 2 2,4 ", "key ", "format ", "version ", '"path":', '"type":"', '"found_by":', '"bare":',
                   '"first_row":', "9223372036854775807", "-9223372036854775808", "2147483648", "-1", "4096", "0", ",", "\n", " ", "{", "}"])

# ---- state.h5 --------------------------------------------------------------------------------------------------------
seeds("state", {
    "whole": "h 12\nd int/tokens 2 \nd real/loss 5 \ns text/config base_model: x\nd array/adapter 4 2,3\nd array/one 4 1,1\n",
    "large": "h 3\nd array/a 4 64,64\nd array/b 0 4096\nd array/c 4 2,3,1\n",
    "headless": "d version 2 \nd step 2 \ns format lorac-train-state\n",
    "wrong": "s format lorac\nd version 1 \nd step 5 2\n",
    "kinds": "h 1\nd int/tokens 4 \nd real/loss 2 \nd text/config 0 5\ns array/adapter text\ns int/x 1\nd deep/er/than/usual 3 0\n",
    "negative": "h -5\nd int/tokens 2 \n",
    "bytes": b"R" + b"0" * 32 + b"  state.h5\n" + b"\0" + b"\x89HDF\r\n\x1a\n" + bytes(88),
    "no_sum": b"R\0" + b"\x89HDF\r\n\x1a\n",
})
words("state", ["h 1\n", "d ", "s ", "R", "int/", "real/", "text/", "array/", "format ", "version ", "step ", "lorac-train-state", "\n", " 2 ",
                " 4 2,3", " 4 64,64", "0", "1,1", ",", "/", "9223372036854775807", "-1", "  state.h5\n", b"\x00", b"\x89HDF\r\n\x1a\n"])
