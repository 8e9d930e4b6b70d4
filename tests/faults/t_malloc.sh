#!/usr/bin/env bash
# t_malloc.sh LORAC LORAC_FAULTS [--long]: no memory for a library. First where libhdf5 asks for it (planted), then at the
# N-th malloc, calloc or realloc of the whole process (failing_malloc.c, preloaded; not under AddressSanitizer). A command
# ends with status 1 and one line about memory, or its result is the usual one; never a crash or a hang, nothing is lost.
. "$(dirname "$0")/lib.sh"
write_run
run() { "$@" >"$dir/out" 2>"$dir/err" </dev/null; }
steps="max_steps=2 eval_steps=1 save_steps=1"
# shellcheck disable=SC2086
run "$lorac" train "$dir/run.yaml" output_dir="$dir/good" $steps || { cat "$dir/err"; exit 1; }
printf '"The answer is 42."\n' >"$dir/texts.jsonl"
out=$dir/run
turn=0
sometimes() { # go on in the short form always, in the long one at every tenth
    turn=$((turn + 1))
    # shellcheck disable=SC2086
    if ! $long || [ $((turn % 10)) -eq 0 ]; then go_on "$1" "$out" $steps; fi
}
new_run() { rm -rf "$out"; }
half_run() {
    rm -rf "$out"
    cp -r "$dir/good" "$out"
    rm -rf "$out/checkpoint-2"
}

# some TOTAL SAMPLES: as numbers, but at most 600 in the long form: the same few places ask thousands of times
some() {
    local long=false most=$2
    if [ "$every" = true ]; then most=600; fi
    numbers "$1" "$most"
}
every=$long

# ---- libhdf5; what it held then is not freed
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
hdf5() { # NAME SAMPLES BEFORE COMMAND...
    local name=$1 samples=$2 before=$3 total n
    shift 3
    $before
    total=$(passages library_alloc "$lorac_faults" "$@") || { fail "$name: the undisturbed run: $(tail -2 "$dir/err")"; return; }
    [ "$total" -ge 20 ] || fail "$name: libhdf5 asks only $total times for memory"
    for n in $(some "$total" "$samples"); do
        $before
        LORAC_FAULT=library_alloc=$n run timeout 300 "$lorac_faults" "$@"
        one_error "$name, library_alloc=$n" $? "out of memory: libhdf5"
        if [ "$before" != : ]; then
            no_temporaries "$name, library_alloc=$n" "$out"
            valid_run "$name, library_alloc=$n" "$out"
            [ "$before" = half_run ] && [ ! -d "$out/checkpoint-1" ] && fail "$name, library_alloc=$n: the checkpoint is lost"
            sometimes "$name, library_alloc=$n"
        fi
    done
    echo "$name: libhdf5 without memory at $(some "$total" "$samples" | wc -l) of $total calls"
}
# shellcheck disable=SC2086
hdf5 train 10 new_run train "$dir/run.yaml" output_dir="$out" --quiet $steps
# shellcheck disable=SC2086
hdf5 resume 6 half_run train "$dir/run.yaml" output_dir="$out" --quiet --resume $steps
hdf5 inspect 5 : inspect "$dir/good/checkpoint-2"

# ---- the whole process
preload=$dir/failing_malloc.so
if grep -q __asan_init "$lorac"; then
    verdict "no memory for a library: told, nothing is lost (a failing malloc is not tried under AddressSanitizer)"
    exit 0
fi
if ! ${CC:-cc} -O1 -shared -fPIC -o "$preload" "$(dirname "$0")/failing_malloc.c" 2>"$dir/err"; then
    verdict "no memory for a library: told, nothing is lost (failing_malloc.c cannot be built here: $(head -1 "$dir/err"))"
    exit 0
fi
malloc_fails() { # NAME SAMPLES BEFORE COMMAND...: an undisturbed result is in $dir/want and, for a run, in $dir/good
    local name=$1 samples=$2 before=$3 total n at code usual=0
    shift 3
    $before
    FAIL_MALLOC_LOG=$dir/calls LD_PRELOAD=$preload run "$lorac" "$@" || { fail "$name: the undisturbed run: $(tail -2 "$dir/err")"; return; }
    cp "$dir/out" "$dir/want"
    total=$(cat "$dir/calls")
    for at in $(for n in $(some "$total" "$samples"); do echo "$n"; done) 1+ $((total / 2))+ $((total - 2))+; do
        $before
        FAIL_MALLOC=$at LD_PRELOAD=$preload run timeout 60 "$lorac" "$@"
        code=$?
        if [ $code -eq 0 ]; then
            usual=$((usual + 1))
            cmp -s "$dir/want" "$dir/out" || fail "$name, malloc $at: exit 0 and another output"
            [ "$before" = : ] || same_run "$name, malloc $at" "$out"
        else
            one_error "$name, malloc $at" $code "memory|cannot be (read|opened|listed|examined|written)"
            [ "$before" = : ] || sometimes "$name, malloc $at"
        fi
        [ "$before" = : ] || valid_run "$name, malloc $at" "$out"
    done
    echo "$name: malloc fails at $(some "$total" "$samples" | wc -l) of $total calls; $usual times it is done without"
}
# shellcheck disable=SC2086
malloc_fails train 14 new_run train "$dir/run.yaml" output_dir="$out" --quiet $steps
# shellcheck disable=SC2086
malloc_fails resume 8 half_run train "$dir/run.yaml" output_dir="$out" --quiet --resume $steps
malloc_fails eval 8 : eval --base $base --adapter "$dir/good" --data "$dir/test.jsonl" --json --threads 1
malloc_fails merge 8 : merge --base $base --adapter "$dir/good" --out "$dir/m.gguf" --force --threads 1
malloc_fails generate 8 : generate --base $base --adapter "$dir/good" --prompt The --max-tokens 3 --threads 1
malloc_fails tokenize 8 : tokenize $base --file "$dir/texts.jsonl"
malloc_fails "inspect checkpoint" 8 : inspect "$dir/good/checkpoint-2"
malloc_fails "inspect GGUF" 8 : inspect $base
malloc_fails "data show" 8 : data show "$dir/run.yaml" --json
mkdir "$dir/packed"
printf '{"text": "a"}\n{"text": "b"}\n' | gzip >"$dir/packed/gz"
printf '\x28\xb5\x2f\xfd\0\x38\x71\0\0{"text": "a"}\n' >"$dir/packed/zst" # one block as it is
printf 'base_model: %s\ndatasets:\n  - path: %s/packed/*\n  - path: %s/packed\n' "$base" "$dir" "$dir" >"$dir/packed.yaml"
malloc_fails "data check, compressed" 30 : data check "$dir/packed.yaml" threads=1
malloc_fails "data stats, compressed" 8 : data stats "$dir/packed.yaml" dedupe=true threads=1 --json
malloc_fails plan 8 : plan "$dir/run.yaml" --json
malloc_fails "config check" 8 : config check "$dir/run.yaml"
verdict "no memory for a library: told, nothing is lost"
