#!/usr/bin/env bash
# t_data_check.sh LORAC: every bad row of every file in one go, with its place and the reason; exit status 3; at most 100 lines;
# memory does not grow with the file.
set -u
lorac=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
fail() { echo "FAIL: $*"; failed=1; }
check() { # WANTED-STATUS [key=value ...]
    local want=$1 got
    shift
    "$lorac" data check "$dir/run.yaml" "$@" >"$dir/out" 2>"$dir/err" </dev/null
    got=$?
    [ $got -eq "$want" ] || fail "data check $*: exit $got, expected $want ($(cat "$dir/err"))"
}
says() { grep -qF -- "$1" "$dir/out" || fail "no '$1' in: $(cat "$dir/out")"; }
printf 'base_model: data/tiny/tiny.gguf\nsequence_len: 256\noutput_dir: %s/out\ndatasets:\n  - path: %s/a.jsonl\n  - path: %s/b*\n' "$dir" "$dir" "$dir" >"$dir/run.yaml"
{
    printf '{"prompt":"a","completion":"b"}\n'
    printf '{"prompt": "a", "completion": 3}\n'
    printf '{"prompt": "\xc3\xa9 \xff"}\n'
    printf '{"text": "x"}\n'
    printf '\xef\xbb\xbf{"prompt":"a","completion":"b"}\n'
    printf '{"prompt":"\xc3\xa9 \\"completion\\"", "x": {"completion": 1}, "completion":" "}\n'
    printf '{"prompt":"a\\ud800","completion":"b"}\n'
    printf 'nonsense\n[1]\n\n'
    printf '{"prompt":"ok","completion":"yes"}\r\n'
    printf '{"prompt":"ok","prompt":"yes"}\n'
    printf '{"promt":"ok", "completion":"x"}\n'
    head -c 70000000 /dev/zero | tr '\0' 'x'
    printf '\n{"prompt":"p","completion":""}'
} >"$dir/a.jsonl"
printf '[{"text": "a"},\n{"x": {"text": 1},  "text": ["b"]},\n{"text": "b"} {"text":"c"}]' | gzip >"$dir/b1"
head -c 30 "$dir/b1" >"$dir/b2"
: >"$dir/b3"
check 3
says "a.jsonl:2:17: field 'completion': got an integer, expected a string"
says "a.jsonl:3:15: bytes that are no valid UTF-8"
says "a.jsonl:4:1: a row of type text in a file of type prompt_completion (field 'prompt' is missing)"
says "a.jsonl:5:1: a byte order mark"
says "a.jsonl:6:55: field 'completion' is blank"
says "a.jsonl:7:13: a \\u escape of half a surrogate pair"
says "a.jsonl:8:1: no valid JSON"
says "a.jsonl:9:1: got a list, expected an object"
says "a.jsonl:12:16: the key \"prompt\" stands twice"
says "a.jsonl:13:1: field 'prompt' is missing (fields here: promt, completion)"
says "a.jsonl:14: the line is too long"
says "a.jsonl:15:15: field 'completion' is empty"
says "b1:2:21: element 2: field 'text': got a list, expected a string"
says "b1:3:15: expected ',' or ']' after an element"
says "b2: the gzip data ends before it is complete"
says "b3: there is no row in it"
[ "$(wc -l <"$dir/out")" -eq 16 ] || fail "not 16 bad rows: $(cat "$dir/out")"
grep -qE "^error.*16 bad rows in 4 files" "$dir/err" || fail "no summary: $(cat "$dir/err")"

# rows that are too long: bad where training would refuse them, and always where they are held out
cp data/manual/heldout.jsonl "$dir/a.jsonl"
cp data/manual/train.jsonl "$dir/b1"
rm "$dir/b2" "$dir/b3"
check 0
says "rows in 2 files: all can be trained on"
check 3 sequence_len=20
[ "$(grep -c 'tokens, sequence_len is 20' "$dir/out")" -eq 100 ] || fail "not 100 lines are shown"
rows=$(cat "$dir/a.jsonl" "$dir/b1" | wc -l)
grep -qx "and $((rows - 100)) more" "$dir/out" || fail "the rest is not counted: $(tail -1 "$dir/out")"
check 0 sequence_len=20 excess_length_strategy=drop
check 1 "datasets.0.path=$dir/nothing"
check 1 datasets.0.type=nonsense
printf '{"txt": 1}\n' >"$dir/t"
check 3 "test_datasets.0.path=$dir/t"
says "/t:1:1: the fields (txt) fit no row type"

