#!/usr/bin/env bash
# t_world.sh LORAC LORAC_FAULTS [--long]: what others do to the files: folders that cannot be written to, things in the way, a
# base that is deleted or truncated while in use, data that change before a resume, checkpoints and lines that vanish.
WANTS_MOUNTS=true
. "$(dirname "$0")/lib.sh"
write_run
run() { "$@" >"$dir/out" 2>"$dir/err" </dev/null; }
run "$lorac" train "$dir/run.yaml" output_dir="$dir/good" || { cat "$dir/err"; exit 1; }
out=$dir/run
train() { run "$lorac" train "$dir/run.yaml" output_dir="$out" --quiet "$@"; }

# ---- folders that cannot be written to
if mounted size=4m "$dir/locked"; then
    cp -r "$dir/good" "$dir/locked/good"
    mount -o remount,ro "$dir/locked" || fail "remount"
    train output_dir="$dir/locked/new"
    one_error "a new run in a read-only folder" $? "^error: $dir/locked/new.*[Rr]ead-only"
    train output_dir="$dir/locked/good" --resume
    one_error "resume in a read-only folder" $? "^error: $dir/locked/good.*[Rr]ead-only"
    train output_dir="$dir/locked/good" overwrite_output_dir=true
    one_error "overwriting in a read-only folder" $? "^error: $dir/locked/good.*[Rr]ead-only"
    run "$lorac" merge --base $base --adapter "$dir/good" --out "$dir/locked/m.gguf"
    one_error "merge into a read-only folder" $? "^error: $dir/locked/m.gguf.*[Rr]ead-only"
    run "$lorac" eval --base $base --data "$dir/test.jsonl" --per-token "$dir/locked/p.jsonl"
    one_error "eval --per-token into a read-only folder" $? "^error: $dir/locked/p.jsonl.*[Rr]ead-only"
    # reading needs no right to write
    run "$lorac" eval --base $base --adapter "$dir/locked/good" --data "$dir/test.jsonl" || fail "eval from a read-only folder: $(cat "$dir/err")"
    run "$lorac" inspect "$dir/locked/good/checkpoint-4" || fail "inspect in a read-only folder: $(cat "$dir/err")"
    same_run "a read-only folder" "$dir/locked/good"
else
    echo "read-only folders: skipped, this user may not mount one"
fi

# ---- things in the way
rm -rf "$out"
: >"$out"
train
one_error "output_dir is a file" $? "^error: $out: is a file"
train output_dir="$out/below"
one_error "a file above output_dir" $? "^error: $out"
for name in adapter_model.safetensors metrics.jsonl config.resolved.yaml; do
    rm -rf "$out"
    mkdir -p "$out/$name"
    train
    one_error "$name is a folder" $? "^error: $out"
    rm -rf "${out:?}/$name"
    go_on "$name was a folder" "$out"
done
rm -rf "$out"
mkdir "$out"
: >"$out/best"
train overwrite_output_dir=true || fail "a file named best is in the way of a run that may overwrite: $(cat "$dir/err")"
same_run "a file named best" "$out"

# ---- a run of hours, for what happens meanwhile
cp $base "$dir/base.gguf"
lines() { cat "$out/metrics.jsonl" 2>/dev/null | wc -l; }
more_lines() { # until it has gone on by some steps
    local before
    before=$(lines)
    for ((i = 0; i < 1200; i++)); do
        [ "$(lines)" -gt $((before + 3)) ] && return
        sleep 0.05
    done
    fail "no further step in a minute"
}
endless="max_steps=10000000 eval_steps=5000000 base_model=$dir/base.gguf"
start() {
    # shellcheck disable=SC2086
    "$lorac" train "$dir/run.yaml" output_dir="$out" --quiet $endless "$@" >"$dir/out" 2>"$dir/err" </dev/null &
    pid=$!
    more_lines
}
stop() { # WHAT
    kill -TERM $pid
    wait $pid
    local code=$?
    [ $code -eq 130 ] || fail "$1: exit $code, expected 130: $(tail -1 "$dir/err")"
    valid_run "$1" "$out"
}

# the base is deleted: its mapping goes on
rm -rf "$out"
start save_steps=5000000
rm "$dir/base.gguf"
more_lines
stop "the base was deleted"
# shellcheck disable=SC2086
train $endless --resume
one_error "resume without the base" $? "^error: $dir/base.gguf: there is no such file"
valid_run "resume without the base" "$out"
cp $base "$dir/base.gguf"
start save_steps=5000000 --resume
stop "the base is there again"

