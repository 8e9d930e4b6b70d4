#!/usr/bin/env bash
# t_kill.sh LORAC LORAC_FAULTS [--long]: killed before a file operation (write, sync, rename, delete, making a file or a
# folder), what is in the run's folder is whole, and --resume ends with the bytes of a run that was never killed; what the
# killed one left half-written is removed. Long: before every one.
. "$(dirname "$0")/lib.sh"
write_run
run() { "$@" >"$dir/out" 2>"$dir/err" </dev/null; }
run "$lorac" train "$dir/run.yaml" output_dir="$dir/good" || { cat "$dir/err"; exit 1; }
out=$dir/run

killed() { # WHAT N COMMAND...: must end by SIGKILL
    local what=$1 n=$2
    shift 2
    { LORAC_FAULT=kill=$n run "$@"; } 2>/dev/null
    local code=$?
    [ $code -eq 137 ] || fail "$what: exit $code, expected to be killed: $(tail -2 "$dir/err")"
    no_bug "$what"
}
check() { # WHAT
    valid_run "$1" "$out"
    if grep -q '"step":3' "$out/metrics.jsonl" 2>/dev/null && [ ! -d "$out/checkpoint-2" ]; then fail "$1: checkpoint-2 is lost"; fi
    go_on "$1" "$out"
}

# a new run
total=$(passages kill "$lorac_faults" train "$dir/run.yaml" output_dir="$out") || { cat "$dir/err"; exit 1; }
for n in $(numbers "$total" 16); do
    rm -rf "$out"
    killed "kill=$n" "$n" "$lorac_faults" train "$dir/run.yaml" output_dir="$out" --quiet
    check "kill=$n"
done
echo "a new run: killed at $(numbers "$total" 16 | wc -l) of $total places"

# killed, resumed and killed again, until it is done: each time a little further
rm -rf "$out"
kills=0
while :; do
    { LORAC_FAULT=kill=$((140 + kills % 7)) run "$lorac_faults" train "$dir/run.yaml" output_dir="$out" --quiet --resume save_steps=1; } 2>/dev/null
    code=$?
    [ $code -eq 137 ] || break
    kills=$((kills + 1))
    [ $kills -lt 20 ] || break
done
[ $code -eq 0 ] || fail "killed again and again: exit $code: $(tail -2 "$dir/err")"
[ $kills -ge 1 ] || fail "killed again and again: never killed"
valid_run "killed again and again" "$out"
go_on "killed again and again" "$out"
echo "one run: killed $kills times"

# a run that takes the place of an older one with overwrite_output_dir: --resume never goes on from a mixture
for n in $(numbers 60 6); do
    rm -rf "$out"
    cp -r "$dir/good" "$out"
    killed "overwriting, kill=$n" "$n" "$lorac_faults" train "$dir/run.yaml" output_dir="$out" --quiet overwrite_output_dir=true
    valid_run "overwriting, kill=$n" "$out"
    go_on "overwriting, kill=$n" "$out"
done

# merge: an existing file stays, or the new one is whole; the next merge clears up
merge() { "$@" merge --base $base --adapter "$dir/good" --out "$dir/m.gguf" --force --outtype q8_0; }
total=$(passages kill merge "$lorac_faults") || { cat "$dir/err"; exit 1; }
cp "$dir/m.gguf" "$dir/merged"
for n in $(numbers "$total" 6); do
    printf old >"$dir/m.gguf"
    killed "merge, kill=$n" "$n" merge "$lorac_faults"
    [ "$(head -c 3 "$dir/m.gguf")" = old ] || cmp -s "$dir/m.gguf" "$dir/merged" || fail "merge, kill=$n: half a file"
done
run merge "$lorac" || fail "merge after kills: $(tail -1 "$dir/err")"
cmp -s "$dir/m.gguf" "$dir/merged" || fail "merge after kills: other bytes"
no_temporaries "merge after kills" "$dir"
echo "merge: killed at $(numbers "$total" 6 | wc -l) of $total places"

# temporaries of a process that lives are not touched
mkdir -p "$out"
sleep 300 &
alive=$!
cleanup+=("kill $alive")
rm -rf "$out"
mkdir -p "$out/best" "$out/checkpoint-9.tmp-$alive" "$out/checkpoint-9.tmp-2147483646"
for f in adapter_model.safetensors.tmp best/best.json.tmp notes.txt.tmp; do
    : >"$out/$f-$alive"
    : >"$out/$f-2147483646"
done
run "$lorac" train "$dir/run.yaml" output_dir="$out" --quiet overwrite_output_dir=true || fail "temporaries: $(tail -1 "$dir/err")"
[ -e "$out/adapter_model.safetensors.tmp-$alive" ] && [ -d "$out/checkpoint-9.tmp-$alive" ] || fail "a living process lost its temporaries"
[ -e "$out/notes.txt.tmp-2147483646" ] || fail "a file that lorac does not write was removed"
[ ! -e "$out/adapter_model.safetensors.tmp-2147483646" ] && [ ! -e "$out/checkpoint-9.tmp-2147483646" ] || fail "left-over temporaries were not removed"
verdict "killed at any file operation: nothing is lost"
