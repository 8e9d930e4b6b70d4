#!/usr/bin/env bash
# t_row_types.sh LORAC: instructions, segments, messages as prompts and pairs from file to command: what is detected is said, what is
# shown is what the same messages are as a chat, what compares answers is shown and counted but not trained on, and bare prompts
# for a model with a chat template are one warning.
set -euo pipefail
lorac=$(realpath "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
base=data/tiny/tiny.gguf
printf 'base_model: %s\nsequence_len: 128\nmax_steps: 1\noutput_dir: %s/out\ndatasets:\n  - path: x\n' $base "$dir" >"$dir/run.yaml"
show() { "$lorac" data show "$dir/run.yaml" --json "datasets.0.path=$dir/$1" "${@:2}" 2>"$dir/err" || fail "show $1: $(cat "$dir/err")"; }
ids() { grep -o '"ids":.*'; }

cat >"$dir/chat.jsonl" <<'END'
{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Translate.\neins"}, {"role": "assistant", "content": "one"}]}
{"messages": [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "1 2 3"}]}
END
cat >"$dir/alpaca.jsonl" <<'END'
{"instruction": "Translate.", "input": "eins", "output": "one", "system": "Be brief.", "history": [["Hi", "Hello."]]}
{"instruction": "Count.", "input": "", "output": "1 2 3"}
END
cat >"$dir/prompts.jsonl" <<'END'
{"prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], "completion": [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Translate.\neins"}, {"role": "assistant", "content": "one"}]}
{"prompt": [{"role": "user", "content": "Count."}], "completion": [{"role": "assistant", "content": "1 2 3"}]}
END
show chat.jsonl | ids >"$dir/want"
for file in alpaca prompts; do
    show $file.jsonl | ids | cmp -s - "$dir/want" || fail "$file.jsonl gives other rows than the same messages"
done
[ "$(wc -l <"$dir/want")" -eq 2 ] || fail "data show"
cat >"$dir/segments.jsonl" <<'END'
{"segments": [{"label": false, "text": "<|im_start|>user\nCount.<|im_end|>\n<|im_start|>assistant\n"}, {"label": true, "text": "1 2 3<|im_end|>"}, {"label": false, "text": "\n"}]}
END
show segments.jsonl | ids | cmp -s - <(tail -1 "$dir/want") || fail "segments give other rows than the same chat"

printf '{"segments": [{"label": false, "text": "Count."}, {"label": true, "text": " 1 2 3"}]}\n' | cat "$dir/segments.jsonl" - >"$dir/endless.jsonl"
"$lorac" data check "$dir/run.yaml" "datasets.0.path=$dir/endless.jsonl" >"$dir/log" 2>&1 || fail "segments: $(cat "$dir/log")"
grep -qF "endless.jsonl: 1 rows train no end token: what is learned from them does not know where to stop (the first: line 2)" "$dir/log" ||
    fail "segments without an end token: $(cat "$dir/log")"

# what was detected is said, and what was given is not
"$lorac" train "$dir/run.yaml" "datasets.0.path=$dir/alpaca.jsonl" >"$dir/log" 2>&1 || fail "train: $(cat "$dir/log")"
grep -qF "alpaca.jsonl: rows of type alpaca (detected from the fields instruction, input, output, system, history)" "$dir/log" ||
    fail "what was detected is not said: $(cat "$dir/log")"
"$lorac" train "$dir/run.yaml" "datasets.0.path=$dir/alpaca.jsonl" datasets.0.type=alpaca overwrite_output_dir=true >"$dir/log" 2>&1
grep -q detected "$dir/log" && fail "a type that was given was detected"
"$lorac" eval --base $base --data "$dir/alpaca.jsonl" --json >"$dir/a" 2>&1
"$lorac" eval --base $base --data "$dir/chat.jsonl" --json >"$dir/b" 2>&1
cmp "$dir/a" "$dir/b" || fail "eval of instructions differs from eval of the same chats"