# the base is truncated while in use
rm -rf "$out"
start save_steps=5
for ((i = 0; i < 1200; i++)); do
    ls -d "$out"/checkpoint-* >/dev/null 2>&1 && break
    sleep 0.05
done
truncate -s 5000 "$dir/base.gguf"
wait $pid
one_error "the base is truncated" $? "^error: $dir/base.gguf: changed or truncated while in use"
valid_run "the base is truncated" "$out"
no_temporaries "the base is truncated" "$out/best"
train base_model="$dir/base.gguf" --resume
one_error "resume on the truncated base" $? "^error: $dir/base.gguf"
cp $base "$dir/base.gguf"
start save_steps=5000000 --resume
stop "the base is whole again"
ls "$out" | grep -q 'tmp-' && fail "the base is whole again: temporaries stay"
# the same while an answer is awaited: the prompt comes after the truncation
mkfifo "$dir/fifo"
"$lorac" generate --base "$dir/base.gguf" <"$dir/fifo" >"$dir/out" 2>"$dir/err" &
pid=$!
exec 9>"$dir/fifo"
for ((i = 0; i < 600; i++)); do
    grep -qE '^(0|63) 0x0 ' /proc/$pid/syscall 2>/dev/null && break
    sleep 0.05
done
truncate -s 5000 "$dir/base.gguf"
echo "The answer" >&9
exec 9>&-
wait $pid
one_error "generate, the base is truncated" $? "^error: $dir/base.gguf: (changed or truncated|ended after)"
cp $base "$dir/base.gguf"

# checkpoints, then the whole folder, are deleted while it runs: it saves again
rm -rf "$out"
start save_steps=3
for ((k = 0; k < 5; k++)); do
    rm -rf "$out"/checkpoint-*
    more_lines
done
rm -rf "$out" 2>/dev/null # a file that comes meanwhile may stay
for ((i = 0; i < 1200; i++)); do # what a save had written before may be gone: until the next one
    [ -f "$out/adapter_model.safetensors" ] && ls -d "$out"/checkpoint-*[0-9] >/dev/null 2>&1 && break
    sleep 0.05
done
stop "checkpoints and the folder were deleted"
[ -f "$out/adapter_model.safetensors" ] && ls -d "$out"/checkpoint-*[0-9] >/dev/null || fail "the folder was deleted: nothing was saved again"

# ---- between a kill and a resume
half() {
    rm -rf "$out"
    cp -r "$dir/good" "$out"
    rm -rf "$out/checkpoint-4"
}
half
cp "$dir/rows.jsonl" "$dir/rows.kept"
sed -i '3s/Row/Line/' "$dir/rows.jsonl"
train --resume
one_error "the data changed" $? "^error: $out/checkpoint-2: .*data"
rm "$dir/rows.jsonl"
train --resume
one_error "the data are gone" $? "^error: $dir/rows.jsonl: there is no such file"
cp "$dir/rows.kept" "$dir/rows.jsonl"
go_on "the data are back" "$out"
half
rm "$out/metrics.jsonl"
train --resume || fail "metrics.jsonl is gone: $(cat "$dir/err")"
grep -q '^warning: .*metrics.jsonl: .*missing' "$dir/err" || fail "metrics.jsonl is gone, and nothing is said"
cmp -s "$dir/good/adapter_model.safetensors" "$out/adapter_model.safetensors" || fail "metrics.jsonl is gone: another adapter"
# the newest checkpoint is damaged: the one before it, and a warning
for damage in "truncate -s 1000 state.h5" "rm state.h5.xxh3" "rm state.h5" "cp state.h5.xxh3 state.h5" "truncate -s 0 state.h5"; do
    rm -rf "$out"
    cp -r "$dir/good" "$out"
    (cd "$out/checkpoint-4" && $damage)
    train --resume || fail "$damage: $(cat "$dir/err")"
    grep -q "^warning: skipped.*$out/checkpoint-4" "$dir/err" || fail "$damage: nothing is said"
    same_run "$damage" "$out"
done
# no whole checkpoint at all: from the beginning
for c in 2 4; do : >"$out/checkpoint-$c/state.h5"; done
go_on "no whole checkpoint" "$out"
verdict "what others do to the files: told, and nothing is lost"
