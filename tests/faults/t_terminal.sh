#!/usr/bin/env bash
# t_terminal.sh LORAC LORAC_FAULTS [--long]: a clock that goes back, no terminal, closed standard streams, a reader that goes
# away, SIGHUP, SIGINT and SIGTERM: exit codes are right and a run is not lost.
. "$(dirname "$0")/lib.sh"
write_run
run() { "$@" >"$dir/out" 2>"$dir/err" </dev/null; }
run "$lorac" train "$dir/run.yaml" output_dir="$dir/good" || { cat "$dir/err"; exit 1; }
out=$dir/run
good_code() { [ "$2" -eq "$3" ] || fail "$1: exit $2, expected $3: $(tail -1 "$dir/err")"; }

# ---- the clock: no time and no rate is negative
total=$(passages clock_back "$lorac_faults" train "$dir/run.yaml" output_dir="$dir/clock") || fail "clock_back: the undisturbed run"
for n in $(numbers "$total" 6) $(for i in $(numbers "$total" 4); do echo "$i+"; done); do
    rm -rf "$out"
    LORAC_FAULT=clock_back=$n run "$lorac_faults" train "$dir/run.yaml" output_dir="$out" logging_steps=1
    good_code "clock_back=$n" $? 0
    grep -E '"([a-z_]*_s|[a-z_]*_per_second)":(-|null)' "$out/metrics.jsonl" && fail "clock_back=$n: a negative time or rate"
    grep -E -- '-[0-9.]+ (s|min|h) left|-[0-9]+ tok' "$dir/err" && fail "clock_back=$n: a negative time or rate on the terminal"
    same_run "clock_back=$n" "$out"
done
echo "clock_back: $total readings of the clock"
if script -qec true /dev/null >/dev/null 2>&1; then # a terminal, where the bar shows the time left
    rm -rf "$out"
    LORAC_FAULT=clock_back=$((total / 2))+ TERM=xterm script -qec "$lorac_faults train $dir/run.yaml output_dir=$out" "$dir/screen" \
        >/dev/null 2>&1 </dev/null
    good_code "on a terminal" $? 0
    grep -q 'tok/s' "$dir/screen" || fail "on a terminal: no progress bar"
    grep -E -- '-[0-9.]+ (s|min|h) left|-[0-9]+ tok' "$dir/screen" && fail "on a terminal: a negative time or rate"
    same_run "on a terminal" "$out"
fi

# ---- no terminal, closed streams: the run is done, and no text for the person gets into a file of the run
train="$lorac train $dir/run.yaml output_dir=$out logging_steps=1"
without() { # WHAT SHELL_COMMAND: must end with 0 and the right files
    rm -rf "$out"
    (eval "$2")
    good_code "$1" $? 0
    same_run "$1" "$out"
    valid_run "$1" "$out"
}
without "stdin closed" "$train <&- >/dev/null 2>&1"
without "stdout closed" "$train >&- 2>/dev/null"
without "stderr closed" "$train 2>&- >/dev/null"
without "all streams closed" "$train <&- >&- 2>&-"
without "stdout and stderr at /dev/full" "$train >/dev/full 2>/dev/full"
without "no TERM, a session without a terminal" "env -u TERM setsid -w $train </dev/null >/dev/null 2>&1"
without "an empty environment" "env -i $train </dev/null >/dev/null 2>&1"
without "a reader of stderr that is gone" "$train 2>&1 >/dev/null | true; exit \${PIPESTATUS[0]}"
without "a reader of stdout that is gone" "$train 2>/dev/null | head -0; exit \${PIPESTATUS[0]}"
# results that cannot be delivered are an error
for command in "generate --base $base --prompt The --max-tokens 3" "plan $dir/run.yaml --json" "inspect $base" "config defaults" \
    "data show $dir/run.yaml" "eval --base $base --data $dir/test.jsonl" "--version" "--help"; do
    # shellcheck disable=SC2086
    "$lorac" $command >&- 2>"$dir/err" </dev/null
    one_error "$command >&-" $? "standard output cannot be written"
    # shellcheck disable=SC2086
    "$lorac" $command >&- 2>&- </dev/null
    good_code "$command >&- 2>&-" $? 1
