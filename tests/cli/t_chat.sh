#!/usr/bin/env bash
# t_chat.sh LORAC: chats from file to adapter: what data show and data render say is what is trained, the template's day is the
# run's first, a named template replaces the model's, and bad chats are errors with their line.
set -euo pipefail
lorac=$(realpath "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
base=data/tiny/tiny.gguf

cat >"$dir/chats.jsonl" <<'END'
{"messages": [{"role": "user", "content": "Which colour?"}, {"role": "assistant", "content": "Green."}]}
{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "When?"}, {"role": "assistant", "content": "At nine."}, {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "Yes."}]}
END
cat >"$dir/share.jsonl" <<'END'
{"conversations": [{"from": "human", "value": "Which colour?"}, {"from": "gpt", "value": "Green."}]}
{"system": "Be brief.", "conversations": [{"from": "human", "value": "When?"}, {"from": "gpt", "value": "At nine."}, {"from": "human", "value": "Sure?"}, {"from": "gpt", "value": "Yes."}]}
END
config() { # config FILE LINES...
    printf 'base_model: %s\nsequence_len: 128\nmax_steps: 2\nsave_steps: 1\noutput_dir: %s\n' "$base" "$dir/out" >"$1"
    printf '%s\n' "${@:2}" >>"$1"
}
config "$dir/run.yaml" 'datasets:' "  - path: $dir/chats.jsonl"
config "$dir/share.yaml" 'datasets:' "  - path: $dir/share.jsonl"

"$lorac" data show "$dir/run.yaml" --json >"$dir/show" 2>"$dir/err" || fail "$(cat "$dir/err")"
"$lorac" data show "$dir/share.yaml" --json >"$dir/show2" 2>"$dir/err" || fail "$(cat "$dir/err")"
"$lorac" data render "$base" --file "$dir/chats.jsonl" >"$dir/render"
ids() { sed 's/.*"ids":\[\([^]]*\)\],"trained":\[\([^]]*\)\].*/\1 \2/' "$1"; }
[ "$(ids "$dir/show")" = "$(ids "$dir/render")" ] || fail "data show and data render differ"
[ "$(ids "$dir/show")" = "$(ids "$dir/show2")" ] || fail "ShareGPT rows are other rows than the same messages"
"$lorac" data show "$dir/run.yaml" >"$dir/text"
grep -qF '[Green.<|im_end|>]' "$dir/text" || fail "the answer and its end token are not marked: $(cat "$dir/text")"
grep -qF 'assistant' "$dir/text" && grep -qF '[assistant' "$dir/text" && fail "a header is marked"

# a template that prints the day: the run keeps the day it began on
cat >"$dir/day.jinja" <<'END'
{{ strftime_now('%Y-%m-%d') }}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}
END
config "$dir/day.yaml" "chat_template: $dir/day.jinja" 'datasets:' "  - path: $dir/chats.jsonl"
"$lorac" data show "$dir/day.yaml" template_date=2024-02-29 --row 0 | grep -q '2024-02-29<|im_start|>' || fail "template_date is not seen"
"$lorac" data show "$dir/day.yaml" template_date=2023-02-29 >"$dir/log" 2>&1 && fail "a day that does not exist"
grep -q 'template_date' "$dir/log" || fail "the error names no key: $(cat "$dir/log")"
"$lorac" train "$dir/day.yaml" template_date=2020-01-02 max_steps=2 --quiet 2>"$dir/err" || fail "$(cat "$dir/err")"
"$lorac" train "$dir/day.yaml" template_date= max_steps=4 resume_from_checkpoint=auto force_resume='[max_steps, lr_scheduler]' --quiet >"$dir/log" 2>&1 ||
    fail "resumed on another day: $(cat "$dir/log")"
grep -q '^template_date:.*2020-01-02' "$dir/out/config.resolved.yaml" || fail "the resumed run took another day"
"$lorac" eval --base "$base" --adapter "$dir/out" --data "$dir/chats.jsonl" --json | grep -q '"tokens":' || fail "eval of chats"

# a template that does not look at the time: the day changes no byte, and is not recorded
for day in 2020-01-02 2021-03-04; do
    "$lorac" train "$dir/run.yaml" template_date=$day output_dir="$dir/$day" --quiet 2>"$dir/err" || fail "$(cat "$dir/err")"
