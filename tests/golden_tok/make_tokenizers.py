#!/usr/bin/env python3
"""make_tokenizers.py SHARED_TOKENIZERS > tokenizers.jsonl: ids and decoded text of Hugging Face `tokenizers` for fixed and random texts.

One line per (tokenizer folder, text): {"tokenizer","text","ids","plain","decoded"}; ids with special tokens parsed, plain with
encode_special_tokens (special tokens written in the text are text), no BOS; decoded keeps special tokens. The first line names the
versions and the date. A development tool; the test that reads the file needs no Python."""
import datetime, json, os, random, sys, unicodedata
import tokenizers

TEXTS = ["Hello world", "  two  spaces and\ttabs\n\n\nlines   ", "int main(void) { return x->y[3] != 0x1F; } // ok", "1234567890 3.14 12,000",
         "你好，世界。漢字かなカナ한국어", "مرحبا بالعالم ١٢٣", "नमस्ते दुनिया", "👩‍👩‍👧‍👦🏳️‍🌈 🇩🇪 👍🏽", "e\u0301 a\u0308\u0323 Å \u212b \ufb01", "I'll you're WE'VE 'ſ it's",
         "a\u0000b", "x" * 60, " " * 33 + "end", "\u00a0\u2003\u3000\u180e\u200b\ufeff.", "<s> </s> <|im_start|>user\nhi<|im_end|><bos><|eot_id|>",
         "<｜User｜>a<｜end▁of▁sentence｜>", "▁▁literal ▁", "Ünïcödé ΑΒΓ Привет", "\r\n\r\nwin\r\n", "", "\U0001fae8\U0001f6dc \u1c89\u1c8a \U00011f00"]


def random_text(rng):
    alphabet = "abcXYZ 019\n.,'<>-_éßçñ漢字ひらالन्ก่🎉\u0301\u200d"
    kind = rng.randrange(3)
    if kind == 0:
        return "".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 60)))
    out = []
    while len(out) < 20:
        c = chr(rng.randrange(0x20, 0x3000 if kind == 1 else 0x20000))
        if unicodedata.category(c) not in ("Cs", "Cn"):
            out.append(c)
    return "".join(out)


def main():
    rng = random.Random(11)
    texts = TEXTS + [random_text(rng) for _ in range(24)]
    print(json.dumps({"made_by": "tests/golden_tok/make_tokenizers.py", "tokenizers": tokenizers.__version__,
                      "date": str(datetime.date.today())}))
    for name in sorted(os.listdir(sys.argv[1])):
        path = os.path.join(sys.argv[1], name, "tokenizer.json")
        if not os.path.exists(path):
            continue
        t, plain = tokenizers.Tokenizer.from_file(path), tokenizers.Tokenizer.from_file(path)
        plain.encode_special_tokens = True
        for text in texts:
            ids = t.encode(text, add_special_tokens=False).ids
            print(json.dumps({"tokenizer": name, "text": text, "ids": ids, "plain": plain.encode(text, add_special_tokens=False).ids,
                              "decoded": t.decode(ids, skip_special_tokens=False)}, ensure_ascii=False))


main()
