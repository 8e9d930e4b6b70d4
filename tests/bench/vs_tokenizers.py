"""vs_tokenizers.py: lorac's tokenizers beside Hugging Face `tokenizers` (Rust): equal ids, bytes per second, time to load.

    python tests/bench/vs_tokenizers.py BUILD FOLDER MODEL ... [--gsm8k train.jsonl] [--code FOLDER ...] [--threads 1,2]
                                        [--rounds 5] [--texts 2000] [--copies 8] [--only-check]

BUILD is a build folder with tests/bench/bench_tokenize. FOLDER takes the corpora and what the programs write; it is made. MODEL is a
model folder, a tokenizer.json, or a GGUF file of the kinds "smollm" and "llama" (the oracle is then built from its tokens and merges
or scores). Needs the Python packages tokenizers, and gguf for GGUF files.

Corpora: gsm8k (question and answer of each row, joined by a newline, the file eight times over: --copies), code (*.py, *.c, *.h below the
folders of --code, a text a file; default: Python's standard library and this repository), and, for equality alone, random: texts
that tokenizers stumble over, from a fixed seed.

Each round runs the one, then the other, in a process of its own; the best round of each counts. Hugging Face's time is the faster
one of encode_batch and encode_batch_fast over lists of 1,000 texts, with RAYON_NUM_THREADS threads; lorac's is bench_tokenize's: a
call a text, each thread with its cache. Only encoding is timed.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import sysconfig
import time
from array import array

HERE = os.path.dirname(os.path.abspath(__file__))
SPECIAL = ["<s>", "</s>", "<unk>", "<bos>", "<|begin_of_text|>", "<|eot_id|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>",
           "<start_of_turn>", "<end_of_turn>", "<think>", "</think>", "<\uff5cUser\uff5c>", "<0x41>", "[INST]", "<unused7>", "<h1>", "\u2581"]
ALPHABETS = ["abcdefghij", "aeiouAEIOUnNcds\u0301\u0327\u0308\u030a\u05b0\u3099", " \t\n\r\v\f\u00a0\u2003\u3000\u2028\x85\u200b", "0123456789\u0664\u00bd\u2167",
             "'sStTrReEvVmMlLdD\u017f \u2019", "!?.,:;()[]{}<>|@#$%^&*+=~`/\\-_\"'", "\u4f60\u597d\u4e16\u754c\u3053\u308c\u306f\u30c6\u30b9\u30c8\uff0c\u3002", "\uc548\ub155\ud558\uc138\uc694\u1100\u1161\u11a8",
             "\u0645\u0631\u062d\u0628\u0627\u0928\u092e\u0938\u094d\u0924\u0947", "\U0001f468\u200d\U0001f469\U0001f1e9\U0001f1ea\ufe0f\u20e3", "\u00e9\u00c5\u2126\ufb01\u0130\u01c5\u02b0\u1e9b\u0323", "aZ \n1.\u00e9\u4e2d\U0001f600"]


def random_text(rng):
    kind = rng.randrange(10)
    if kind == 0:
        return "".join(chr(rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, 0x110000), rng.randrange(0x3000)])) for _ in range(rng.randrange(1, 60)))
    if kind == 1:
        return "".join(rng.choice(SPECIAL) + rng.choice(["", " ", "  ", "\n", "hello", " hello "]) for _ in range(rng.randrange(1, 12)))
    if kind == 2:
        return "".join(rng.choice(rng.choice(ALPHABETS)) * rng.choice([1, 1, 2, 3, 5, 17, 64]) for _ in range(rng.randrange(1, 25)))
    return "".join("".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 12))) for alphabet in (rng.choice(ALPHABETS) for _ in range(rng.randrange(1, 25))))


def long_texts(rng):
    """Words and runs of about 100 kB, which make an engine without care quadratic."""
    yield from (c * 100_000 for c in ("a", " ", "\n", "=", "\u00e9", "\u4e2d", "1", "\u2581", "\u0301"))
    yield "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(100_000))
    yield "".join(rng.choice("abcABC123 .,\n") for _ in range(100_000))
    yield " \n" * 50_000 + "x"
    yield "a\u0301" * 30_000


def code_texts(folders):
    for folder in folders:
        for place, inner, names in os.walk(folder):
            inner[:] = sorted(d for d in inner if d not in ("site-packages", "dist-packages", "__pycache__", "build") and not d.startswith("."))
            for name in sorted(names):
                if not name.endswith((".py", ".c", ".h")):
                    continue
                try:
                    with open(os.path.join(place, name), encoding="utf-8", newline="") as f:
                        text = f.read()
                except (UnicodeDecodeError, OSError):
                    continue
                if text:
                    yield text


def write_texts(path, texts):
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.writelines(json.dumps(t, ensure_ascii=False) + "\n" for t in texts)


def read_texts(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        return [json.loads(line) for line in f]


def make_corpora(args):
    os.makedirs(args.folder, exist_ok=True)
    made = {}
    if args.gsm8k:
        rows = [json.loads(line) for line in open(args.gsm8k, encoding="utf-8")]
        made["gsm8k"] = [r["question"] + "\n" + r["answer"] for r in rows] * args.copies
    made["code"] = list(code_texts(args.code or [sysconfig.get_paths()["stdlib"], os.path.dirname(os.path.dirname(HERE))]))
    rng = random.Random(20261126)
    made["random"] = [random_text(rng) for _ in range(args.texts)] + list(long_texts(rng))
    for name, texts in made.items():
        write_texts(corpus(args, name), texts)
    return [n for n in ("gsm8k", "code", "random") if n in made]


def corpus(args, name):
    return os.path.join(args.folder, name + ".jsonl")


# ---- Hugging Face ----------------------------------------------------------------------------------------------------------------


def spm_merges(tokens, scores, kinds):
    """Every way to cut a token in two tokens, better tokens first: what the sentencepiece model means."""
    ids = {t: i for i, t in enumerate(tokens) if kinds[i] in (1, 4, 5)}
    merges = []
    for token, at in ids.items():
        cuts = [(token[:i], token[i:]) for i in range(1, len(token))]
        merges += [(-scores[at], ids[a], ids[b], a, b) for a, b in cuts if a in ids and b in ids]
    return [(a, b) for _, _, _, a, b in sorted(merges)]


def load_oracle(path):
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

    if not path.endswith(".gguf"):
        return Tokenizer.from_file(os.path.join(path, "tokenizer.json") if os.path.isdir(path) else path)
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    get = lambda key: fields["tokenizer.ggml." + key].contents()
    tokens, kinds = get("tokens"), get("token_type")
    if get("model") == "llama":
        t = Tokenizer(models.BPE(vocab={x: i for i, x in enumerate(tokens)}, merges=spm_merges(tokens, get("scores"), kinds),
                                 byte_fallback=True, fuse_unk=True, unk_token=tokens[0]))
        t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    else:
        assert get("pre") == "smollm", "only the kinds smollm and llama have an oracle"
        t = Tokenizer(models.BPE(vocab={x: i for i, x in enumerate(tokens)}, merges=[tuple(m.split(" ")) for m in get("merges")]))
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.add_special_tokens([AddedToken(x, special=True, normalized=False) for x, k in zip(tokens, kinds) if k in (2, 3)])
    return t


def oracle_main(model, texts_path, ids_path):
    """A process of its own: loads, encodes, prints one JSON line; with ids_path it writes the ids as bench_tokenize does."""
    start = time.perf_counter()
    t = load_oracle(model)
    load_s = time.perf_counter() - start
    texts = read_texts(texts_path)
    total = sum(len(x.encode("utf-8")) for x in texts)
    lists = [texts[i:i + 1000] for i in range(0, len(texts), 1000)]
    best, ids = None, []
    for encode in (t.encode_batch, t.encode_batch_fast):
        start = time.perf_counter()
        kept = [encode(part, add_special_tokens=False) for part in lists]
        seconds = time.perf_counter() - start
        best = seconds if best is None else min(best, seconds)
        if ids_path and not ids:
            ids = [e.ids for part in kept for e in part]
        del kept
    if ids_path:
        with open(ids_path, "wb") as f:
            for row in ids:
                f.write(array("i", [len(row)] + row).tobytes())
    print(json.dumps({"load_s": load_s, "encode_s": best, "mb_per_s": total / best / 1e6}))


# ---- side by side ----------------------------------------------------------------------------------------------------------------


def run(command, threads):
    env = dict(os.environ, RAYON_NUM_THREADS=str(threads), TOKENIZERS_PARALLELISM="true" if threads > 1 else "false")
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit("%s\n%s" % (" ".join(command), done.stderr))
    return json.loads(done.stdout.splitlines()[-1])


def first_difference(args, name, ours, theirs):
    a, b = array("i"), array("i")
    for path, to in ((ours, a), (theirs, b)):
        with open(path, "rb") as f:
            to.frombytes(f.read())
    if a == b:
        return None
    at_a = at_b = 0
    for text in read_texts(corpus(args, name)):
        row_a, row_b = a[at_a + 1:at_a + 1 + a[at_a]], b[at_b + 1:at_b + 1 + b[at_b]]
        if row_a != row_b:
            return "text %.200r\n  lorac        %s\n  tokenizers   %s" % (text, list(row_a[:60]), list(row_b[:60]))
        at_a += 1 + len(row_a)
        at_b += 1 + len(row_b)
    return "files of other lengths"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("folder")
    p.add_argument("models", nargs="+")
    p.add_argument("--gsm8k")
    p.add_argument("--copies", type=int, default=8)
    p.add_argument("--code", nargs="+")
    p.add_argument("--threads", default="1,2")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--texts", type=int, default=2000)
    p.add_argument("--only-check", action="store_true")
    args = p.parse_args()
    bench = os.path.join(args.build, "tests", "bench", "bench_tokenize")
    corpora, bad = make_corpora(args), 0
    print("load average %s; corpora: %s" % (" ".join("%.1f" % x for x in os.getloadavg()), ", ".join("%s %.1f MB" % (c, os.path.getsize(corpus(args, c)) / 1e6) for c in corpora)))
    print("| tokenizer | text | threads | lorac MB/s | tokenizers MB/s | ratio | load: lorac, tokenizers (s) | ids |\n|---|---|---|---|---|---|---|---|")
    for model in args.models:
        label = os.path.basename(os.path.dirname(model) if os.path.isfile(model) and not model.endswith(".gguf") else model)
        for name in corpora:
            files = [os.path.join(args.folder, side + ".ids") for side in ("lorac", "tokenizers")]
            ours = [bench, model, corpus(args, name), "--rounds", "2", "--threads"]
            theirs = [sys.executable, os.path.abspath(__file__), "--oracle", model, corpus(args, name)]
            run(ours + ["2", "--ids", files[0]], 2)
            run(theirs + [files[1]], 2)
            difference = first_difference(args, name, *files)
            bad += difference is not None
            if name == "random" or args.only_check:
                print("| %s | %s | | | | | | %s |" % (label, name, "equal" if difference is None else "DIFFERENT"), flush=True)
            else:
                for threads in map(int, args.threads.split(",")):
                    rounds = [(run(ours + [str(threads)], threads), run(theirs + [""], threads)) for _ in range(args.rounds)]
                    fast = [max(r[k]["mb_per_s"] for r in rounds) for k in (0, 1)]
                    load = [min(r[k]["load_s"] for r in rounds) for k in (0, 1)]
                    print("| %s | %s | %d | %.1f | %.1f | %.1f | %.3f, %.3f | %s |" % (label, name, threads, *fast, fast[0] / fast[1], *load,
                          "equal" if difference is None else "DIFFERENT"), flush=True)
            if difference is not None:
                print(difference, file=sys.stderr, flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--oracle"]:
        oracle_main(*sys.argv[2:5])
    else:
        sys.exit(main())
