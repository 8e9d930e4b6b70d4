#!/usr/bin/env bash
# t_data_stats.sh LORAC: lorac data stats as text and JSON; dedupe, splits and duplicates as the program has them.
set -u
lorac=$1
command -v python3 >/dev/null || { echo "python3 is not here"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
fail() { echo "FAIL: $*"; failed=1; }
# holds JSON EXPRESSION: a Python expression over s, the object
holds() { python3 -c "import json,sys; s=json.load(open(sys.argv[1])); sys.exit(0 if ($2) else 1)" "$1" || fail "not $2 in $(cat "$1")"; }
head -12 data/manual/heldout.jsonl >"$dir/a.jsonl"
head -3 data/manual/heldout.jsonl >>"$dir/a.jsonl"
printf '{"prompt": "What is  this?", "completion": " A tool\\n"}\n{"prompt": " what IS this?", "completion": " a TOOL"}\n' >>"$dir/a.jsonl"
printf 'base_model: data/tiny/tiny.gguf\nsequence_len: 256\noutput_dir: %s/out\ndatasets:\n  - path: %s/a.jsonl\n' "$dir" "$dir" >"$dir/run.yaml"
stats() { "$lorac" data stats "$dir/run.yaml" "$@" 2>"$dir/err" || fail "data stats $*: $(cat "$dir/err")"; }

stats --json >"$dir/s"
holds "$dir/s" 's["rows"] == 17 and s["rows_read"] == 17 and s["exact_duplicates"] == 3 and s["text_duplicates"] == 4'
holds "$dir/s" 'sum(h["rows"] for h in s["histogram"]) == 17 and all(h["to"] == 2 * h["from"] - 1 for h in s["histogram"])'
holds "$dir/s" 's["histogram"][-1]["from"] <= s["longest"] <= s["histogram"][-1]["to"] and abs(s["mean"] - s["tokens"] / 17) < 1e-9'
holds "$dir/s" 'abs(s["fill"] - s["tokens"] / (s["bins"] * 256)) < 1e-9 and s["trained"] == s["datasets"][0]["trained"]'
"$lorac" data show "$dir/run.yaml" --json | python3 -c 'import json,sys,statistics
n = [len(json.loads(line)["ids"]) for line in sys.stdin]
print(statistics.median(n), max(n))' >"$dir/lengths"
holds "$dir/s" "'%s %s' % (s['median'] if s['median'] % 1 else int(s['median']), s['longest']) == open('$dir/lengths').read().strip()"
stats >"$dir/text"
grep -qE '^ +64 - +127 +15 #{40}$' "$dir/text" || fail "the histogram: $(cat "$dir/text")"
grep -q "duplicates: 3 of 17 rows read are exact copies of an earlier one, 1 more differ" "$dir/text" || fail "duplicates: $(cat "$dir/text")"

stats --json dedupe=true val_set_size=4 >"$dir/s"
holds "$dir/s" 's["rows"] == 10 and s["held_out"][0]["rows"] == 4 and s["datasets"][0]["duplicates"] == 3 and s["exact_duplicates"] == 3'
holds "$dir/s" 'all(d["read"] == d["trained"] + d["masked"] + d["dropped"] for d in s["datasets"] + s["held_out"])'
stats --json >"$dir/all"
holds "$dir/s" "sum(d['read'] for d in s['datasets'] + s['held_out']) == json.load(open('$dir/all'))['datasets'][0]['read']"

# held-out rows that are trained on: a warning, with the places
"$lorac" train "$dir/run.yaml" max_steps=1 "test_datasets.0.path=$dir/first" 2>"$dir/err" >/dev/null && fail "a missing file"
sed -n '2p;5p' "$dir/a.jsonl" >"$dir/first"
echo '{"prompt": "new", "completion": "row"}' >>"$dir/first"
"$lorac" train "$dir/run.yaml" max_steps=1 "test_datasets.0.path=$dir/first" 2>"$dir/err" >/dev/null || fail "train: $(cat "$dir/err")"
grep -q "^warning: 2 of 3 held-out rows of .*/first are in datasets too (first: .*/first:1 is .*/a.jsonl:2)" "$dir/err" || fail "no warning: $(cat "$dir/err")"
exit $failed
