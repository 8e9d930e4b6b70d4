#!/usr/bin/env bash
# t_commands.sh LORAC: every subcommand answers --help and rejects junk; errors are one line with the place.
set -u
lorac=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
fail() { echo "FAIL: $*"; failed=1; }
# expect CODE PATTERN COMMAND...: exit code, and one line on stderr that matches
expect() {
    local code=$1 pattern=$2 got
    shift 2
    "$@" >"$dir/stdout" 2>"$dir/err" </dev/null
    got=$?
    [ $got -eq "$code" ] || fail "$* : exit $got, expected $code ($(head -c 300 "$dir/err"))"
    grep -qE -- "$pattern" "$dir/err" || fail "$* : no '$pattern' in: $(head -c 400 "$dir/err")"
    if [ "$code" -ne 0 ] && [ "$(grep -c '^error' "$dir/err")" -ne 1 ]; then fail "$* : not one error line"; fi
}
commands=$("$lorac" --help | sed -n '/^commands:/,/^$/p' | awk 'NF > 1 && $1 != "commands:" {print $1}')
[ "$(echo "$commands" | wc -w)" -ge 9 ] || fail "lorac --help lists too few commands"
for c in $commands; do
    "$lorac" "$c" --help >"$dir/stdout" 2>"$dir/err" || fail "$c --help"
    head -1 "$dir/stdout" | grep -q "^usage: lorac $c" || fail "$c --help does not begin with its usage"
    expect 2 "junk|unexpected|unknown|needed|got|missing|option" "$lorac" "$c" --no-such-option-at-all
done
"$lorac" --version | grep -q "^lorac " || fail "--version"
expect 2 "did you mean 'train'" "$lorac" trian
printf 'base_model: data/tiny/tiny.gguf\nlora_rr: 4\ndatasets:\n  - path: x.jsonl\n' >"$dir/a.yaml"
expect 1 "a.yaml:2:1: .*lora_rr.*lora_r" "$lorac" train "$dir/a.yaml"
printf 'base_model: data/tiny/tiny.gguf\nlora_r: many\ndatasets:\n  - path: x.jsonl\n' >"$dir/b.yaml"
expect 1 "b.yaml:2:" "$lorac" config check "$dir/b.yaml"
printf 'base_model: data/tiny/tiny.gguf\nseed: 1\nseed: 2\ndatasets:\n  - path: x.jsonl\n' >"$dir/c.yaml"
expect 1 "c.yaml:3:1" "$lorac" config check "$dir/c.yaml"
printf 'base_model: data/tiny/tiny.gguf\ndatasets:\n  - path: %s/rows.jsonl\n    type: text\nval_set_size: 0\noutput_dir: %s/out\nsequence_len: 128\n' "$dir" "$dir" >"$dir/ok.yaml"
expect 1 "rows.jsonl" "$lorac" train "$dir/ok.yaml"
printf '{"text":"one"}\n{"text":\n' >"$dir/rows.jsonl"
expect 1 "rows.jsonl:2" "$lorac" train "$dir/ok.yaml"
printf '{"text":"one"}\n{"txt":"two"}\n' >"$dir/rows.jsonl"
expect 1 "rows.jsonl:2" "$lorac" train "$dir/ok.yaml"
: >"$dir/rows.jsonl"
expect 1 "rows.jsonl" "$lorac" train "$dir/ok.yaml"
printf '{"input_ids":[1,2,3],"labels":[-100,-100,-100]}\n' >"$dir/rows.jsonl"
expect 1 "rows.jsonl:1" "$lorac" train "$dir/ok.yaml" datasets.0.type=tokens
printf '{"input_ids":[1,2,99999999],"labels":[1,2,3]}\n' >"$dir/rows.jsonl"
expect 1 "rows.jsonl:1" "$lorac" train "$dir/ok.yaml" datasets.0.type=tokens
printf '{"text":"hello hello hello"}\n' >"$dir/rows.jsonl"
expect 1 "no_such_layer.*q_proj" "$lorac" train "$dir/ok.yaml" 'lora_target_modules=[no_such_layer]'
expect 1 "nothing.gguf" "$lorac" eval --base "$dir/nothing.gguf" --data "$dir/rows.jsonl"
expect 2 "peft_use_dora" "$lorac" train "$dir/ok.yaml" peft_use_dora=true
expect 0 "" "$lorac" train "$dir/ok.yaml" max_steps=1
expect 1 "resume.*overwrite_output_dir" "$lorac" train "$dir/ok.yaml" max_steps=1
head -c 5000 data/tiny/tiny.gguf >"$dir/cut.gguf"
expect 1 "cut.gguf" "$lorac" inspect "$dir/cut.gguf"
expect 2 "outtype.*q9" "$lorac" merge --base data/tiny/tiny.gguf --adapter "$dir/out" --out "$dir/m.gguf" --outtype q9
"$lorac" config defaults | grep -q "lora_r" || fail "config defaults"
# a closed or full standard output is an error, not silence
"$lorac" config defaults >/dev/full 2>"$dir/err" && fail "a full standard output was not noticed"
exit $failed
