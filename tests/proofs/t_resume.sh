#!/usr/bin/env bash
# t_resume.sh LORAC LORAC_FAULTS: what --resume takes and refuses, what a resume may change, h5dump's view of a state, and
# lorac verify.
set -euo pipefail
lorac=$(realpath "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
head -40 data/manual/train.jsonl >"$dir/rows.jsonl"
head -8 data/manual/heldout.jsonl >"$dir/test.jsonl"
cp data/tiny/tiny.gguf "$dir/base.gguf"
cat >"$dir/run.yaml" <<END
base_model: $dir/base.gguf
datasets: [{path: $dir/rows.jsonl, type: chat}]
test_datasets: [{path: $dir/test.jsonl, type: chat}]
sequence_len: 128
lora_r: 4
lora_dropout: 0.1
gradient_accumulation_steps: 2
max_steps: 9
learning_rate: 2e-3
eval_steps: 3
save_steps: 2
END
train() { "$lorac" train "$dir/run.yaml" output_dir="$dir/$1" "${@:2}"; }
adapter() { echo "$dir/$1/adapter_model.safetensors"; }
# part NAME: a copy of the whole run as it was after step 4
part() {
    rm -rf "${dir:?}/$1"
    cp -r "$dir/whole" "$dir/$1"
    rm -rf "$dir/$1"/checkpoint-[6-9]
}
train whole --quiet save_total_limit=0
train whole2 --quiet threads=1

# what may change
part free
train free --resume --quiet threads=3 gradient_checkpointing=true micro_batch_size=2 gradient_accumulation_steps=1 logging_steps=1 save_steps=1 eval_steps=3 2>"$dir/log" || fail "$(cat "$dir/log")"
cmp "$(adapter whole)" "$(adapter free)" || fail "a resume with other threads, recompute and split gives other bytes"
"$lorac" verify "$dir/whole" "$dir/free" | grep -q '^equal: 9 steps' || fail "verify: the resumed run"

# the newest valid one, and why others were skipped
part damaged
printf 'x' | dd of="$dir/damaged/checkpoint-4/state.h5" bs=1 seek=5000 conv=notrunc status=none
train damaged --resume >"$dir/log" 2>&1 || fail "$(cat "$dir/log")"
grep -q 'skipped .*checkpoint-4/state.h5' "$dir/log" || fail "the damaged checkpoint is not named"
grep -q 'resumed from .*checkpoint-2' "$dir/log" || fail "checkpoint-2 was not taken"
cmp "$(adapter whole)" "$(adapter damaged)" || fail "resumed before the damage: other bytes"

# what must not
refused() { # refused WHAT TEXT OVERRIDES...
    local what=$1 text=$2
    shift 2
    part refused
    local before after status=0
    before=$(cd "$dir/refused" && find . -type f -exec sha256sum {} + | sort)
    train refused --resume "$@" >"$dir/log" 2>&1 || status=$?
    [ $status -eq 1 ] || fail "$what: exit status $status"
    grep -q "^error: .*$text" "$dir/log" || fail "$what: $(cat "$dir/log")"
    after=$(cd "$dir/refused" && find . -type f -exec sha256sum {} + | sort)
    [ "$before" = "$after" ] || fail "$what: the refused run changed the folder"
}
refused "another seed" "'seed: 42', now 'seed: 7'" seed=7
refused "another rate and rank" "'learning_rate: 0.002', now 'learning_rate: 0.001'" learning_rate=1e-3
refused "another batch" "rows of an optimizer step" gradient_accumulation_steps=4
head -39 data/manual/train.jsonl >"$dir/other.jsonl"
refused "other data" "training data" datasets.0.path="$dir/other.jsonl"
python3 - "$dir/base.gguf" "$dir/base2.gguf" <<'PY'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[-1] ^= 1
open(sys.argv[2], "wb").write(b)
PY
refused "another base" "the base model changed" base_model="$dir/base2.gguf"
part forced
train forced --resume --quiet seed=7 --force-resume seed >"$dir/log" 2>&1 || fail "--force-resume seed: $(cat "$dir/log")"
grep -q "'seed: 42', now 'seed: 7'" "$dir/log" || fail "a forced difference is not told"
part forced
train forced --resume --quiet base_model="$dir/base2.gguf" --force-resume base_model >"$dir/log" 2>&1 || fail "--force-resume base_model"
cmp -s "$(adapter whole)" "$(adapter forced)" && [ "$(stat -c %s "$(adapter whole)")" -gt 0 ] || true

# verify
"$lorac" verify "$dir/whole" "$dir/whole2" >/dev/null || fail "verify: equal runs"
train other --quiet seed=7
status=0
"$lorac" verify "$dir/whole" "$dir/other" >"$dir/log" 2>&1 || status=$?
[ $status -eq 3 ] || fail "verify of different runs: exit status $status"
grep -q 'differ from step 1 on.*first differing tensor is base_model.model.model.layers.0' "$dir/log" || fail "verify: $(cat "$dir/log")"
part changed
"$lorac" train "$dir/run.yaml" output_dir="$dir/changed" --resume --quiet learning_rate=1e-3 --force-resume learning_rate 2>/dev/null
status=0
"$lorac" verify "$dir/whole" "$dir/changed" >"$dir/log" 2>&1 || status=$?
[ $status -eq 3 ] && grep -q 'differ from step 5 on: learning_rate' "$dir/log" || fail "verify: $(cat "$dir/log")"

# other programs read the state
if command -v h5dump >/dev/null; then
    h5dump -H "$dir/whole/checkpoint-8/state.h5" >"$dir/log" || fail "h5dump"
    for name in adapter adam_m adam_v step steps tokens_seen best_loss loss_sum epoch config base_hash data_hash tensors; do
        grep -q "DATASET \"$name\"" "$dir/log" || fail "h5dump shows no $name"
    done
    (cd "$dir/whole/checkpoint-8" && if command -v xxhsum >/dev/null; then xxhsum -c state.h5.xxh3 >/dev/null || xxhsum --quiet -c state.h5.xxh3; fi) || fail "xxhsum"
fi
echo "resume takes, refuses and changes what it should"
