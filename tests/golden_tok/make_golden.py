"""make_golden.py: what Hugging Face `tokenizers` gives for the texts of texts.jsonl, as hashes.

    python tests/golden_tok/make_golden.py NAME=PATH ...    (needs: tokenizers, gguf; versions are written into the files)

PATH is a tokenizer.json, or a GGUF file of the kind "smollm" (the oracle is then built from its tokens and merges with the
stages of that model's tokenizer.json: Digits, ByteLevel). texts.jsonl is made by the same script with a fixed seed when it
is missing. Each line of NAME.txt belongs to a text: 12 hex digits of SHA-256 over
  ids with special tokens parsed | ids without | decoded text of the first, all tokens | skipping special ones |
  decoded text of 12 ids drawn by a linear congruential generator seeded with the line's number
ids are hashed as decimal numbers joined by commas, texts as UTF-8.
"""

import datetime
import hashlib
import json
import os
import random
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
N_TEXTS, SEED, MASK = 400, 20251, (1 << 64) - 1
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
ASSIGNED = [c for c in SCALARS if unicodedata.category(chr(c)) != "Cn"]
# Characters that are newer than most tables: Unicode 15, 15.1, 16, 17.
NEW = [0x1E4D0, 0x1E4EC, 0x10EFD, 0x11F00, 0x11F02, 0x1D2C0, 0x31350, 0x2FFC, 0x1C89, 0x1C8A, 0xA7CB, 0x10D40, 0x10D4E,
       0x10D69, 0x113C2, 0x11BC0, 0x11BF0, 0x16D40, 0x16D63, 0x16D67, 0x105C9, 0x105D2, 0x1CCF0, 0x1CD00, 0x0897, 0x088F,
       0x11DE0, 0xA7CE, 0x16EA0, 0x1ACF, 0x20C1]
MARKS = [c for c in ASSIGNED if unicodedata.category(chr(c))[0] == "M"]
DECOMPOSING = [c for c in ASSIGNED if unicodedata.normalize("NFD", chr(c)) != chr(c)]
PARTS = sorted({ord(x) for c in DECOMPOSING for x in unicodedata.normalize("NFD", chr(c))})
CATEGORIES = {}
for _c in ASSIGNED:
    CATEGORIES.setdefault(unicodedata.category(chr(_c)), []).append(_c)
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\t\t", "\u00a0", "\u2003", "\u3000", "\u2028", "\x85", "\v", "\f",
          "\u200b", "\ufeff", "\u180e", "\x1c", "\x00", " \n ", "\n  ", " \t", "\r"]
SPECIAL = ["<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>", "<0x41>", "<|begin_of_text|>", "<|eot_id|>", "<|im_start|>",
           "<|im_end|>", "<|endoftext|>", "<start_of_turn>", "<end_of_turn>", "<think>", "</think>", "<tool_call>",
           "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<unused7>", "\u2581\u2581",
           "\u2581", "<table>", "<|fim_prefix|>", "<repo_name>", "[INST]"]
WORDS = ["The quick brown fox", "jumps over", "I'm", "we'LL", "don't", "they'\u017f", "HELLO", "caf\u00e9", "na\u00efve", "Z\u00fcrich",
         "stra\u00dfe", "3.14159", "1,000,000", "0x7f", "hello@example.com", "https://example.org/a?b=c", "C++", "f(x) = x**2",
         "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u3053\u308c\u306f\u30c6\u30b9\u30c8", "\uc548\ub155\ud558\uc138\uc694", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
         "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\u05e9\u05dc\u05d5\u05dd", "\u0393\u03b5\u03b9\u03ac",
         "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f1e9\U0001f1ea", "1\ufe0f\u20e3", "\ufb01", "\u00bd", "\u00b2", "\u2167"]
CODE = ["def add(a, b):\n    return a + b\n", "for (int i = 0; i < n; i++) {\n\tsum += x[i];\n}\n", "if x != y && !done {\r\n  return\r\n}\r\n",
        "SELECT * FROM t WHERE a >= 10;", "<div class=\"a\">&nbsp;</div>", "{\"k\": [1, 2.5e-3, null]}\n\n\n", "#include <stdio.h>\n\n\n\nint main(void)"]


