#!/usr/bin/env bash
# t_fill.sh LORAC: how full packed bins are on real rows: GSM8K at 2048 tokens with SmolLM2's tokenizer, at least 98 %. Skipped
# without the shared test data (${LORAC_SHARED}, or ../shared beside the repository) or the base that demo.sh fetches.
set -u
lorac=$1
rows=${LORAC_SHARED:-../shared}/data/gsm8k/train.jsonl
base=${LORAC_SMOLLM2:-.cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf}
for file in "$rows" "$base"; do
    [ -e "$file" ] || { echo "skipped: there is no $file"; exit 77; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$lorac" data stats configs/gsm8k.yaml "base_model=$base" "datasets.0.path=$rows" "test_datasets.0.path=$rows" test_datasets.0.max_rows=1 \
    sequence_len=2048 "output_dir=$dir/out" --json >"$dir/stats" 2>"$dir/err" || { cat "$dir/err"; exit 1; }
python3 - "$dir/stats" <<'END'
import json, sys
s = json.load(open(sys.argv[1]))
print(f"{s['rows']} rows in {s['bins']} bins of {s['sequence_len']} tokens, {100 * s['fill']:.2f} % filled")
assert s["rows"] == 7473 and s["datasets"][0]["rows_dropped"] == 0 and s["datasets"][0]["rows_cut"] == 0
sys.exit(s["fill"] < 0.98)
END
