#!/usr/bin/env bash
# t_tokenize.sh LORAC: lorac tokenize: its options, its streams (each line answered before the next is read), bad lines with
# FILE:LINE, and output that cannot be written. With the shared tokenizers also tokenizer.json files and model folders.
set -u
lorac=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
model=data/tiny/tiny.gguf # <|endoftext|> 0 (BOS), <|im_start|> 1, <|im_end|> 2 (EOS)
failed=0
fail() { echo "FAIL: $*"; failed=1; }
# gives INPUT OUTPUT OPTIONS...: printf's INPUT gives exactly OUTPUT (both with printf's escapes)
gives() {
    local input=$1 output=$2
    shift 2
    printf "$input" | "$lorac" tokenize $model "$@" >"$dir/out" 2>"$dir/err" || fail "$input $*: $(cat "$dir/err")"
    printf "$output" | cmp -s - "$dir/out" || fail "$input $*: got $(head -c 300 "$dir/out"), expected $output"
    printf "$input" >"$dir/in"
    "$lorac" tokenize $model --file "$dir/in" "$@" </dev/null | cmp -s - "$dir/out" || fail "$input $*: --file differs"
}
# refuses CODE PATTERN LINES INPUT OPTIONS...: one error line matching PATTERN after LINES lines of output
refuses() {
    local code=$1 pattern=$2 lines=$3 input=$4 got
    shift 4
    printf "$input" | timeout 60 "$lorac" tokenize $model "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    [ $got -eq "$code" ] || fail "$input $*: exit $got, expected $code"
    [ "$(wc -l <"$dir/err")" -eq 1 ] || fail "$input $*: not one line of error: $(head -c 300 "$dir/err")"
    grep -qE "^error: $pattern" "$dir/err" || fail "$input $*: no '$pattern' in: $(cat "$dir/err")"
    [ "$(wc -l <"$dir/out")" -eq "$lines" ] || fail "$input $*: $(wc -l <"$dir/out") lines written, expected $lines"
}

# ---- options
gives '"a"\n' '[67]\n'
gives '"<|im_start|>a<|im_end|>"\n' '[1, 67, 2]\n'
gives '"a"\n' '[0, 67]\n' --bos
gives '"a"\n' '[67, 2]\n' --eos
gives '""\n' '[0, 2]\n' --bos --eos
gives '"<|im_start|>a"\n' '[0, 1, 67, 2]\n' --eos --bos
gives '"<|endoftext|>a<|im_end|>"\n' '[0, 0, 67, 2, 2]\n' --bos --eos # asked for, so always
gives '[1, 67, 2]\n' '"<|im_start|>a<|im_end|>"\n' --decode
printf '"<|im_start|>a<|im_end|>"\n' | "$lorac" tokenize $model --no-special >"$dir/plain"
grep -qE '\[([012]|.* [012][],])' "$dir/plain" && fail "--no-special: a special token in $(cat "$dir/plain")"
"$lorac" tokenize $model --decode --file "$dir/plain" | grep -qxF '"<|im_start|>a<|im_end|>"' || fail "--no-special and back"
refuses 2 "--decode reads ids" 0 '' --decode --bos
refuses 2 "--decode reads ids" 0 '' --decode --eos
refuses 2 "--decode reads ids" 0 '' --decode --no-special
refuses 2 ".*--no-such" 0 '' --no-such
refuses 2 ".*unexpected" 0 '' other.gguf
refuses 2 ".*--file" 0 '' --file
"$lorac" tokenize >"$dir/out" 2>"$dir/err" && fail "no model is an error"
[ $? -eq 0 ] || grep -q '^error: tokenize: an argument is missing' "$dir/err" || fail "no model: $(cat "$dir/err")"
refuses 1 "$dir/nothing: cannot be opened" 0 '' --file "$dir/nothing"
refuses 1 "$dir: " 0 '' --file "$dir"

# ---- streams
gives '' ''
gives '"a"' '[67]\n'           # a last line without newline
gives '"a"\n"b"' '[67]\n[68]\n'
gives '"a"\r\n"b"\r\n' '[67]\n[68]\n'
gives '  "a" \t\n' '[67]\n'
gives '"a\\u0000b"\n' '[67, 191, 68]\n' # NUL is a character like any other
gives '[67, 191, 68]\n' '"a\\u0000b"\n' --decode
gives '"\\u00e9\xc3\xa9\\ud83d\\ude00\\n"\n' "$("$lorac" tokenize $model <<<'"éé😀\n"')\n"
gives '[]\n[ ]\n' '""\n""\n' --decode
gives '[67, 1024, 2147483647, 68]\n' '"ab"\n' --decode # ids of no token give nothing
gives '[105, 67]\n[67, 105]\n' "$(printf '[105, 67]\n[67, 105]\n' | "$lorac" tokenize $model --decode)\n" --decode
coproc STREAM { "$lorac" tokenize $model 2>"$dir/err"; }
for text in a b "" c; do
    printf '"%s"\n' "$text" >&"${STREAM[1]}"
    answer=
    read -r -t 60 answer <&"${STREAM[0]}" || { fail "no answer to '$text' before the next line"; break; }
    [ "$answer" = "$(printf '"%s"\n' "$text" | "$lorac" tokenize $model)" ] || fail "stream: '$text' gave $answer"
