#!/usr/bin/env bash
# t_end_to_end.sh LORAC: train, eval, merge, generate, resume on the embedded base; equal bytes for threads, micro-batch
# split, recompute, and for a run that is killed and resumed.
set -eu
lorac=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
base=data/tiny/tiny.gguf
fail() { echo "FAIL: $*"; exit 1; }
number() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"; }
for i in $(seq 1 40); do
    printf '{"question":"What is the answer to question %d?","answer":"The answer to question %d is %d."}\n' "$i" "$i" $((i * 7))
done >"$dir/rows.jsonl"
head -8 "$dir/rows.jsonl" >"$dir/test.jsonl"
cat >"$dir/run.yaml" <<END
base_model: $base
datasets:
  - path: $dir/rows.jsonl
    type: prompt_completion
    field_prompt: question
    field_completion: answer
test_datasets:
  - path: $dir/test.jsonl
    type: prompt_completion
    field_prompt: question
    field_completion: answer
sequence_len: 128
lora_r: 8
lora_dropout: 0.1
learning_rate: 2e-3
micro_batch_size: 2
gradient_accumulation_steps: 2
num_epochs: 3
eval_steps: 4
save_steps: 3
END
train() { # train NAME OVERRIDES...
    local name=$1
    shift
    "$lorac" train "$dir/run.yaml" output_dir="$dir/$name" "$@" >"$dir/$name.log" 2>&1 || { cat "$dir/$name.log"; fail "train $name"; }
}
adapter() { echo "$dir/$1/adapter_model.safetensors"; }
train one
"$lorac" eval --base $base --data "$dir/test.jsonl" --field-prompt question --field-completion answer --compute-dtype bf16 --json >"$dir/before.json"
"$lorac" eval --base $base --adapter "$dir/one" --data "$dir/test.jsonl" --field-prompt question --field-completion answer compute_dtype=bf16 --json >"$dir/after.json"
python3 - "$dir/before.json" "$dir/after.json" "$dir/one/metrics.jsonl" <<'PY' || fail "held-out loss"
import json, math, sys
before, after = (json.load(open(p)) for p in sys.argv[1:3])
events = [json.loads(l) for l in open(sys.argv[3])]
evals = [e for e in events if e["event"] == "eval"]
steps = [e for e in events if e["event"] == "step"]
assert after["loss"] < before["loss"] - 0.5, (before, after)
assert abs(math.exp(after["loss"]) - after["perplexity"]) < 1e-9 * after["perplexity"]
assert events[0]["event"] == "eval" and events[0]["step"] == 0
assert abs(evals[0]["loss"] - before["loss"]) < 1e-12, "the loss at step 0 is the base's"
assert abs(evals[-1]["loss"] - after["loss"]) < 1e-12, "the last loss is the saved adapter's"
assert [s["step"] for s in steps] == list(range(1, len(steps) + 1))
for s in steps:
    for key in ("epoch", "loss", "learning_rate", "grad_norm", "tokens", "trained_tokens", "tokens_per_second", "elapsed_s",
                "rss_bytes", "state_hash"):
        assert key in s, key
PY
[ -f "$dir/one/best/best.json" ] || fail "best adapter"
train threads threads=3
cmp "$(adapter one)" "$(adapter threads)" || fail "threads change the adapter"
train split micro_batch_size=1 gradient_accumulation_steps=4
cmp "$(adapter one)" "$(adapter split)" || fail "the split into micro-batches changes the adapter"
train recompute gradient_checkpointing=true
cmp "$(adapter one)" "$(adapter recompute)" || fail "recompute changes the adapter"
# killed at once, again and again, then resumed: the same bytes as never killed
for i in 1 2 3 4; do
    "$lorac" train "$dir/run.yaml" output_dir="$dir/killed" --resume >"$dir/killed.log" 2>&1 &
    pid=$!
    sleep 0.$((i * 2))
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
done
train killed --resume
cmp "$(adapter one)" "$(adapter killed)" || fail "kill and resume change the adapter"
plain() { sed -E 's/,"(tokens_per_second|elapsed_s|rss_bytes)":[^,}]*//g' "$1"; }
[ "$(plain "$dir/one/metrics.jsonl")" = "$(plain "$dir/killed/metrics.jsonl")" ] || fail "kill and resume change metrics.jsonl"
# stopped by the person: exit 130, then on
set +e
"$lorac" train "$dir/run.yaml" output_dir="$dir/stopped" num_epochs=1000000 >"$dir/stopped.log" 2>&1 &
pid=$!
for ((i = 0; i < 1200; i++)); do # until a step is done: before it hears signals, one sent would be lost
    grep -qs '"event":"step"' "$dir/stopped/metrics.jsonl" && break
    sleep 0.05
done
kill -INT $pid
wait $pid
code=$?
set -e
[ $code -eq 130 ] || { cat "$dir/stopped.log"; fail "SIGINT gave exit $code"; }
for type in f16 f32 bf16 q8_0 keep; do
    "$lorac" merge --base $base --adapter "$dir/one" --out "$dir/$type.gguf" --outtype $type >"$dir/merge.log" 2>&1 || { cat "$dir/merge.log"; fail "merge $type"; }
done
"$lorac" eval --base "$dir/f16.gguf" --data "$dir/test.jsonl" --field-prompt question --field-completion answer --json >"$dir/merged.json"
python3 -c 'import json,sys; a,b=(json.load(open(p))["loss"] for p in sys.argv[1:]); assert abs(a-b) < 0.02, (a,b)' "$dir/after.json" "$dir/merged.json" || fail "merged loss"
"$lorac" generate --base $base --adapter "$dir/one" --prompt "What is the answer to question 3?" --max-tokens 12 >"$dir/g1"
"$lorac" generate --base $base --adapter "$dir/one" --prompt "What is the answer to question 3?" --max-tokens 12 >"$dir/g2"
cmp "$dir/g1" "$dir/g2" || fail "greedy generation differs between two runs"
"$lorac" generate --base $base --prompt "The" --max-tokens 8 --temperature 0.8 --top-k 20 --top-p 0.9 --min-p 0.02 --seed 4 --json >"$dir/s1"
"$lorac" generate --base $base --prompt "The" --max-tokens 8 --temperature 0.8 --top-k 20 --top-p 0.9 --min-p 0.02 --seed 4 --json >"$dir/s2"
cmp "$dir/s1" "$dir/s2" || fail "sampling with one seed differs between two runs"
"$lorac" inspect "$dir/one" >/dev/null
"$lorac" inspect "$(ls -d "$dir"/one/checkpoint-* | head -1)" | grep -q base_hash || fail "inspect of a checkpoint"
"$lorac" plan "$dir/run.yaml" --json | python3 -c 'import json,sys; p=json.load(sys.stdin); assert p["peak_bytes"] > 0 and p["mapped_bytes"] > 0' || fail "plan"
"$lorac" data show "$dir/run.yaml" --json --row 1 | python3 -c '
import json, sys
r = json.load(sys.stdin)
assert r["line"] == 2 and len(r["ids"]) == len(r["trained"]) and 0 < sum(r["trained"]) < len(r["ids"]) and r["trained"][-1] == 1' || fail "data show"
echo "end to end: all holds"