# inside of chats: everything at once, with the place of the member; what is odd but not bad is said once a file
cat >"$dir/strict.jinja" <<'END'
{%- for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) and m.role in ['user', 'assistant'] %}{{ raise_exception('Roles must alternate') }}{% endif %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}
END
{
    printf '\xef\xbb\xbf{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]}\r\n'
    printf '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]}\n'
    printf '{"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "\\n"}]}\n'
    printf '{"messages": [{"role": "user", "content": "\xc3\xa9"}, {"role": "assistent", "content": "b"}]}\n'
    printf '{"messages": [{"role": "user", "content": "a"}]}\n'
    printf '{"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "7"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "c"}]}\n'
    printf '{"messages": [{"role": "user", "content": "\\ud83d"}, {"role": "assistant", "content": "c"}]}\n'
    printf '{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "c"}]}\n'
    printf '{"messages": []}\n'
    printf '{"messages": [{"role": "user", "content": "'
    head -c 50000000 /dev/zero | tr '\0' ' '
    printf 'a"}, {"role": "assistant", "content": ""}]}\n'
} >"$dir/chats.jsonl"
check 3 "datasets.0.path=$dir/chats.jsonl" "chat_template=$dir/strict.jinja"
says 'chats.jsonl:2:49: the chat template raised an error: Roles must alternate'
says 'chats.jsonl:3:32: messages[0]: the user says nothing (empty)'
says 'chats.jsonl:3:70: messages[1]: the assistant says nothing (only blanks)'
says "chats.jsonl:4:50: messages[1].role: 'assistent' is none of system,"
says 'chats.jsonl:4:2: no message of the assistant: nothing is trained'
says 'chats.jsonl:5:2: no message of the assistant: nothing is trained'
says "chats.jsonl:6:50: messages[1]: a tool's result without a tool call before it"
says 'chats.jsonl:7:44: a \u escape of half a surrogate pair'
says "chats.jsonl:8:1: a row of type sharegpt in a file of type chat (field 'messages' is missing)"
says 'chats.jsonl:9:1: the conversation has no message'
says 'chats.jsonl:10:50000071: messages[1]: the assistant says nothing (empty)'
says 'tokens, sequence_len is 256'
grep -qF 'chats.jsonl:1:' "$dir/out" && fail "a good row is told"
grep -qE '^error.*9 bad rows in 2 files' "$dir/err" || fail "no summary: $(cat "$dir/err")"
for note in 'rows of type chat (detected from the fields messages)' 'begins with a byte order mark' 'lines end in CRLF' \
    '1 rows end with a message of the user, which no answer follows (the first: line 1)'; do
    [ "$(grep -cF "chats.jsonl: $note" "$dir/err")" -eq 1 ] || fail "no note '$note': $(cat "$dir/err")"
done

# a file many times as long takes no more memory
peak() { # FILE -> kilobytes
    printf 'base_model: data/tiny/tiny.gguf\noutput_dir: %s/out\ndatasets:\n  - path: %s\n' "$dir" "$1" >"$dir/peak.yaml"
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:quarantine_size_mb=1 /usr/bin/time -f %M -o "$dir/kb" "$lorac" data check "$dir/peak.yaml" >/dev/null 2>&1 || fail "data check $1"
    cat "$dir/kb"
}
if [ -x /usr/bin/time ]; then
    cat data/manual/train.jsonl data/manual/train.jsonl | gzip >"$dir/short"
    for _ in $(seq 30); do cat data/manual/train.jsonl; done | gzip >"$dir/long"
    short=$(peak "$dir/short") long=$(peak "$dir/long")
    [ "$long" -lt $((short + 4000)) ] || fail "checking takes $short kB for a short file and $long kB for a long one"
fi
exit $failed
