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
chat() { printf '{"messages": [{"role": "user", "content": "%s"}, {"role": "assistant", "content": "%s"}]}\n' "$@"; }
chat "What is  this?" ' A tool\n' >>"$dir/a.jsonl"
chat " what IS this?" " a TOOL" >>"$dir/a.jsonl"
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

# mixing: how many rows of each dataset are taken; the same in every run, others with another seed
head -8 data/manual/train.jsonl >"$dir/b.jsonl"
tail -5 data/manual/train.jsonl >"$dir/c.jsonl"
mix=("datasets.0.path=$dir/b.jsonl" datasets.0.weight=2.25 "datasets.1.path=$dir/c.jsonl" datasets.1.max_rows=3)
stats --json "${mix[@]}" >"$dir/s"
holds "$dir/s" '[d["rows"] for d in s["datasets"]] == [18, 3] and s["rows"] == 21 and s["rows_read"] == 11 and s["exact_duplicates"] == 0'
holds "$dir/s" 'all(d["read"] == d["trained"] + d["masked"] + d["dropped"] for d in s["datasets"])'
stats --json "${mix[@]}" | cmp -s - "$dir/s" || fail "equal configs give different rows"
for seed in 1 2 3 4; do stats --json "${mix[@]}" "seed=$seed"; done | sort -u | wc -l | grep -qx 1 && fail "the seed changes nothing"
stats --json "${mix[@]}" datasets.0.weight=1 datasets.1.max_rows=99 datasets.1.repeat=2 >"$dir/s"
holds "$dir/s" '[d["rows"] for d in s["datasets"]] == [8, 10]'
# a weight of 1 and a maximum above the rows change no byte of a run
for run in one two; do
    more=()
    [ $run = two ] && more=(datasets.0.weight=1 datasets.0.max_rows=1000 datasets.0.repeat=)
    "$lorac" train "$dir/run.yaml" max_steps=2 shuffle=true "output_dir=$dir/$run" "${more[@]}" >/dev/null 2>"$dir/err" || fail "train: $(cat "$dir/err")"
done
cmp -s "$dir/one/adapter_model.safetensors" "$dir/two/adapter_model.safetensors" || fail "weight 1 changes the adapter"
stats --json "datasets.0.path=$dir/b.jsonl" datasets.0.weight=3 val_set_size=2 >"$dir/s" # held-out rows are taken once
holds "$dir/s" 's["rows"] == 18 and s["held_out"][0]["rows"] == 2'

# held-out rows that are trained on: a warning, with the places
"$lorac" train "$dir/run.yaml" max_steps=1 "test_datasets.0.path=$dir/first" 2>"$dir/err" >/dev/null && fail "a missing file"
sed -n '2p;5p' "$dir/a.jsonl" >"$dir/first"
chat new row >>"$dir/first"
"$lorac" train "$dir/run.yaml" max_steps=1 "test_datasets.0.path=$dir/first" 2>"$dir/err" >/dev/null || fail "train: $(cat "$dir/err")"
grep -q "^warning: 2 of 3 held-out rows of .*/first are in datasets too (first: .*/first:1 is .*/a.jsonl:2)" "$dir/err" || fail "no warning: $(cat "$dir/err")"
exit $failed
