#!/usr/bin/env bash
# t_disk.sh LORAC LORAC_FAULTS [--long]: the disk is full, or fails, at a write, a sync or a rename. Each command then ends
# with status 1 and one line that names the file, leaves no temporary file, and what was valid before is valid; a run goes on
# to the same adapter. Long: at every passage.
WANTS_MOUNTS=true
. "$(dirname "$0")/lib.sh"
write_run
run() { "$@" >"$dir/out" 2>"$dir/err" </dev/null; }
run "$lorac" train "$dir/run.yaml" output_dir="$dir/good" || { cat "$dir/err"; exit 1; }

# ---- train: each fault at each passage
train_faults() { # FAULT SAMPLES
    local fault=$1 total n code out=$dir/run
    rm -rf "$out"
    total=$(passages "$fault" "$lorac_faults" train "$dir/run.yaml" output_dir="$out") || { cat "$dir/err"; fail "$fault: the undisturbed run"; return; }
    [ "$total" -ge 10 ] || fail "$fault is passed only $total times in a run"
    for n in $(numbers "$total" "$2"); do
        rm -rf "$out"
        LORAC_FAULT=$fault=$n run "$lorac_faults" train "$dir/run.yaml" output_dir="$out" --quiet
        code=$?
        one_error "train, $fault=$n" $code "^error: $out"
        no_temporaries "train, $fault=$n" "$out"
        valid_run "train, $fault=$n" "$out"
        if grep -q '"step":3' "$out/metrics.jsonl" 2>/dev/null && [ ! -d "$out/checkpoint-2" ]; then fail "train, $fault=$n: checkpoint-2 is lost"; fi
        go_on "train, $fault=$n" "$out"
    done
    echo "train: $fault at $(numbers "$total" "$2" | wc -l) of $total passages"
}
train_faults write 6
train_faults sync 4
train_faults rename 4

# ---- resume: the checkpoints that were there are still there, and the next resume works
resume_faults() { # FAULT SAMPLES
    local fault=$1 total n code out=$dir/run
    rm -rf "$dir/half"
    run "$lorac" train "$dir/run.yaml" output_dir="$dir/half" || fail "half a run"
    rm -rf "$dir/half/checkpoint-4"
    rm -rf "$out"
    cp -r "$dir/half" "$out"
    total=$(passages "$fault" "$lorac_faults" train "$dir/run.yaml" output_dir="$out" --resume) || { fail "$fault: the undisturbed resume"; return; }
    for n in $(numbers "$total" "$2"); do
        rm -rf "$out"
        cp -r "$dir/half" "$out"
        LORAC_FAULT=$fault=$n run "$lorac_faults" train "$dir/run.yaml" output_dir="$out" --quiet --resume
        code=$?
        one_error "resume, $fault=$n" $code "^error: $out"
        no_temporaries "resume, $fault=$n" "$out"
        [ -d "$out/checkpoint-2" ] || fail "resume, $fault=$n: checkpoint-2 is lost"
        valid_run "resume, $fault=$n" "$out"
        go_on "resume, $fault=$n" "$out"
    done
    echo "resume: $fault at $(numbers "$total" "$2" | wc -l) of $total passages"
}
resume_faults write 3
resume_faults sync 2
resume_faults rename 2

# ---- other commands that write files: their target is as it was before
other() { # NAME TARGET FAULT SAMPLES COMMAND...
    local name=$1 target=$2 fault=$3 samples=$4 total n code
    shift 4
    rm -rf "$target"
    total=$(passages "$fault" "$lorac_faults" "$@") || { cat "$dir/err"; fail "$name, $fault: the undisturbed run"; return; }
    [ "$total" -ge 1 ] || fail "$name: $fault is never passed"
    for n in $(numbers "$total" "$samples"); do
        rm -rf "$target"
        printf old >"$target"
        LORAC_FAULT=$fault=$n run "$lorac_faults" "$@"
        code=$?
        one_error "$name, $fault=$n" $code "^error: $target"
        no_temporaries "$name, $fault=$n" "$dir"
        # a sync of the folder that fails comes after the rename: the new file is whole then
        if [ "$(cat "$target" 2>/dev/null | tr -d '\0')" != old ] && [ $fault != sync ]; then fail "$name, $fault=$n: the old file is lost"; fi
    done
    echo "$name: $fault at $(numbers "$total" "$samples" | wc -l) of $total passages"
}
for fault in write sync rename; do
    other merge "$dir/m.gguf" $fault 4 merge --base $base --adapter "$dir/good" --out "$dir/m.gguf" --force --outtype keep
    other "eval --per-token" "$dir/p.jsonl" $fault 3 eval --base $base --data "$dir/test.jsonl" --per-token "$dir/p.jsonl"
