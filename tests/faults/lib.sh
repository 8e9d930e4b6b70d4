# lib.sh: what the fault tests share; sourced with the arguments LORAC LORAC_FAULTS [--long] (WANTS_MOUNTS=true before it:
# the script runs where it may mount file systems).
# lorac is the program as it is shipped, lorac_faults the one with planted faults (base/fault.h).
set -u
# own_mounts ARGUMENTS OF THE SCRIPT: runs it again where it may mount file systems that nobody else sees
own_mounts() {
    local how
    [ -z "${LORAC_OWN_MOUNTS:-}" ] || return 0
    for how in -m -rm; do
        if unshare $how true 2>/dev/null; then
            export LORAC_OWN_MOUNTS=yes
            exec unshare $how bash "$0" "$@"
        fi
    done
    LORAC_OWN_MOUNTS=no
}
${WANTS_MOUNTS:-false} && own_mounts "$@"
export LC_ALL=C
lorac=$(realpath "$1")
lorac_faults=$(realpath "$2")
long=false
[ "${3:-}" = --long ] && long=true
base=data/tiny/tiny.gguf
# in memory where there is room: each run syncs its files many times
[ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)" -gt 60000 ] 2>/dev/null && export TMPDIR=/dev/shm
dir=$(mktemp -d)
cleanup=()
finish() {
    local c
    for c in ${cleanup[@]+"${cleanup[@]}"}; do $c; done
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM
failed=0
fail() {
    echo "FAIL: $*"
    failed=$((failed + 1))
    if [ $failed -ge 20 ]; then
        echo "20 failures are enough"
        exit 1
    fi
}
skip() {
    echo "skipped: $*"
    exit 77
}
# done_with WHAT: the verdict
verdict() {
    [ $failed -eq 0 ] || exit 1
    echo "$*"
}

# mounted OPTIONS FOLDER: a tmpfs there; false where this user may not
mounted() {
    mkdir -p "$2"
    [ "$LORAC_OWN_MOUNTS" = yes ] && mount -t tmpfs -o "$1" none "$2" 2>/dev/null || return 1
    cleanup+=("umount -l $2")
}

# A run of a moment: 4 steps of 2 micro-batches, evaluations and checkpoints at 2 and 4, dropout, several rows to a bin.
write_run() {
    local i
    for i in 1 2 3 4 5 6 7 8; do
        printf '{"prompt":"Is %d even?","completion":"Row %d says %d."}\n' "$i" "$i" $((i * 3))
    done >"$dir/rows.jsonl"
    head -2 "$dir/rows.jsonl" >"$dir/test.jsonl"
    cat >"$dir/run.yaml" <<YAML
base_model: $base
datasets:
  - path: $dir/rows.jsonl
    type: prompt_completion
test_datasets:
  - path: $dir/test.jsonl
    type: prompt_completion
sequence_len: 32
lora_r: 2
lora_dropout: 0.1
lora_target_modules: [q_proj, down_proj]
learning_rate: 5e-3
micro_batch_size: 1
gradient_accumulation_steps: 2
max_steps: 4
eval_steps: 2
save_steps: 2
save_total_limit: 2
load_best_model_at_end: false
threads: 1
YAML
}

# metrics FILE: its lines without times and memory
metrics() { sed -E 's/,"([a-z_]*_per_second|[a-z_]*_s|rss_[a-z_]*)":[^,}]*//g' "$1"; }

# one_error WHAT CODE PATTERN: $dir/err holds exactly one line "error..." that matches PATTERN, and no bug or sanitizer
# report; CODE was 1
one_error() {
    local what=$1 code=$2 pattern=$3
    [ "$code" -eq 1 ] || fail "$what: exit $code, expected 1: $(tail -3 "$dir/err")"
    [ "$(grep -c '^error' "$dir/err")" -eq 1 ] || fail "$what: not one error line: $(tail -5 "$dir/err")"
    grep '^error' "$dir/err" | grep -qE -- "$pattern" || fail "$what: '$pattern' is not in: $(grep '^error' "$dir/err")"
    no_bug "$what"
}
no_bug() { if grep -qE '^bug:|AddressSanitizer|LeakSanitizer|runtime error:' "$dir/err"; then fail "$1: $(grep -E -A12 '^bug:|Sanitizer|runtime error:' "$dir/err" | head -30)"; fi; }
# no_temporaries WHAT FOLDER
no_temporaries() {
    local left
    left=$(find "$2" -name '*.tmp-*' 2>/dev/null | head -3)
    [ -z "$left" ] || fail "$1: left behind: $left"
}

# passages FAULT COMMAND...: how often the places of FAULT are passed when nothing strikes. The command must succeed.
passages() {
    local fault=$1
    shift
    rm -f "$dir/passed"
    LORAC_FAULT="$fault=999999999" LORAC_FAULT_LOG=$dir/passed "$@" >"$dir/out" 2>"$dir/err" </dev/null || return 1
    grep -c "^$fault " "$dir/passed"
}

# numbers TOTAL SAMPLES: 1..TOTAL in the long form; in the short form at most SAMPLES of them, spread, first and last too
numbers() {
    local total=$1 samples=$2 i
    if $long || [ "$total" -le "$samples" ]; then
        seq 1 "$total"
    else
        for ((i = 0; i < samples; i++)); do echo $((1 + i * (total - 1) / (samples - 1))); done
    fi
}

# same_run WHAT FOLDER: its adapters and metrics are those of the undisturbed run in $dir/good
same_run() {
    local f
    for f in adapter_model.safetensors adapter_config.json best/adapter_model.safetensors best/best.json; do
        cmp -s "$dir/good/$f" "$2/$f" || fail "$1: $f differs from the undisturbed run's"
    done
    [ "$(metrics "$dir/good/metrics.jsonl")" = "$(metrics "$2/metrics.jsonl")" ] ||
        fail "$1: metrics.jsonl differs from the undisturbed run's"
}
# valid_run WHAT FOLDER: what is there can be read: metrics are whole lines, the adapter opens, so do all checkpoints
valid_run() {
    local c
    [ -f "$2/metrics.jsonl" ] && ! python3 -c '
import json, sys
text = open(sys.argv[1]).read()
assert text == "" or text.endswith("\n")
for line in text.splitlines(): json.loads(line)' "$2/metrics.jsonl" && fail "$1: metrics.jsonl holds half a line"
    for c in "$2"/checkpoint-* "$2"/adapter_model.safetensors "$2"/best/adapter_model.safetensors; do
        case $c in *.tmp-*) continue ;; esac # of a killed process; nobody reads it
        [ -e "$c" ] || continue
        "$lorac" inspect "$c" >"$dir/inspect" 2>&1 || fail "$1: $c is not whole: $(head -1 "$dir/inspect")"
    done
}
# go_on WHAT FOLDER OVERRIDES...: --resume without a fault ends as the undisturbed run does
go_on() {
    local what=$1 folder=$2
    shift 2
    "$lorac" train "$dir/run.yaml" output_dir="$folder" --resume --quiet "$@" >"$dir/out" 2>"$dir/err" </dev/null ||
        fail "$what: --resume failed: $(tail -2 "$dir/err")"
    same_run "$what, resumed" "$folder"
    no_temporaries "$what, resumed" "$folder"
}
