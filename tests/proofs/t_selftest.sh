#!/usr/bin/env bash
# t_selftest.sh LORAC LORAC_FAULTS [--long]: `lorac selftest` holds, and each planted fault of a promise (base/faults.def) makes
# the proof of that promise fail, with exit status 3. --long: also the full selftest, and one with SmolLM2 where it is there.
set -euo pipefail
lorac=$(realpath "$1") faults=$(realpath "$2")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export TMPDIR=$dir
fail() { echo "FAIL: $*"; cat "$dir/log" 2>/dev/null; exit 1; }

"$lorac" selftest --quick >"$dir/log" 2>&1 || fail "selftest"
for promise in P1 P2 P3 P4 P5 P6 P7 P8; do
    grep -q "^$promise  ok " "$dir/log" || fail "$promise has no line"
done
[ -z "$(ls -d "$dir"/lorac-selftest-* 2>/dev/null)" ] || fail "the temporary folder is left"
"$lorac" selftest --model "$dir/none.gguf" --quick >"$dir/log" 2>&1 && fail "a missing model is accepted"
grep -q '^error: .*none.gguf' "$dir/log" || fail "the missing model is not named"

promises=$(sed -n 's/^FAULT_ROW(\([a-z_]*\), "\(P[0-9]*\):.*/\1 \2/p' base/faults.def)
[ "$(echo "$promises" | wc -l)" -ge 8 ] || fail "faults.def has no row for each promise"
# the faults are the same under sanitizers, where a proof takes many times as long: one is enough to see
[ "$(nm "$faults" 2>/dev/null | grep -c ' __asan_init$')" -eq 0 ] || promises=$(echo "$promises" | tail -1)
while read -r fault promise; do
    status=0
    LORAC_FAULT=$fault "$faults" selftest --quick >"$dir/log" 2>&1 || status=$?
    [ $status -eq 3 ] || fail "the fault $fault: exit status $status, expected 3"
    grep -q "^$promise  FAIL" "$dir/log" || fail "the fault $fault is not caught by $promise"
done <<<"$promises"
echo "8 proofs hold, and each catches its planted fault"

[ "${3:-}" = --long ] || exit 0
"$lorac" selftest >"$dir/log" 2>&1 || fail "full selftest"
tail -1 "$dir/log"
base=.cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
[ -e $base ] || { echo "no $base: the selftest with it is skipped"; exit 0; }
"$lorac" selftest --quick --model $base >"$dir/log" 2>&1 || fail "selftest with SmolLM2"
cat "$dir/log"