done

# ---- a model folder that replaces an older one: at each fault the old one or the new one is there, whole, with what else was in it
model=tests/golden/parity/gqa_tied
folder() { "$@" merge --base $model/model --adapter $model/adapter --out "$dir/m" --force --outtype "$type"; }
old_folder() {
    rm -rf "$dir/m"
    cp -r "$dir/m-f32" "$dir/m"
}
for type in f32 f16; do
    rm -rf "$dir/m"
    mkdir "$dir/m"
    echo mine >"$dir/m/notes.txt"
    run folder "$lorac" || fail "merge into a folder: $(cat "$dir/err")"
    [ "$(cat "$dir/m/notes.txt")" = mine ] || fail "merge into a folder: another file is lost"
    mv "$dir/m" "$dir/m-$type"
done
for fault in write sync rename kill; do
    old_folder
    total=$(passages $fault folder "$lorac_faults") || { cat "$dir/err"; fail "merge into a folder, $fault: the undisturbed run"; }
    diff -rq "$dir/m" "$dir/m-f16" >/dev/null || fail "merge into a folder, $fault: the undisturbed run's result"
    for n in $(numbers "$total" 5); do
        old_folder
        { LORAC_FAULT=$fault=$n run folder "$lorac_faults"; } 2>/dev/null
        code=$?
        if [ $fault = kill ]; then
            [ $code -eq 137 ] || fail "merge into a folder, kill=$n: exit $code"
        else
            one_error "merge into a folder, $fault=$n" $code "^error: $dir/m"
            no_temporaries "merge into a folder, $fault=$n" "$dir"
        fi
        diff -rq "$dir/m" "$dir/m-f32" >/dev/null || diff -rq "$dir/m" "$dir/m-f16" >/dev/null ||
            fail "merge into a folder, $fault=$n: neither the old nor the new one is there"
    done
    echo "merge into a folder: $fault at $(numbers "$total" 5 | wc -l) of $total passages"
done
run folder "$lorac" || fail "merge into a folder after kills: $(cat "$dir/err")"
no_temporaries "merge into a folder after kills" "$dir"
ln -s "$dir/m" "$dir/link"
run "$lorac" merge --base $model/model --adapter $model/adapter --out "$dir/link/" --force --outtype f32 || fail "merge into a link: $(cat "$dir/err")"
[ -L "$dir/link" ] && diff -rq "$dir/m" "$dir/m-f32" >/dev/null || fail "merge into a link to a folder"
mkdir "$dir/m/sub"
run "$lorac" merge --base $model/model --adapter $model/adapter --out "$dir/m" --force
[ $? -eq 2 ] && grep -q "^error: .*holds the folder sub" "$dir/err" && [ -d "$dir/m/sub" ] || fail "merge into a folder with folders: $(cat "$dir/err")"
run "$lorac" merge --base $model/model --adapter $model/adapter --out "$dir/new///" || fail "merge into a new folder with slashes: $(cat "$dir/err")"
[ -f "$dir/new/model.safetensors" ] || fail "merge into a new folder with slashes"

# ---- a limit on the size of files (ulimit -f counts blocks of 1024 bytes)
limited() { # KIB COMMAND...
    local kib=$1
    shift
    (ulimit -f "$kib" && exec "$@") 2>&1 >/dev/null </dev/null | cat >"$dir/err"
    return "${PIPESTATUS[0]}"
}
limits=0
for kib in $(if $long; then seq 0 200; else echo 0 1 30 60; fi); do
    rm -rf "$dir/run"
    limited "$kib" "$lorac" train "$dir/run.yaml" output_dir="$dir/run" --quiet
    code=$?
    [ $code -eq 0 ] && { same_run "train, ulimit -f $kib" "$dir/run"; break; }
    limits=$((limits + 1))
    one_error "train, ulimit -f $kib" $code "^error: $dir/run.*(limit|large)"
    no_temporaries "train, ulimit -f $kib" "$dir/run"
    valid_run "train, ulimit -f $kib" "$dir/run"
    go_on "train, ulimit -f $kib" "$dir/run"
