#!/usr/bin/env bash
# t_labels.sh LORAC: rows of type tokens whose labels are not their ids. A label's loss must be what the model gives the
# label in the id's place; --per-token stays about the ids; training and evaluation see the same loss.
set -eu
lorac=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
base=data/tiny/tiny.gguf
fail() { echo "FAIL: $*"; exit 1; }
# free.jsonl has labels of its own; plain.jsonl the same ids and masks; probe.jsonl one row per free label: the ids before
# it and then the label, so that the last log-probability is the label's.
python3 - "$dir" <<'PY'
import json, random, sys
dir, rng = sys.argv[1], random.Random(3)
free, plain, probe = ([], [], [])
for n in (2, 3, 7, 20, 60, 150, 4):
    ids = [rng.randrange(260) for _ in range(n)]
    own = [i if rng.random() < 0.6 else -100 for i in ids[:-1]] + [ids[-1]]
    labels = [l if l == -100 or rng.random() < 0.4 else rng.randrange(260) for l in own]
    labels[0] = rng.randrange(260)
    free.append({"input_ids": ids, "labels": labels})
    plain.append({"input_ids": ids, "labels": own})
    probe += [{"input_ids": ids[:i] + [l], "labels": [-100] * i + [l]} for i, l in enumerate(labels) if i > 0 and l != -100]
ids = [rng.randrange(260) for _ in range(200)]  # every label is another id: two targets at every position
free.append({"input_ids": ids, "labels": [(i + 1) % 260 for i in ids]})
plain.append({"input_ids": ids, "labels": ids})
for name, rows in (("free", free), ("free7", free[:7]), ("plain", plain), ("probe", probe)):
    with open(f"{dir}/{name}.jsonl", "w") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows)
free[0]["labels"][-1] = (free[0]["labels"][-1] + 1) % 260
with open(f"{dir}/other.jsonl", "w") as f:
    f.writelines(json.dumps(r) + "\n" for r in free[:7])
PY
evaluate() { # evaluate NAME DATA OPTIONS...: the summary goes to NAME.json
    local name=$1 data=$2
    shift 2
    "$lorac" eval --base $base --data "$dir/$data.jsonl" --type tokens --json "$@" >"$dir/$name.json" || fail "eval $name"
}
evaluate free free
evaluate free7 free7
evaluate all free --per-token "$dir/all.tokens"
evaluate only free --per-token "$dir/only.tokens" --trained-only
evaluate plain plain --per-token "$dir/plain.tokens"
evaluate probe probe --per-token "$dir/probe.tokens"
cmp "$dir/all.tokens" "$dir/plain.tokens" || fail "--per-token must be about the ids"
cmp "$dir/free.json" "$dir/all.json" || fail "--per-token changes the loss"
cmp "$dir/free.json" "$dir/only.json" || fail "--trained-only changes the loss"
cat >"$dir/run.yaml" <<END
base_model: $base
datasets:
  - path: $dir/free7.jsonl
    type: tokens
test_datasets:
  - path: $dir/free7.jsonl
    type: tokens
sequence_len: 256
gradient_accumulation_steps: 8
learning_rate: 1e-2
num_epochs: 6
compute_dtype: fp32
output_dir: $dir/run
END
"$lorac" train "$dir/run.yaml" >"$dir/train.log" 2>&1 || { cat "$dir/train.log"; fail "train"; }
"$lorac" data show "$dir/run.yaml" --json >"$dir/show.jsonl"
"$lorac" data show "$dir/run.yaml" --row 6 | grep -q 'towards a label that is another id' || fail "data show says nothing of labels"
python3 - "$dir" <<'PY' || fail "numbers"
import json, sys
dir = sys.argv[1]
def lines(name): return [json.loads(l) for l in open(f"{dir}/{name}")]
def total(name): return (lambda r: r["loss"] * r["tokens"])(json.load(open(f"{dir}/{name}.json")))
free, plain, probe = lines("free.jsonl"), lines("all.tokens"), lines("probe.tokens")
only, show = lines("only.tokens"), lines("show.jsonl")
at, nll = 0, 0.0
for row in free[:7]:
    for i, label in enumerate(row["labels"]):
        if i > 0 and label != -100:
            nll, at = nll - probe[at]["logprobs"][-1], at + 1
assert at == len(probe) == json.load(open(f"{dir}/free7.json"))["tokens"]
assert abs(total("free7") - nll) < 1e-5 * nll, (total("free7"), nll)
assert abs(total("free") - total("plain")) > 1.0, "labels make no difference"
for p, r, o in zip(plain, free, only):
    for i, label in enumerate(r["labels"]):
        want = p["logprobs"][i] if i > 0 and label != -100 else None
        assert o["logprobs"][i] == want, (i, label, o["logprobs"][i], want)
for r, s in zip(free, show):
    assert s["ids"] == r["input_ids"]
    assert s["trained"] == [int(i > 0 and l != -100) for i, l in enumerate(r["labels"])]
events = lines("run/metrics.jsonl")
first = next(e for e in events if e["event"] == "step")
held = [e["loss"] for e in events if e["event"] == "eval"]
assert first["trained_tokens"] == at
assert abs(first["loss"] - nll / at) < 1e-5 * first["loss"], "training and evaluation differ"
assert abs(held[0] - nll / at) < 1e-5 * held[0]
assert held[-1] < 0.8 * held[0], ("the labels are not learned", held)
PY
# the data's hash knows the labels: a run on other labels is another run
"$lorac" train "$dir/run.yaml" --resume "datasets.0.path=$dir/other.jsonl" >"$dir/log" 2>&1 && fail "resumed on other labels"
grep -q '^error.*data' "$dir/log" || { cat "$dir/log"; fail "no word about the data"; }
for bad in 100000 -1 -99 1.5 '"3"' null 4294967297; do
    printf '{"input_ids":[1,2],"labels":[1,2]}\n{"input_ids":[1,2,3],"labels":[1,%s,3]}\n' "$bad" >"$dir/bad.jsonl"
    "$lorac" eval --base $base --data "$dir/bad.jsonl" --type tokens >"$dir/out" 2>&1 && fail "label $bad was taken"
    grep -q '^error.*bad.jsonl:2: label number 1' "$dir/out" || { cat "$dir/out"; fail "label $bad"; }
done