# bare prompts: one warning that names where the template is; none where the prompt has markers, or a chat is trained
warnings() { "$lorac" train "$dir/run.yaml" "datasets.0.path=$dir/$1" overwrite_output_dir=true --quiet "${@:2}" 2>&1 | grep -c "bare prompt" || true; }
printf '{"prompt": "Count.", "completion": " 1 2 3"}\n{"prompt": "Go.", "completion": " Yes."}\n' >"$dir/bare.jsonl"
printf '{"prompt": "<|im_start|>user\\nCount.<|im_end|>\\n<|im_start|>assistant\\n", "completion": "1 2 3"}\n' >"$dir/marked.jsonl"
[ "$(warnings bare.jsonl)" -eq 1 ] || fail "not one warning about bare prompts"
[ "$(warnings marked.jsonl)$(warnings chat.jsonl)$(warnings segments.jsonl)" = 000 ] || fail "a warning about rows that are not bare"
"$lorac" train "$dir/run.yaml" "datasets.0.path=$dir/bare.jsonl" overwrite_output_dir=true 2>&1 |
    grep -q "warning: .*bare.jsonl: 2 rows are a bare prompt and completion, but the model has a chat template (in $base)" ||
    fail "the warning names no rows or no template"

# pairs and verdicts
cat >"$dir/pairs.jsonl" <<'END'
{"prompt": "Count.", "chosen": " 1 2 3", "rejected": " No."}
{"messages": [{"role": "user", "content": "Count."}], "chosen": {"role": "assistant", "content": "1 2 3"}, "rejected": {"role": "assistant", "content": "No."}}
END
cat >"$dir/kto.jsonl" <<'END'
{"prompt": "Count.", "completion": " 1 2 3", "label": true}
{"prompt": "Count.", "completion": " No.", "label": false}
END
show pairs.jsonl | grep -o '"line":[0-9]*,"side":"[a-z]*"' >"$dir/sides"
printf '"line":%s,"side":"%s"\n' 1 chosen 1 rejected 2 chosen 2 rejected | cmp -s - "$dir/sides" || fail "sides: $(cat "$dir/sides")"
show pairs.jsonl --row 1 | head -1 | ids | cmp -s - <(tail -1 "$dir/want") || fail "the chosen answer is not the same as a chat"
[ "$(show kto.jsonl | grep -c '"side":"desirable"\|"side":"undesirable"')" -eq 2 ] || fail "sides of kto"
"$lorac" data show "$dir/run.yaml" "datasets.0.path=$dir/kto.jsonl" 2>/dev/null | grep -q 'tokens, [0-9]* trained, undesirable' || fail "show"
"$lorac" data stats "$dir/run.yaml" "datasets.0.path=$dir/pairs.jsonl" 2>/dev/null | grep -q '(preference): 4 rows (2 chosen, 2 rejected), ' ||
    fail "stats of pairs"
"$lorac" data stats "$dir/run.yaml" --json "datasets.0.path=$dir/kto.jsonl" 2>/dev/null | grep -q '"desirable":1,"undesirable":1' || fail "stats --json"
"$lorac" data check "$dir/run.yaml" "datasets.0.path=$dir/pairs.jsonl" >"$dir/log" 2>&1 || fail "check: $(cat "$dir/log")"
refused() { # refused TYPE COMMAND...
    local status=0
    "${@:2}" >"$dir/log" 2>&1 || status=$?
    [ $status -eq 1 ] || fail "${*:2}: exit status $status"
    grep -q "^error.*jsonl: rows of type $1; preference training is not in this version" "$dir/log" || fail "${*:2}: $(cat "$dir/log")"
}
for kind in pairs:preference kto:kto; do
    file=$dir/${kind%:*}.jsonl type=${kind#*:}
    refused "$type" "$lorac" train "$dir/run.yaml" "datasets.0.path=$file" overwrite_output_dir=true
    refused "$type" "$lorac" train "$dir/run.yaml" "datasets.0.path=$dir/chat.jsonl" "test_datasets.0.path=$file" overwrite_output_dir=true
    refused "$type" "$lorac" plan "$dir/run.yaml" "datasets.0.path=$file"
    refused "$type" "$lorac" eval --base $base --data "$file"
done
# what the message advises works
"$lorac" train "$dir/run.yaml" "datasets.0.path=$dir/pairs.jsonl" datasets.0.type=prompt_completion datasets.0.field_completion=chosen \
    datasets.0.max_rows=1 overwrite_output_dir=true >"$dir/log" 2>&1 && fail "a row without a prompt is a prompt_completion row"
head -1 "$dir/pairs.jsonl" >"$dir/one.jsonl"
"$lorac" train "$dir/run.yaml" "datasets.0.path=$dir/one.jsonl" datasets.0.type=prompt_completion datasets.0.field_completion=chosen \
    overwrite_output_dir=true >"$dir/log" 2>&1 || fail "chosen answers as completions: $(cat "$dir/log")"
echo "row types: detected, shown, trained, refused"
