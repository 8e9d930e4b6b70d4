#!/usr/bin/env bash
# The shipped question/answer rows agree with the program and with their rules (data/manual/check_manual.py), the key-word
# count finds what it should, and the program reads the rows.
set -euo pipefail
lorac=$(realpath "$1")
cd "$(dirname "$0")/../.."
command -v python3 >/dev/null || { echo "python3 is not here"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1

python3 data/manual/check_manual.py

# The check can fail: a wrong default, a question asked twice, a key that does not exist.
mkdir -p "$work/tree/data" "$work/tree/configs" "$work/tree/train"
cp -r data/manual "$work/tree/data/"
cp configs/schema.def "$work/tree/configs/"
cp train/commands.def train/cmd_*.c "$work/tree/train/"
facts=$work/tree/data/manual/facts.txt
breaks() { # breaks WHAT SED-COMMAND: check_manual.py finds WHAT after the change
    cp data/manual/facts.txt "$facts"
    sed -i "$2" "$facts"
    python3 "$work/tree/data/manual/make_manual.py" >/dev/null
    if python3 "$work/tree/data/manual/check_manual.py" >"$work/found"; then
        echo "check_manual.py does not see: $1"
        exit 1
    fi
    grep -q "$1" "$work/found" || { cat "$work/found"; exit 1; }
}
breaks "schema.def has 16" 's/lora_r is 16;/lora_r is 17;/; s/^D lora_r = 16/D lora_r = 17/'
breaks "asked before" 's/^H If I leave out lora_r.*/H What is the default of lora_alpha?/'
breaks "which is no key" 's/^Q What does datasets hold?/Q What does data_sets hold?/'
breaks "the answer lacks" 's/^K lora-out/K lora-in/'

# Key words: numbers stand alone, letters' case is free.
cat >"$work/rows" <<'END'
{"prompt":"a","completion":"b","keywords":["16","Rank"]}
{"prompt":"a","completion":"b","keywords":["16"]}
{"prompt":"a","completion":"b","keywords":["0"]}
END
cat >"$work/answers" <<'END'
{"row":0,"text":"The rank is 16."}
{"row":1,"text":"It is 160."}
{"row":2,"text":"It is 0.25 or 10"}
END
python3 data/manual/keywords.py "$work/rows" "$work/answers" | grep -q '^1 of 3 answers' || {
    echo "keywords.py counts wrongly"
    exit 1
}

# The recipes are in order, and each row trains something.
for config in configs/*.yaml; do "$lorac" config check "$config" >/dev/null; done
"$lorac" data stats configs/tiny.yaml >"$work/stats"
grep -q "data/manual/train.jsonl (chat): $(wc -l <data/manual/train.jsonl) rows" "$work/stats"
echo "data/manual is in order"
