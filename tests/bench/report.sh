#!/usr/bin/env bash
# report.sh: every row of docs/performance.md, measured again.
#
#   tests/bench/report.sh BUILD BASE [full]
#
# BUILD: a Release build folder; BASE: a GGUF file of SmolLM2-135M. Without "full" about five minutes on two quiet cores: few
# samples, some formats and shapes. With it every format, shape, batch size and yardstick, hours, and PEFT (PYTHON, or python3,
# with torch, transformers, peft and gguf; nf4 needs bitsandbytes). THREADS=1 measures with one thread, ROUTES=fp32 some of PEFT.
# Each block is a command, then what it printed. Nothing is judged here: the goals stand beside the numbers in the document.
set -uo pipefail
if [ $# -lt 2 ] || [ ! -x "$1/tests/bench/bench_peak" ] || [ ! -e "$2" ]; then
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
build=$1 base=$2 size=${3:-quick} bench=$1/tests/bench here=$(dirname "$0")
threads=(--threads "${THREADS:-0}")
python=${PYTHON:-python3} failed=0

run() {
    printf '\n$ %s\n' "$*"
    "$@" || { echo "(ended with status $?)" && failed=1; }
}

levels=""
for flag in avx2 fma avx512f avx512_bf16 avx512_vnni amx_bf16; do
    grep -qw "$flag" /proc/cpuinfo 2>/dev/null && levels+=" $flag"
done
printf '%s; %s processors;%s; load %s\n' "$(date -u +%F)" "$(nproc)" "$levels" "$(cut -d' ' -f1 /proc/loadavg 2>/dev/null)"

run "$bench/bench_peak" "${threads[@]}"
if [ "$size" = full ]; then
    for dtype in bf16 f32; do
        run "$bench/bench_gemm" "${threads[@]}" --dtype $dtype --models all --formats all --tokens all --work all --yardsticks all
    done
else
    products=("${threads[@]}" --models smollm2,llama1b --formats Q4_0,Q4_1,Q8_0,Q4_K)
    run "$bench/bench_gemm" "${products[@]}" --dtype f32 --work forward,backward,grad
    run "$bench/bench_gemm" "${products[@]}" --dtype bf16 --work forward,backward,grad
    run "$bench/bench_gemm" "${products[@]}" --dtype bf16 --tokens 1
    run "$bench/bench_gemm" "${threads[@]}" --dtype bf16 --formats Q4_1 --work head
    run "$bench/bench_gemm" "${threads[@]}" --dtype f32 --formats Q4_1 --work forward,backward --yardsticks all
fi
run "$bench/bench_ops" "${threads[@]}" --dtype bf16
run "$bench/bench_step" "${threads[@]}" --base "$base"
run "$bench/bench_step" "${threads[@]}" --base "$base" --dtype f32
run "$bench/bench_step" "${threads[@]}" --base "$base" --recompute true
peft=("$here/vs_peft.py" --lorac "$build/lorac" --base "$base")
[ -n "${THREADS:-}" ] && peft+=(--threads "$THREADS")
if [ "$size" = full ]; then
    run "$python" "${peft[@]}" --rounds 3 --routes "${ROUTES:-fp32,bf16,bf16+compile,nf4}"
else
    run "$python" "${peft[@]}" --routes none --rounds 2 --steps 2
fi
exit $failed