done
[ $limits -ge 4 ] || fail "ulimit -f: only $limits limits were too small"
for kib in 0 100 1500; do
    limited $kib "$lorac" merge --base $base --adapter "$dir/good" --out "$dir/l.gguf" --outtype f16
    one_error "merge, ulimit -f $kib" $? "^error: $dir/l.gguf.*(limit|large)"
    no_temporaries "merge, ulimit -f $kib" "$dir"
    [ ! -e "$dir/l.gguf" ] || fail "merge, ulimit -f $kib: half a file"
done
echo "ulimit -f: $limits limits"

# ---- a small disk
fill() { # FOLDER KIB_LEFT: writes until so much is left
    local free
    free=$(df --output=avail -k "$1" | tail -1)
    head -c $(((free - $2) * 1024)) /dev/zero >"$1/filler" 2>/dev/null
}
small_disk() {
    local disk=$dir/disk code pid
    # too small from the start: refused before the first step
    mounted size=2m "$disk" || { echo "a small disk: skipped, this user may not mount one"; return; }
    run "$lorac" train "$dir/run.yaml" output_dir="$disk/run" --quiet
    one_error "a disk of 2 MB" $? "^error: $disk/run: .*free some space"
    [ ! -s "$disk/run/metrics.jsonl" ] || fail "a disk of 2 MB: steps were done"
    # real ENOSPC in one large file
    run "$lorac" merge --base $base --adapter "$dir/good" --out "$disk/m.gguf" --outtype f32
    one_error "merge on a disk of 2 MB" $? "^error: $disk/m.gguf.*: the disk is full"
    no_temporaries "merge on a disk of 2 MB" "$disk"
    # it becomes full during the run: the room for a checkpoint is looked at before each
    mount -o remount,size=16m "$disk" || { fail "remount"; return; }
    for left in 700 0; do
        rm -rf "$disk/run" "$disk/filler"
        "$lorac" train "$dir/run.yaml" output_dir="$disk/run" --quiet max_steps=4000 save_steps=40 save_total_limit=1 eval_steps=4000 \
            >/dev/null 2>"$dir/err" </dev/null &
        pid=$!
        for ((i = 0; i < 1000; i++)); do
            [ -d "$disk/run/checkpoint-40" ] && break
            sleep 0.05
        done
        fill "$disk" $left
        wait $pid
        code=$?
        if [ $left -gt 0 ]; then
            one_error "no room for a checkpoint" $code "^error: $disk/run: .*free some space"
        else
            one_error "no room at all" $code "^error: $disk/run"
        fi
        no_temporaries "a disk that becomes full" "$disk"
        valid_run "a disk that becomes full" "$disk/run"
        ls -d "$disk"/run/checkpoint-*0 >/dev/null 2>&1 || fail "a disk that becomes full: the checkpoint is lost"
        # no room for the resumed run either; with room it goes on
        run "$lorac" train "$dir/run.yaml" output_dir="$disk/run" --quiet max_steps=4000 save_steps=40 save_total_limit=1 eval_steps=4000 --resume
        one_error "resume on a full disk" $? "^error: $disk/run"
        valid_run "resume on a full disk" "$disk/run"
    done
    echo "a small disk: refused at start, at a merge and before a checkpoint"
}
small_disk

# ---- standard output on a full disk
for command in "tokenize $base --file $dir/texts.jsonl" "generate --base $base --prompt The --max-tokens 4" "plan $dir/run.yaml" \
    "plan $dir/run.yaml --json" "eval --base $base --data $dir/test.jsonl" "eval --base $base --data $dir/test.jsonl --json" \
    "data show $dir/run.yaml --json" "data show $dir/run.yaml" "data stats $dir/run.yaml" "inspect $dir/good" "inspect $base" \
    "config defaults" "merge --base $base --adapter $dir/good --out $dir/f.gguf --force" "--version" "--help" "train --help"; do
    printf '"The answer"\n' >"$dir/texts.jsonl"
    # shellcheck disable=SC2086
    "$lorac" $command >/dev/full 2>"$dir/err" </dev/null
    one_error "$command >/dev/full" $? "standard output cannot be written"
done
verdict "a full disk: nothing is lost"