done
pid=$STREAM_PID
eval "exec ${STREAM[1]}>&-"
wait "$pid" || fail "the stream ends with exit $?"
python3 - "$dir" <<'PY'
import json, sys
with open(f"{sys.argv[1]}/long", "w") as f:
    for text in ("word and 12 " * 100000, "a" * 500000, " " * 500000, "\u00e9\U0001f600" * 100000, "<|im_end|>" * 50000):
        f.write(json.dumps(text, ensure_ascii=len(text) % 2 == 0) + "\n")
PY
timeout 300 "$lorac" tokenize $model --file "$dir/long" >"$dir/long.ids" || fail "long lines: exit $?"
timeout 300 "$lorac" tokenize $model --decode --file "$dir/long.ids" >"$dir/long.back" || fail "long lines back: exit $?"
python3 -c 'import json, sys
a, b = ([json.loads(l) for l in open(p)] for p in sys.argv[1:])
sys.exit(a != b)' "$dir/long" "$dir/long.back" || fail "long lines differ after the way there and back"

# ---- a large file is answered by several threads: the same lines, the same errors
python3 - "$dir" <<'PY'
import json, random, sys
rng = random.Random(1)
lines = [json.dumps(" ".join(rng.choice(["word", "12", "\u00e9\U0001f600", "  ", "<|im_end|>", "x" * rng.randrange(300)])
                             for _ in range(rng.randrange(12))), ensure_ascii=rng.random() < 0.5) for _ in range(60000)]
for name, bad in ("large", None), ("large-bad", 30000):
    with open(f"{sys.argv[1]}/{name}", "w") as f:
        f.write("\n".join("7" if i == bad else line + "\r" * (i % 7 == 0) for i, line in enumerate(lines)))
PY
"$lorac" tokenize $model --file "$dir/large" >"$dir/large.ids" || fail "a large file: exit $?"
"$lorac" tokenize $model <"$dir/large" | cmp -s - "$dir/large.ids" || fail "a large file differs from a stream"
"$lorac" tokenize $model --decode --file "$dir/large.ids" >"$dir/large.back" || fail "large ids: exit $?"
"$lorac" tokenize $model --decode <"$dir/large.ids" | cmp -s - "$dir/large.back" || fail "large ids differ from a stream"
refuses 1 "$dir/large-bad:30001: a JSON string is expected" 30000 '' --file "$dir/large-bad"
head -n 30000 "$dir/large.ids" | cmp -s - "$dir/out" || fail "a bad line of a large file: other lines before it"
"$lorac" tokenize $model --file "$dir/large" >/dev/full 2>"$dir/err" && fail "a large file to a full disk"
grep -q '^error: standard output cannot be written' "$dir/err" || fail "a large file to a full disk: $(cat "$dir/err")"

# ---- bad lines: the lines before are answered, the place is named
refuses 1 "stdin:1:1: no valid JSON" 0 '\n'
refuses 1 "stdin:2:1: no valid JSON" 1 '"a"\n\n"b"\n'
refuses 1 "stdin:3:3: no valid JSON" 2 '"a"\n"b"\n"c'
refuses 1 "stdin:2:[0-9]+: no valid JSON" 1 '"a"\n"b" "c"\n'
refuses 1 "stdin:1:[0-9]+: no valid JSON" 0 'a\n'
refuses 1 "stdin:1:[0-9]+: no valid JSON" 0 '"a\0b"\n'  # a bare NUL
refuses 1 "stdin:1:[0-9]+: no valid JSON" 0 '"a\tb"\n'
refuses 1 "stdin:1:[0-9]+: .*UTF-8" 0 '"\xff"\n'
refuses 1 "stdin:1:[0-9]+: .*UTF-8" 0 '"\xc3"\n'
refuses 1 "stdin:1:[0-9]+: .*UTF-8" 0 '"\xed\xa0\x80"\n'
refuses 1 "stdin:1:[0-9]+: .*surrogate" 0 '"\\ud800"\n'
refuses 1 "stdin:2:[0-9]+: .*surrogate" 1 '"a"\n"\\ude00\\ud83d"\n'
refuses 1 "stdin:1: a JSON string is expected.*an integer" 0 '5\n'
refuses 1 "stdin:1: a JSON string is expected.*null" 0 'null\n'
refuses 1 "stdin:1: a JSON string is expected.*a list" 0 '["a"]\n'
refuses 1 "stdin:1: a JSON string is expected.*an object" 0 '{"text": "a"}\n'
refuses 1 "stdin:1: a JSON array of ids is expected.*a string" 0 '"a"\n' --decode
for bad in -1 2147483648 99999999999999999999999 1.0 1.5 '"1"' null true '[]' '{}'; do
    refuses 1 "stdin:2: element 1 of the array is no token id" 1 "[67]\n[67, $bad]\n" --decode
