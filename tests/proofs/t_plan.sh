#!/usr/bin/env bash
# t_plan.sh LORAC LORAC_FAULTS [--long]: P8. For each recipe of configs/ whose base and data are here: the plan's peak is what a
# run of it allocates, to the byte (the run compares itself and exits with 3 otherwise); the process's peak of anonymous memory
# is within 5 % + 32 MiB of it; a run that does not fit is refused before it starts, with the table; --fit finds a size that
# fits and whose next does not.
set -euo pipefail
lorac=$(realpath "$1") faults=$(realpath "$2")
# the sanitizers' own memory hides what is measured here
if [ "$(nm "$lorac" 2>/dev/null | grep -c ' __asan_init$')" -gt 0 ]; then
    echo "skipped under sanitizers: the plain build shows it"
    exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
field() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
shared=${LORAC_SHARED:-../shared}

cat >"$dir/rss.py" <<'PY'
# rss.py PLANNED COMMAND...: runs the command and compares the largest anonymous memory seen with the plan. On a busy machine the
# peak may go by unseen; then the largest resident memory, which the kernel keeps, must at least be as much as was planned.
import os, subprocess, sys, time
planned, most, pid = int(sys.argv[1]), 0, 0
child = subprocess.Popen(sys.argv[2:], stderr=subprocess.PIPE)
while pid == 0:
    pid, status, used = os.wait4(child.pid, os.WNOHANG)
    try:
        for line in open(f"/proc/{child.pid}/status"):
            if line.startswith("RssAnon:"):
                most = max(most, int(line.split()[1]) * 1024)
    except OSError:
        pass
    time.sleep(0.002)
if status != 0:
    sys.exit("the run failed: " + child.stderr.read().decode())
resident = used.ru_maxrss * 1024
slack = planned * 0.05 + (32 << 20)
print(f"planned {planned}, anonymous memory at most {most}, resident {resident}")
if most > planned + slack or max(most, resident) < planned - slack:
    sys.exit(f"the difference is more than {slack:.0f}")
PY
check() { # check CONFIG OVERRIDES...
    local planned
    planned=$("$lorac" plan "$@" --json | field peak_bytes)
    python3 "$dir/rss.py" "$planned" "$lorac" train "$@" output_dir="$dir/run" overwrite_output_dir=true --quiet || fail "$*"
}
recipes=0
for recipe in configs/*.yaml; do
    overrides=(max_steps=2 eval_steps=0)
    base=$(sed -n 's/^base_model: *//p' "$recipe")
    if grep -q 'gsm8k/train.jsonl' "$recipe"; then
        [ -e "$shared/data/gsm8k/train.jsonl" ] || { echo "$recipe: no GSM8K: skipped"; continue; }
        head -60 "$shared/data/gsm8k/train.jsonl" >"$dir/train.jsonl"
        head -12 "$shared/data/gsm8k/test.jsonl" >"$dir/test.jsonl"
        overrides+=(datasets.0.path="$dir/train.jsonl" test_datasets.0.path="$dir/test.jsonl")
    fi
    if [ ! -e "$base" ] || { [ "$base" != data/tiny/tiny.gguf ] && [ "${3:-}" != --long ]; }; then
        echo "$recipe: its shape on the embedded base"
        overrides+=(base_model=data/tiny/tiny.gguf sequence_len=256 excess_length_strategy=truncate)
        sed '/^ *test_datasets:/,/^$/d' "$recipe" >"$dir/recipe.yaml"
        [ "$base" = data/tiny/tiny.gguf ] || { recipe=$dir/recipe.yaml; overrides=("${overrides[@]/test_datasets*/}"); }
        local_overrides=()
        for o in "${overrides[@]}"; do [ -n "$o" ] && local_overrides+=("$o"); done
        overrides=("${local_overrides[@]}")
    fi
    recipes=$((recipes + 1))
    check "$recipe" "${overrides[@]}"
    check "$recipe" "${overrides[@]}" gradient_checkpointing=true micro_batch_size=3 lora_r=24
done
# an adapter so large that writing a checkpoint takes more than the activations did
check configs/tiny.yaml lora_r=1024 sequence_len=64 excess_length_strategy=truncate gradient_checkpointing=true max_steps=1 eval_steps=0
[ $recipes -ge 2 ] || fail "only $recipes recipes were tried"

tiny=configs/tiny.yaml
planned=$("$lorac" plan $tiny --json | field peak_bytes)
status=0
"$lorac" train $tiny output_dir="$dir/small" max_memory=$((planned - 1)) gradient_checkpointing=false >"$dir/log" 2>&1 || status=$?
[ $status -eq 1 ] || fail "a run that needs one byte more than it may: exit status $status"
grep -q '^error: .*max_memory' "$dir/log" || fail "the error names no key: $(cat "$dir/log")"
grep -q '^activations ' "$dir/log" || fail "the refusal shows no table"
[ "$(ls "$dir/small")" = prepared ] || fail "a refused run left more than its prepared data: $(ls "$dir/small")"
"$lorac" train $tiny output_dir="$dir/small" max_memory="$planned" max_steps=1 gradient_checkpointing=false --quiet || fail "a run that fits exactly"

limit=$((planned * 2))
"$lorac" plan $tiny --fit max_memory=$limit --json >"$dir/fit"
micro=$(field micro_batch_size <"$dir/fit") sequence=$(field sequence_len <"$dir/fit")
size() { "$lorac" plan $tiny max_memory=$limit micro_batch_size="$1" sequence_len="$2" --json | field peak_bytes; }
[ "$(size "$micro" "$sequence")" -le $limit ] || fail "--fit gives a size that does not fit"
[ "$(size $((micro + 1)) "$sequence")" -gt $limit ] || fail "--fit: $micro rows are not the most"
status=0
"$lorac" plan $tiny --fit max_memory=1MB >"$dir/log" 2>&1 || status=$?
[ $status -eq 3 ] || fail "--fit with nothing that fits: exit status $status"

status=0
LORAC_FAULT=plan_bytes "$faults" train $tiny output_dir="$dir/run" overwrite_output_dir=true max_steps=1 --quiet >"$dir/log" 2>&1 || status=$?
[ $status -eq 3 ] || fail "64 bytes more than the plan are not noticed: exit status $status"
echo "$recipes recipes allocate what their plan says"