done
cmp "$dir/2020-01-02/adapter_model.safetensors" "$dir/2021-03-04/adapter_model.safetensors" || fail "the day changes the adapter"
"$lorac" train "$dir/run.yaml" output_dir="$dir/today" --quiet 2>"$dir/err" || fail "$(cat "$dir/err")"
grep -q '^template_date:.*[0-9]' "$dir/today/config.resolved.yaml" && fail "a day is recorded that nothing depends on"
cmp "$dir/2020-01-02/adapter_model.safetensors" "$dir/today/adapter_model.safetensors" || fail "today changes the adapter"
"$lorac" data show "$dir/run.yaml" chat_template="$dir/absent.jinja" >"$dir/log" 2>&1 && fail "a template that is not there"
grep -q 'chat_template: .*absent.jinja' "$dir/log" || fail "the error does not name the key: $(cat "$dir/log")"

refused() { # refused MESSAGE ROW [OVERRIDE...]: training says so, with the line
    local status=0
    printf '%s\n' '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}' "$2" >"$dir/bad.jsonl"
    "$lorac" data show "$dir/run.yaml" datasets.0.path="$dir/bad.jsonl" "${@:3}" >"$dir/log" 2>&1 || status=$?
    [ $status -eq 1 ] || fail "$2: exit status $status"
    grep -qF -- "bad.jsonl:2: $1" "$dir/log" || fail "$2: $(cat "$dir/log")"
}
refused 'the chat template raised an error: ' '{"messages": [{"content": "a"}]}'
refused 'messages[1]: got' '{"messages": [{"role": "user", "content": "a"}, 7]}'
refused 'no trained token' '{"messages": [{"role": "user", "content": "a"}]}'
refused "messages[1]: the chat template leaves out its tool_calls" \
    '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}]}'
echo '{% for m in messages %}{{ m.content }}{% endfor %}{{ raise_exception("no such role") if messages[0].role == "x" }}' >"$dir/raise.jinja"
"$lorac" data show "$dir/run.yaml" chat_template="$dir/raise.jinja" >"$dir/log" 2>&1 && fail "no end token, and no error"
grep -qF 'chats.jsonl:1: messages[1]: the chat template writes no end token' "$dir/log" || fail "no end token: $(cat "$dir/log")"
# rows that are too long: whole turns, or the first turn's text cut and its end token kept; what is shown is what is trained
status=0
"$lorac" train "$dir/run.yaml" sequence_len=20 output_dir="$dir/long" >"$dir/log" 2>&1 || status=$?
[ $status -eq 1 ] || fail "rows that are too long: exit status $status"
grep -qE "^error: .*chats.jsonl:1: [0-9]+ tokens, .*chats.jsonl:2: [0-9]+ tokens, each more than sequence_len 20" "$dir/log" || fail "too long: $(cat "$dir/log")"
"$lorac" data show "$dir/run.yaml" sequence_len=45 excess_length_strategy=truncate >"$dir/cut"
tail -n +"$(grep -n 'chats.jsonl:2' "$dir/cut" | cut -d: -f1)" "$dir/cut" | tail -n +2 >"$dir/second"
printf '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhen?<|im_end|>\n<|im_start|>assistant\n[At nine.<|im_end|>]\n\n' |
    cmp -s - "$dir/second" || fail "the last whole turn that fits: $(cat "$dir/cut")"
head -1 "$dir/chats.jsonl" >"$dir/one.jsonl"
"$lorac" data show "$dir/run.yaml" "datasets.0.path=$dir/one.jsonl" sequence_len=20 excess_length_strategy=truncate >"$dir/cut"
grep -qE '^\[Gr?e?e?<\|im_end\|>\]$' "$dir/cut" || fail "the first turn's end token: $(cat "$dir/cut")"
"$lorac" train "$dir/run.yaml" sequence_len=45 excess_length_strategy=truncate output_dir="$dir/long" >"$dir/log" 2>&1 || fail "$(cat "$dir/log")"
grep -qE "= [0-9]+ trained \+ [0-9]+ masked \+ [1-9][0-9]* dropped, 1 rows cut" "$dir/log" || fail "the ledger: $(cat "$dir/log")"
"$lorac" data show "$dir/run.yaml" sequence_len=20 excess_length_strategy=drop --row 0 >"$dir/log" 2>&1 && fail "all rows dropped is no error"

# a file's conversations answered: the prompt is the template's, up to the answer
"$lorac" generate --base "$base" --data "$dir/chats.jsonl" --max-tokens 3 >"$dir/answers"
grep -qF '{"row":0,"prompt":"<|im_start|>user\nWhich colour?<|im_end|>\n<|im_start|>assistant\n","text":' "$dir/answers" || fail "generate: $(cat "$dir/answers")"
grep -qF '<|im_start|>assistant\nAt nine.<|im_end|>\n<|im_start|>user\nSure?<|im_end|>\n<|im_start|>assistant\n","text":' "$dir/answers" || fail "generate: $(cat "$dir/answers")"
echo "chats: shown, rendered, trained, cut, refused"