done
"$lorac" train "$dir/none.yaml" 2>&- >&- </dev/null
good_code "an error without stderr" $? 1
yes '"some text"' | timeout 60 "$lorac" tokenize $base 2>"$dir/err" | head -1 >/dev/null
codes=("${PIPESTATUS[@]}")
one_error "tokenize | head -1" "${codes[1]}" "standard output cannot be written"

# ---- a stop request at each place that looks for one: the last completed step is saved, and the run goes on
total=$(passages stop "$lorac_faults" train "$dir/run.yaml" output_dir="$dir/stop") || fail "stop: the undisturbed run"
[ "$total" -ge 15 ] || fail "only $total places look for a stop request"
for n in $(numbers "$total" 10); do
    rm -rf "$out"
    LORAC_FAULT=stop=$n run "$lorac_faults" train "$dir/run.yaml" output_dir="$out"
    good_code "stop=$n" $? 130
    grep -q '^error' "$dir/err" && fail "stop=$n: $(grep '^error' "$dir/err")"
    grep -q '^stopped' "$dir/err" || fail "stop=$n: nothing is said"
    no_bug "stop=$n"
    valid_run "stop=$n" "$out"
    no_temporaries "stop=$n" "$out"
    steps=$(grep -c '"event":"step"' "$out/metrics.jsonl" 2>/dev/null)
    if [ "${steps:-0}" -gt 0 ] && [ ! -d "$out/checkpoint-$steps" ]; then fail "stop=$n: step $steps was done and is not saved"; fi
    go_on "stop=$n" "$out"
    # twice: at once
    rm -rf "$out"
    LORAC_FAULT=stop=$n+ run "$lorac_faults" train "$dir/run.yaml" output_dir="$out"
    good_code "stop=$n+" $? 130
    no_bug "stop=$n+"
    go_on "stop=$n+" "$out"
done
echo "stop: $(numbers "$total" 10 | wc -l) of $total places"

# ---- real signals in a run that would take hours
for signals in INT TERM "HUP HUP TERM" "HUP INT"; do
    rm -rf "$out"
    "$lorac" train "$dir/run.yaml" output_dir="$out" --quiet max_steps=10000000 save_steps=5000000 eval_steps=5000000 \
        >"$dir/out" 2>"$dir/err" </dev/null &
    pid=$!
    for signal in $signals; do
        lines=$(cat "$out/metrics.jsonl" 2>/dev/null | wc -l)
        for ((i = 0; i < 1200; i++)); do # until it has gone on by some steps
            [ "$(cat "$out/metrics.jsonl" 2>/dev/null | wc -l)" -gt $((lines + 3)) ] && break
            sleep 0.05
        done
        kill -$signal $pid || fail "$signals: it ended before"
    done
    wait $pid
    good_code "$signals" $? 130
    steps=$(grep -c '"event":"step"' "$out/metrics.jsonl")
    [ -d "$out/checkpoint-$steps" ] || fail "$signals: step $steps was done and is not saved"
    valid_run "$signals" "$out"
done
# waiting for a line that does not come
mkfifo "$dir/fifo"
for command in "tokenize $base" "generate --base $base"; do
    # shellcheck disable=SC2086
    "$lorac" $command <"$dir/fifo" >"$dir/out" 2>"$dir/err" &
    pid=$!
    exec 9>"$dir/fifo"
    printf '"one"\n"tw' >&9
    for ((i = 0; i < 600; i++)); do # until it is in a read of descriptor 0 (system call 0, or 63 on other machines)
        grep -qE '^(0|63) 0x0 ' /proc/$pid/syscall 2>/dev/null && { [ -s "$dir/out" ] || [ "${command%% *}" = generate ]; } && break
        sleep 0.05
    done
    [ -r /proc/$pid/syscall ] || { echo "Ctrl-C while waiting for input: skipped, /proc tells no system calls"; kill $pid; break; }
    kill -INT $pid
    for ((i = 0; i < 1200; i++)); do
        kill -0 $pid 2>/dev/null || break
        sleep 0.05
    done
    kill -9 $pid 2>/dev/null
    wait $pid
    good_code "$command, Ctrl-C while waiting for input" $? 130
    exec 9>&-
done
verdict "no terminal, closed streams, signals: nothing is lost"
