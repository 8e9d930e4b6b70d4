#!/usr/bin/env bash
# soak.sh: the long form of the tests, without a limit of time. test.sh runs the short form of the same.
#
# Usage: tests/soak.sh [-n EXECUTIONS] [-j JOBS] [-o FOLDER] [PART | PART:NAME]...
#   fuzz     each target of tests/fuzz under libFuzzer for EXECUTIONS inputs (10,000,000); fuzz:json only that target
#   tsan     pool, kernels, graph and a short training under ThreadSanitizer (tests/proofs/tsan.sh)
#   proofs   tests/proofs/t_*.sh --long; proofs:kills only t_kills.sh: 100 kills
#   faults   tests/faults/t_*.sh --long
#   aarch64  every case of tests/aarch64/run.sh
# No part: all of them. FOLDER (default build/soak) holds builds, logs, the grown corpora and every input that failed, and
# is kept: a second run goes on from its corpora. Exit status 1 when anything failed; the last lines say what.
# A new part is a function part_NAME below; it gets the NAME behind the colon (or nothing) and calls `result`.
set -uo pipefail
cd "$(dirname "$0")/.."
. ./packages.sh
PARTS=(fuzz tsan proofs faults aarch64)
executions=10000000
jobs=$(nproc)
out=build/soak
results=()
failed=0

# result PART NAME ok|failed|skipped TEXT
result() {
    results+=("$(printf '%-8s %-16s %-8s %s' "$1" "$2" "$3" "$4")")
    echo "soak: ${results[-1]}"
    [ "$3" != failed ] || failed=1
}

# configured NAME OPTIONS...: configures $out/NAME; its targets are then built with `build_of NAME TARGETS...`
configured() { cmake -S . -B "$out/$1" -G Ninja -DCMAKE_BUILD_TYPE=Release "${@:2}" >"$out/log/configure-$1" || exit 2; }
build_of() { cmake --build "$out/$1" -j "$jobs" --target "${@:2}" -- --quiet || exit 2; }

# ---- fuzz ----------------------------------------------------------------------------------------------------------------

# fuzz_runs NAME LENGTH EXECUTIONS: until that many inputs of at most LENGTH bytes are done or 20 have failed in all; counts
# in `runs` and `failures`.
fuzz_runs() {
    local name=$1 left=$3 log="$out/log/fuzz-$1" corpus="$out/corpus/$1-$2" done_now
    mkdir -p "$corpus"
    while [ "$left" -gt 0 ] && [ "$failures" -lt 20 ]; do
        "$out/fuzz/tests/fuzz/fuzz_$name" -runs="$left" -max_len="$2" -timeout=60 -rss_limit_mb=2048 -reload=0 -entropic=0 \
            -print_final_stats=1 -dict="tests/fuzz/fuzz_$name.dict" -artifact_prefix="$out/failed/$name-" "$corpus" \
            "tests/fuzz/corpus/$name" >"$log.now" 2>&1 || failures=$((failures + 1))
        done_now=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log.now" | tail -1)
        cat "$log.now" >>"$log"
        [ "${done_now:-0}" -gt 0 ] || break # it does not even start
        left=$((left - done_now))
        runs=$((runs + done_now))
    done
    rm -f "$log.now"
}

# fuzz_target NAME: a tenth of the EXECUTIONS with longer inputs, the others with short ones, which take a tenth of the time;
# writes "RUNS FAILURES".
fuzz_target() {
    local runs=0 failures=0 long=$((executions / 10))
    # Where memory came from is told less deeply than usual, and freed memory is kept for less long: it is half as fast else.
    export ASAN_OPTIONS=malloc_context_size=2:quarantine_size_mb=8
    : >"$out/log/fuzz-$1"
    fuzz_runs "$1" 2048 "$long"
    fuzz_runs "$1" 400 $((executions - long))
    echo "$runs $failures" >"$out/log/fuzz-$1.result"
}

