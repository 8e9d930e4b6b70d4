#!/usr/bin/env bash
# t_kills.sh LORAC LORAC_FAULTS [--long]: P6. A run of 48 steps with dropout, packing, accumulation and evaluation is killed by
# SIGKILL at random instants and resumed until it ends; adapter, best adapter and metrics.jsonl (but for times and memory) must
# be those of the undisturbed run. --long: 100 kills; LORAC_KILLS sets another number. The seed of the instants is printed.
set -euo pipefail
lorac=$(realpath "$1")
kills=6
[ "${3:-}" = --long ] && kills=100
kills=${LORAC_KILLS:-$kills}
RANDOM=${LORAC_KILLS_SEED:-$$}
echo "seed of the instants: ${LORAC_KILLS_SEED:-$$}"
# about bytes, not about memory: t_resume.sh and t_selftest.sh resume under sanitizers, too
if [ "$(nm "$lorac" 2>/dev/null | grep -c ' __asan_init$')" -gt 0 ]; then
    echo "skipped under sanitizers: the plain build shows it"
    exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
head -100 data/manual/train.jsonl >"$dir/rows.jsonl"
head -24 data/manual/heldout.jsonl >"$dir/test.jsonl"
cat >"$dir/run.yaml" <<END
base_model: data/tiny/tiny.gguf
datasets: [{path: $dir/rows.jsonl, type: chat}]
test_datasets: [{path: $dir/test.jsonl, type: chat}]
sequence_len: 128
lora_r: 4
lora_dropout: 0.1
micro_batch_size: 1
gradient_accumulation_steps: 2
max_steps: 48
learning_rate: 2e-3
eval_steps: 5
save_steps: 3
END
train() { "$lorac" train "$dir/run.yaml" output_dir="$dir/$1" --quiet "${@:2}"; }
# metrics without what may differ between equal runs
stable() { sed -E 's/,"(elapsed_s|tokens_per_second|rss_bytes)":[^,}]*//g' "$1/metrics.jsonl"; }
begin=$(date +%s%N)
train whole
length=$(((`date +%s%N` - begin) / 1000000))
echo "the undisturbed run takes $length ms"

compare() {
    cmp "$dir/whole/adapter_model.safetensors" "$dir/killed/adapter_model.safetensors" || fail "the adapter differs"
    cmp "$dir/whole/best/adapter_model.safetensors" "$dir/killed/best/adapter_model.safetensors" || fail "the best adapter differs"
    cmp "$dir/whole/best/best.json" "$dir/killed/best/best.json" || fail "best.json differs"
    diff <(stable "$dir/whole") <(stable "$dir/killed") >/dev/null || fail "metrics.jsonl differs"
    "$lorac" verify "$dir/whole" "$dir/killed" >/dev/null || fail "lorac verify sees a difference"
    [ -z "$(find "$dir/killed" -name '*.tmp-*')" ] || fail "temporary files are left: $(find "$dir/killed" -name '*.tmp-*')"
}

done_kills=0 runs=0 in_save=0 after_end=0
while [ $done_kills -lt "$kills" ]; do
    rm -rf "$dir/killed"
    while :; do
        "$lorac" train "$dir/run.yaml" output_dir="$dir/killed" --quiet --resume >"$dir/log" 2>&1 &
        pid=$!
        # up to the whole length, most often early: several kills a run
        ms=$((RANDOM * RANDOM / 32768 * length / 32768 + 1))
        sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
        if kill -9 $pid 2>/dev/null; then
            wait $pid 2>/dev/null && { after_end=$((after_end + 1)); break; }
            done_kills=$((done_kills + 1))
            [ -n "$(find "$dir/killed" -name '*.tmp-*' 2>/dev/null)" ] && in_save=$((in_save + 1))
        else
            wait $pid || { cat "$dir/log"; fail "the run ended with an error"; }
            break
        fi
        [ $done_kills -lt "$kills" ] || break
    done
    train killed --resume >"$dir/log" 2>&1 || { cat "$dir/log"; fail "the last resume failed"; }
    runs=$((runs + 1))
    compare
done
echo "$done_kills kills in $runs runs, $in_save of them with a file half written: every run ended with the undisturbed run's bytes"