def draw(rng):
    def chars(n, pool):
        return "".join(chr(rng.choice(pool)) for _ in range(n))

    kind = rng.randrange(12)
    if kind == 0:
        return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 8)))
    if kind == 1:
        return "".join(rng.choice(CODE) for _ in range(rng.randrange(1, 3)))
    if kind == 2:
        return "".join(rng.choice(SPACES) * rng.choice([1, 1, 2, 5, 17, 40]) + rng.choice(WORDS + [""]) for _ in range(rng.randrange(1, 5)))
    if kind == 3:
        return "".join(chars(rng.randrange(1, 4), CATEGORIES[rng.choice(sorted(CATEGORIES))]) + rng.choice(["", " ", "a", "1", "."]) for _ in range(rng.randrange(1, 10)))
    if kind == 4:
        return chars(rng.randrange(1, 20), SCALARS)
    if kind == 5:
        return "".join(rng.choice("aeiouAEIOUnNcds ") + chars(rng.randrange(0, 4), MARKS) for _ in range(rng.randrange(1, 12)))
    if kind == 6:
        return chars(rng.randrange(1, 16), PARTS)
    if kind == 7:
        return unicodedata.normalize(rng.choice(["NFC", "NFD"]), chars(rng.randrange(1, 10), DECOMPOSING)) + chars(rng.randrange(0, 3), MARKS)
    if kind == 8:
        return "".join(rng.choice(["", "", " ", "\n", "a"]) + chars(1, NEW) + rng.choice(["", "\u0301", "1", " b"]) for _ in range(rng.randrange(1, 12)))
    if kind == 9:
        return rng.choice(["", "a", " "]) + "".join(rng.choice(SPECIAL) + rng.choice(["", " ", "  ", "\n", "hello", " hello ", "\u0301"]) for _ in range(rng.randrange(1, 7)))
    if kind == 10:
        return rng.choice(["a", "ab", " ", "\n", "=", "-", "\u00e9", "\u4e2d", "\U0001f44d", "\u0301", "\x00", "\u2581", "1"]) * rng.randrange(1, 150)
    return "".join(rng.choice("abcXYZ _-/\\.,;:!?'\"()[]{}<>|@#$%^&*+=~`\n\t0123") for _ in range(rng.randrange(1, 60)))


def load(path):
    if not path.endswith(".gguf"):
        return Tokenizer.from_file(path)
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    tokens, kinds, merges = (fields["tokenizer.ggml." + k].contents() for k in ("tokens", "token_type", "merges"))
    t = Tokenizer(models.BPE(vocab={x: i for i, x in enumerate(tokens)}, merges=[tuple(m.split(" ")) for m in merges]))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(x, special=True, normalized=False) for x, k in zip(tokens, kinds) if k == 3])
    return t


def digest(text):
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


def random_ids(line, vocab):
    x, ids = line, []
    for _ in range(12):
        x = (x * 6364136223846793005 + 1442695040888963407) & MASK
        ids.append((x >> 33) % vocab)
    return ids


def main():
    texts_path = os.path.join(HERE, "texts.jsonl")
    if not os.path.exists(texts_path):
        rng = random.Random(SEED)
        with open(texts_path, "w") as f:
            f.writelines(json.dumps(draw(rng)) + "\n" for _ in range(N_TEXTS))
    texts = [json.loads(line) for line in open(texts_path)]
    for argument in sys.argv[1:]:
        name, path = argument.split("=", 1)
        t = load(path)
        vocab = max(t.get_vocab(with_added_tokens=True).values()) + 1
        with open(os.path.join(HERE, name + ".txt"), "w") as f:
            f.write("# tokenizers %s, %s, made by make_golden.py; vocabulary %d\n" % (tokenizers.__version__, datetime.date.today().isoformat(), vocab))
            for line, text in enumerate(texts):
                t.encode_special_tokens = True
                plain = t.encode(text, add_special_tokens=False).ids
                t.encode_special_tokens = False
                ids = t.encode(text, add_special_tokens=False).ids
                columns = [",".join(map(str, ids)), ",".join(map(str, plain)), t.decode(ids, skip_special_tokens=False),
                           t.decode(ids, skip_special_tokens=True), t.decode(random_ids(line, vocab), skip_special_tokens=False)]
                f.write(" ".join(map(digest, columns)) + "\n")


main()