part_fuzz() {
    local name names=() running=0 runs failures
    need_packages clang-14 libclang-rt-14-dev || exit 2
    for name in tests/fuzz/fuzz_*.c; do
        name=${name##*/fuzz_}
        [ -z "${1:-}" ] || [ "$1" = "${name%.c}" ] || continue
        names+=("${name%.c}")
    done
    [ ${#names[@]} -gt 0 ] || { result fuzz "$1" failed "there is no such target"; return; }
    # Comparisons are not traced: the words to compare with are in the dictionaries, and it is twice as fast.
    configured fuzz -DCMAKE_C_COMPILER=clang-14 -DCMAKE_C_FLAGS=-fno-sanitize-coverage=trace-cmp -DLORAC_FUZZ=ON -DLORAC_TESTS=OFF
    build_of fuzz "${names[@]/#/fuzz_}"
    mkdir -p "$out/failed"
    for name in "${names[@]}"; do
        if [ "$running" -ge "$jobs" ]; then
            wait -n
            running=$((running - 1))
        fi
        echo "soak: fuzz $name begins"
        fuzz_target "$name" &
        running=$((running + 1))
    done
    wait
    for name in "${names[@]}"; do
        read -r runs failures <"$out/log/fuzz-$name.result"
        if [ "$failures" -eq 0 ] && [ "$runs" -ge "$executions" ]; then
            result fuzz "$name" ok "$runs executions, 0 failures"
        else
            result fuzz "$name" failed "$runs executions, $failures failures: $out/failed/$name-*, $out/log/fuzz-$name"
        fi
    done
}

# ---- the others ----------------------------------------------------------------------------------------------------------

part_tsan() {
    local log="$out/log/tsan"
    if JOBS=$jobs bash tests/proofs/tsan.sh "$out/tsan" 2>&1 | tee "$log"; then
        result tsan all ok "$(grep -c ': clean' "$log") programs, no report"
    else
        result tsan all failed "see $log"
    fi
}

# scripts PART ONLY: tests/PART/t_*.sh in their long form
scripts() {
    local script name log status
    configured long
    build_of long lorac lorac_faults
    for script in "tests/$1"/t_*.sh; do
        name=${script##*/t_}
        name=${name%.sh}
        [ -z "$2" ] || [ "$2" = "$name" ] || continue
        log="$out/log/$1-$name"
        bash "$script" "$out/long/lorac" "$out/long/tests/lorac_faults" --long 2>&1 | tee "$log"
        status=${PIPESTATUS[0]}
        case $status in
        0) result "$1" "$name" ok "$(tail -1 "$log")" ;;
        77) result "$1" "$name" skipped "$(tail -1 "$log")" ;;
        *) result "$1" "$name" failed "status $status, see $log" ;;
        esac
    done
}
part_proofs() { scripts proofs "${1:-}"; }
part_faults() { scripts faults "${1:-}"; }

part_aarch64() {
    local log="$out/log/aarch64" status
    LORAC_TEST_EVERY=1 bash tests/aarch64/run.sh 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    case $status in
    0) result aarch64 all ok "$(grep 'tests passed' "$log")" ;;
    77) result aarch64 all skipped "$(tail -1 "$log")" ;;
    *) result aarch64 all failed "status $status, see $log" ;;
    esac
}

# --------------------------------------------------------------------------------------------------------------------------

usage() {
    sed -n 's/^# \{0,1\}//; 2,/^exit/p' "$0" | sed -n '1,11p' >&2
    exit 2
}
while getopts n:j:o: option; do
    case $option in
    n) executions=$OPTARG ;;
    j) jobs=$OPTARG ;;
    o) out=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- "${PARTS[@]}"
for part in "$@"; do
    declare -F "part_${part%%:*}" >/dev/null || { echo "soak.sh: there is no part '$part'" >&2; usage; }
done
mkdir -p "$out/log"
need_packages "${BUILD_PACKAGES[@]}" libcmocka-dev || exit 2
for part in "$@"; do
    name=${part#"${part%%:*}"}
    "part_${part%%:*}" "${name#:}"
done
echo "---- soak: $(date -u +%F), $(git rev-parse --short HEAD 2>/dev/null || echo 'no commit')"
printf '%s\n' "${results[@]}"
exit $failed