done
refuses 1 "stdin:1:[0-9]+: no valid JSON" 0 '[1, ]\n' --decode
printf '"a"\n7\n' >"$dir/bad.jsonl"
refuses 1 "$dir/bad.jsonl:2: a JSON string" 1 '' --file "$dir/bad.jsonl"

# ---- output that cannot be written, input that cannot be read
unwritable() { # unwritable WHAT CODE
    [ "$2" -eq 1 ] || fail "$1: exit $2"
    grep -qE '^error: (standard output|.*annot be written)' "$dir/err" || fail "$1: $(cat "$dir/err")"
}
printf '"a"\n' | "$lorac" tokenize $model >&- 2>"$dir/err"
unwritable "closed standard output" $?
printf '"a"\n' | "$lorac" tokenize $model >/dev/full 2>"$dir/err"
unwritable "full standard output" $?
mkfifo "$dir/unread"
exec 8<>"$dir/unread" 9>"$dir/unread" 8>&- # opened while there was a reader
printf '"a"\n' | "$lorac" tokenize $model 2>"$dir/err" >&9
unwritable "a pipe nobody reads" $?
exec 9>&-
"$lorac" tokenize $model <&- >"$dir/out" 2>"$dir/err" && fail "closed standard input"
grep -q '^error: stdin: cannot be read' "$dir/err" || fail "closed standard input: $(cat "$dir/err")"
printf '"a"\n' | "$lorac" tokenize $model 2>&- >"$dir/out" || fail "closed standard error: exit $?"
grep -qx '\[67\]' "$dir/out" || fail "closed standard error"
# a file of ours must not take the number of a closed stream
printf '{"text":"one two three"}\n' >"$dir/rows.jsonl"
printf 'base_model: %s\ndatasets:\n  - path: %s/rows.jsonl\nmax_steps: 2\nsequence_len: 64\noutput_dir: %s/run\n' \
    $model "$dir" "$dir" >"$dir/run.yaml"
"$lorac" train "$dir/run.yaml" >&- 2>&- <&- || fail "train with all streams closed: exit $?"
python3 -c 'import json, sys
assert len([json.loads(l) for l in open(sys.argv[1])]) == 2' "$dir/run/metrics.jsonl" || fail "metrics with all streams closed"

# ---- goldens: Hugging Face's ids of the same texts
python3 - "$dir" <<'PY'
import json, sys
for key in ("text", "ids", "ids_no_special"):
    with open(f"{sys.argv[1]}/{key}", "w") as f:
        f.writelines(json.dumps(t[key]) + "\n" for t in json.load(open("tests/golden/tiny.json"))["texts"])
PY
"$lorac" tokenize $model --file "$dir/text" | cmp -s - "$dir/ids" || fail "ids differ from Hugging Face's"
"$lorac" tokenize $model --file "$dir/text" --no-special | cmp -s - "$dir/ids_no_special" || fail "--no-special differs"
# Added tokens that take the whitespace beside them: of one with lstrip nothing is left where the one before took it all; ids are
# those of tokenizers 0.23.3.
cat >"$dir/strip.json" <<'END'
{"added_tokens": [{"id": 4, "content": "\n", "lstrip": true, "rstrip": true}, {"id": 5, "content": "<x>", "rstrip": true},
  {"id": 6, "content": "  ", "lstrip": true}, {"id": 7, "content": "\t"}],
 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}, "decoder": {"type": "ByteLevel"},
 "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "\u0120": 2, "\u010a": 3}, "merges": []}}
END
printf '%s\n' '"b\n\n\n a"' '"a \n b"' '"<x>  a  b"' '"<x>\t a"' >"$dir/in"
printf '[1, 4, 0]\n[0, 4, 1]\n[5, 0, 6, 1]\n[5, 7, 2, 0]\n' >"$dir/ids"
"$lorac" tokenize "$dir/strip.json" --file "$dir/in" >"$dir/out" 2>&1
cmp -s "$dir/ids" "$dir/out" || fail "tokens that take whitespace: $(cat "$dir/out")"
for name in qwen3 mistral_v0_1; do
    folder=${LORAC_SHARED:-../shared}/tokenizers/$name
    [ -f "$folder/tokenizer.json" ] || continue
    "$lorac" tokenize "$folder/tokenizer.json" --file "$dir/text" >"$dir/out" || fail "$folder"
    "$lorac" tokenize "$folder" --file "$dir/text" | cmp -s - "$dir/out" || fail "$folder: folder and file differ"
    "$lorac" tokenize "$folder" --no-special --file "$dir/text" >"$dir/plain" || fail "$folder --no-special"
    for way in out plain; do # back to the same text but for NFC and SentencePiece's prefix space
        "$lorac" tokenize "$folder" --decode --file "$dir/$way" >"$dir/back"
        python3 -c 'import json, sys, unicodedata
a, b = ([unicodedata.normalize("NFC", json.loads(l)).lstrip(" ") for l in open(p)] for p in sys.argv[1:])
sys.exit(a != b)' "$dir/text" "$dir/back" || fail "$folder: $way does not come back"
    done
done
exit $failed
