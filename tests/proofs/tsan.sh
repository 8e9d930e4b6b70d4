#!/usr/bin/env bash
# tsan.sh: no data race (base/threads.h), shown by ThreadSanitizer: the pool's tests, the kernels' tests that run on several
# threads, the graph's tests, and a training of 3 steps on 4 threads with the embedded base.
#
# Usage: tsan.sh BUILD_FOLDER   builds what it needs there (a folder of its own; minutes)
# Too dear for every test run: tests/soak.sh calls it.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: tsan.sh BUILD_FOLDER}
tests=(base_t_threads base_t_signals kernels_t_backend kernels_t_cpu_attention kernels_t_kernels_batch autograd_t_graph)
# exitcode: a report fails the run; halt_on_error: at once, with the report at the end of the output.
export TSAN_OPTIONS="exitcode=66 halt_on_error=1 ${TSAN_OPTIONS:-}"

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLORAC_TSAN=ON >/dev/null
cmake --build "$build" -j "${JOBS:-$(nproc)}" --target lorac "${tests[@]}" -- --quiet

for t in "${tests[@]}"; do
    if ! out=$("$build/tests/$t" 2>&1); then
        printf '%s\n' "$out" | tail -60
        echo "tsan: $t failed" >&2
        exit 1
    fi
    echo "tsan: $t: clean"
done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
head -40 data/manual/train.jsonl >"$folder/rows.jsonl"
head -4 data/manual/heldout.jsonl >"$folder/held-out.jsonl"
if ! out=$("$build/lorac" train configs/tiny.yaml threads=4 max_steps=3 eval_steps=2 lora_dropout=0.1 lora_r=4 sequence_len=128 \
    datasets.0.path="$folder/rows.jsonl" test_datasets.0.path="$folder/held-out.jsonl" output_dir="$folder/run" 2>&1); then
    printf '%s\n' "$out" | tail -60
    echo "tsan: the training failed" >&2
    exit 1
fi
echo "tsan: training, 3 steps on 4 threads: clean"
