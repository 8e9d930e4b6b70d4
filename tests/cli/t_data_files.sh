#!/usr/bin/env bash
# t_data_files.sh LORAC: the same rows from JSONL, a JSON array, gzip, zstd, a folder and a pattern; in every command that reads
# rows. What cannot be read is one error with the file's name.
set -u
lorac=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
fail() { echo "FAIL: $*"; failed=1; }
expect() { # CODE PATTERN COMMAND...
    local code=$1 pattern=$2 got
    shift 2
    "$@" >"$dir/stdout" 2>"$dir/err" </dev/null
    got=$?
    [ $got -eq "$code" ] || fail "$* : exit $got, expected $code ($(head -c 300 "$dir/err"))"
    grep -qE -- "$pattern" "$dir/err" || fail "$* : no '$pattern' in: $(head -c 400 "$dir/err")"
    if [ "$code" -ne 0 ] && [ "$(grep -c '^error' "$dir/err")" -ne 1 ]; then fail "$* : not one error line"; fi
}
head -12 data/manual/heldout.jsonl >"$dir/a.jsonl"
head -5 "$dir/a.jsonl" >"$dir/first.jsonl"
tail -n +6 "$dir/a.jsonl" >"$dir/rest.jsonl"
mkdir "$dir/folder"
{ echo "["; paste -sd, "$dir/first.jsonl"; echo "]"; } | gzip >"$dir/folder/1"
cp "$dir/rest.jsonl" "$dir/folder/2.txt"
echo "about these rows" >"$dir/folder/README"
{ printf '[\n'; sed '$!s/$/,/' "$dir/a.jsonl"; printf ']\n'; } >"$dir/array.json"
gzip -c "$dir/a.jsonl" >"$dir/packed"
printf 'base_model: data/tiny/tiny.gguf\nsequence_len: 256\noutput_dir: %s/out\ndatasets:\n  - path: %s/a.jsonl\n' "$dir" "$dir" >"$dir/run.yaml"

ids() { "$lorac" data show "$dir/run.yaml" --json "datasets.0.path=$1" | grep -o '"ids":.*'; }
ids "$dir/a.jsonl" >"$dir/want"
[ "$(wc -l <"$dir/want")" -eq 12 ] || fail "data show"
paths=("$dir/array.json" "$dir/packed" "$dir/folder" "$dir/[fr]*.jsonl")
if command -v zstd >/dev/null; then
    zstd -q "$dir/array.json" -o "$dir/array"
    cat "$dir/first.jsonl" | zstd -q >"$dir/frames"
    cat "$dir/rest.jsonl" | zstd -q >>"$dir/frames"
    paths+=("$dir/array" "$dir/frames")
fi
for path in "${paths[@]}"; do
    ids "$path" | cmp -s - "$dir/want" || fail "the rows of $path differ"
done
"$lorac" data show "$dir/run.yaml" --json --row 6 "datasets.0.path=$dir/folder" | grep -q "\"dataset\":\"$dir/folder/2.txt\",\"line\":2,\"text\"" ||
    fail "a row of a folder does not name its file"
"$lorac" data show "$dir/run.yaml" --json --row 3 "datasets.0.path=$dir/array.json" | grep -q '"line":5,"element":4,' ||
    fail "a row of an array does not name its element"
"$lorac" data stats "$dir/run.yaml" "datasets.0.path=$dir/folder" >"$dir/stdout" || fail "data stats"
grep -q "folder/1 (chat): 5 rows" "$dir/stdout" || fail "the ledger has no line per file: $(cat "$dir/stdout")"
grep -q "left out: $dir/folder: README" "$dir/stdout" || fail "what was left out is not said"

loss() { "$lorac" eval --base data/tiny/tiny.gguf --data "$1" --json 2>"$dir/err"; }
loss "$dir/a.jsonl" >"$dir/want"
for path in "${paths[@]}"; do loss "$path" | cmp -s - "$dir/want" || fail "eval --data $path: $(cat "$dir/err")"; done
for path in "$dir/a.jsonl" "$dir/packed" "$dir/folder"; do
    "$lorac" generate --base data/tiny/tiny.gguf --data "$path" --max-tokens 2 >"$dir/answers" || fail "generate --data $path"
    [ "$(grep -c '"row"' "$dir/answers")" -eq 12 ] || fail "generate --data $path: not 12 answers"
done
"$lorac" inspect "$dir/packed" | grep -q "JSONL (gzip), 12 rows; the first has: messages (a list)" || fail "inspect of a compressed file"
"$lorac" inspect "$dir/array.json" | grep -q "a JSON array, 12 rows" || fail "inspect of an array"
expect 0 "" "$lorac" train "$dir/run.yaml" max_steps=1 "datasets.0.path=$dir/folder" "test_datasets.0.path=$dir/packed"

head -c 500 "$dir/packed" >"$dir/cut"
expect 1 "^error.*/cut: the gzip data ends before it is complete" "$lorac" data show "$dir/run.yaml" "datasets.0.path=$dir/cut"
expect 1 "^error.*/cut: the gzip data ends" "$lorac" eval --base data/tiny/tiny.gguf --data "$dir/cut"
expect 1 "^error.*/cut: the gzip data ends" "$lorac" generate --base data/tiny/tiny.gguf --data "$dir/cut" --max-tokens 1
expect 1 "nothing\*: no file matches" "$lorac" data show "$dir/run.yaml" "datasets.0.path=$dir/nothing*"
printf '[{"text": "one"},\n {"txt": "two"}]' | gzip >"$dir/bad"
expect 1 "^error.*/bad:2: element 2: field 'text' is missing" "$lorac" data show "$dir/run.yaml" "datasets.0.path=$dir/bad"
expect 1 "a.jsonl:1: [0-9]+ tokens, .*and [0-9]+ more rows|a.jsonl:12: [0-9]+ tokens, each more than sequence_len 8" \
    "$lorac" data stats "$dir/run.yaml" sequence_len=8
exit $failed
