#!/usr/bin/env bash
# t_alloc.sh LORAC LORAC_FAULTS [--long]: no memory for an allocation of lorac's own, at the N-th one of each command. The
# command ends with status 1 and one line about memory, without a crash or a leak; nothing on disk is lost. Long: every N.
. "$(dirname "$0")/lib.sh"
write_run
run() { "$@" >"$dir/out" 2>"$dir/err" </dev/null; }
steps="max_steps=2 eval_steps=1 save_steps=1"
# shellcheck disable=SC2086
run "$lorac" train "$dir/run.yaml" output_dir="$dir/good" $steps || { cat "$dir/err"; exit 1; }
printf '"The answer is <|im_end|> 42."\n' >"$dir/texts.jsonl"
printf '[1, 2, 3]\n' >"$dir/ids.jsonl"

# strike NAME SAMPLES AFTER COMMAND...: the fault at each place; AFTER is run before (to clear) and after each (to look)
strike() {
    local name=$1 samples=$2 before=$3 after=$4 total n
    shift 4
    $before
    total=$(passages alloc "$lorac_faults" "$@") || { fail "$name: the undisturbed run: $(tail -2 "$dir/err")"; return; }
    [ "$total" -ge 5 ] || fail "$name: only $total allocations"
    for n in $(numbers "$total" "$samples"); do
        $before
        LORAC_FAULT=alloc=$n run "$lorac_faults" "$@"
        one_error "$name, alloc=$n" $? "out of memory"
        $after "$name, alloc=$n"
    done
    echo "$name: $(numbers "$total" "$samples" | wc -l) of $total allocations"
}
nothing() { :; }
clear_run() { rm -rf "$dir/run"; }
look_at_run() {
    no_temporaries "$1" "$dir"
    valid_run "$1" "$dir/run"
}
# every tenth in the long form goes on, too
turn=0
go_on_sometimes() {
    look_at_run "$1"
    turn=$((turn + 1))
    # shellcheck disable=SC2086
    if ! $long || [ $((turn % 10)) -eq 0 ]; then go_on "$1" "$dir/run" $steps; fi
}
half_run() {
    rm -rf "$dir/run"
    cp -r "$dir/good" "$dir/run"
    rm -rf "$dir/run/checkpoint-2"
}
no_merged() {
    no_temporaries "$1" "$dir"
    [ ! -e "$dir/m.gguf" ] || fail "$1: a file was left"
}
clear_merged() { rm -f "$dir/m.gguf"; }
# shellcheck disable=SC2086
strike train 12 clear_run go_on_sometimes train "$dir/run.yaml" output_dir="$dir/run" --quiet $steps
# shellcheck disable=SC2086
strike resume 6 half_run go_on_sometimes train "$dir/run.yaml" output_dir="$dir/run" --quiet --resume $steps
strike eval 5 nothing nothing eval --base $base --adapter "$dir/good" --data "$dir/test.jsonl" --json
strike "eval CONFIG" 4 nothing nothing eval "$dir/run.yaml" output_dir="$dir/good" --compare
strike merge 6 clear_merged no_merged merge --base $base --adapter "$dir/good" --out "$dir/m.gguf" --threads 1
strike generate 5 nothing nothing generate --base $base --adapter "$dir/good" --prompt "The answer" --max-tokens 3 --threads 1
strike tokenize 5 nothing nothing tokenize $base --file "$dir/texts.jsonl"
strike "tokenize --decode" 3 nothing nothing tokenize $base --file "$dir/ids.jsonl" --decode
strike "inspect GGUF" 4 nothing nothing inspect $base
strike "inspect run" 4 nothing nothing inspect "$dir/good"
strike "inspect checkpoint" 4 nothing nothing inspect "$dir/good/checkpoint-2"
strike "data show" 4 nothing nothing data show "$dir/run.yaml" --json
strike plan 4 nothing nothing plan "$dir/run.yaml" --json
strike "config check" 3 nothing nothing config check "$dir/run.yaml"
strike "config defaults" 3 nothing nothing config defaults
verdict "no memory: one line, no crash, nothing lost"
