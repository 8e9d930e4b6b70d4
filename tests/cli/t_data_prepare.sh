#!/usr/bin/env bash
# t_data_prepare.sh LORAC: prepared data are made once, found again, never stale, and change no byte of a run; memory does not
# grow with the data.
set -u
lorac=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
fail() { echo "FAIL: $*"; failed=1; }
run() { "$lorac" "$@" >"$dir/log" 2>&1 </dev/null || fail "$*: $(tail -2 "$dir/log")"; }
says() { grep -qE -- "$1" "$dir/log" || fail "no '$1' in: $(cat "$dir/log")"; }
files() { find "$1" -name '*.h5' | wc -l; }

head -20 data/manual/train.jsonl >"$dir/a.jsonl"
head -4 data/manual/heldout.jsonl >"$dir/t.jsonl"
cat >"$dir/run.yaml" <<END
base_model: data/tiny/tiny.gguf
datasets: [{path: $dir/a.jsonl}]
test_datasets: [{path: $dir/t.jsonl}]
sequence_len: 256
max_steps: 3
output_dir: $dir/out
END

# made ahead, and found by every command
run data prepare "$dir/run.yaml"
says "a.jsonl was read and prepared"
says "a.jsonl \(chat\): 20 rows, .* tokens read = .* trained \+ .* masked \+ 0 dropped"
[ "$(files "$dir/out/prepared")" -eq 2 ] || fail "not two files: $(ls "$dir/out/prepared")"
before=$(sha256sum "$dir"/out/prepared/*)
run data prepare "$dir/run.yaml"
says "prepared data of .*a.jsonl"
for command in "data show" "data stats" plan; do run $command "$dir/run.yaml"; done
run train "$dir/run.yaml"
says "prepared data of .*a.jsonl"
says "prepared data of .*t.jsonl"
[ "$(sha256sum "$dir"/out/prepared/*)" = "$before" ] || fail "prepared data was written again"
run data show "$dir/run.yaml" --json
cp "$dir/log" "$dir/show"
run train "$dir/run.yaml" output_dir="$dir/again"
says "was read and prepared"
cmp -s "$dir/out/adapter_model.safetensors" "$dir/again/adapter_model.safetensors" || fail "found or made: other adapters"
for file in "$dir"/out/prepared/*; do run inspect "$file"; cat "$dir/log"; done >"$dir/inspected"
grep -qE "a.jsonl \(chat\): 20 rows, [0-9]+ tokens = [0-9]+ trained \+ [0-9]+ masked" "$dir/inspected" || fail "inspect: $(cat "$dir/inspected")"
rm -r "$dir/out/prepared"
run data show "$dir/run.yaml" --json
cmp -s "$dir/log" "$dir/show" || fail "data show without prepared data"
[ ! -e "$dir/out/prepared" ] || fail "looking at data prepares it"

# never stale: the rows, the template, the day where the template looks at it; in a folder of the run's own only the newest stay
run data prepare "$dir/run.yaml"
head -21 data/manual/train.jsonl >"$dir/a.jsonl"
run data prepare "$dir/run.yaml"
says "a.jsonl was read and prepared"
says "t.jsonl$" # found
[ "$(files "$dir/out/prepared")" -eq 2 ] || fail "old prepared data stayed: $(ls "$dir/out/prepared")"
printf '%s' "{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant {% endif %}" >"$dir/plain.jinja"
sed 's/^/{{ strftime_now("%Y-%m-%d") }}/' "$dir/plain.jinja" >"$dir/day.jinja"
shared=(dataset_prepared_path="$dir/shared" overwrite_output_dir=true)
for what in "" chat_template="$dir/plain.jinja" chat_template="$dir/day.jinja" train_on_inputs=true datasets.0.roles_to_train=user; do
    run data prepare "$dir/run.yaml" "${shared[@]}" $what
    says "a.jsonl was read and prepared"
done
have=$(files "$dir/shared")
[ "$have" -ge 9 ] || fail "a shared folder keeps all: $have files"
run data prepare "$dir/run.yaml" "${shared[@]}" chat_template="$dir/plain.jinja" template_date=2001-02-03
[ "$(files "$dir/shared")" -eq "$have" ] || fail "the day matters where nothing looks at it"
run data prepare "$dir/run.yaml" "${shared[@]}" chat_template="$dir/day.jinja" template_date=2001-02-03
[ "$(files "$dir/shared")" -gt "$have" ] || fail "the day does not matter"
run data show "$dir/run.yaml" "${shared[@]}" chat_template="$dir/day.jinja" template_date=2001-02-03 --row 0
says "2001-02-03"
for key in sequence_len=128 seed=7 lora_r=4 dedupe=true datasets.0.weight=2; do
    run data prepare "$dir/run.yaml" "${shared[@]}" $key
    says "prepared data of .*a.jsonl"
done

# damaged: told, and made anew; where nothing may be written, not used
file=$(find "$dir/out/prepared" -name '*.h5' -size +10k | head -1)
printf 'x' | dd of="$file" bs=1 seek=5000 conv=notrunc 2>/dev/null
run data stats "$dir/run.yaml"
cmp -s <(head -c 5001 "$file" | tail -c 1) <(printf 'x') || fail "data stats writes"
run train "$dir/run.yaml" overwrite_output_dir=true
says "warning: .*the prepared data is damaged: its sum does not fit; it is written anew"
run train "$dir/run.yaml" overwrite_output_dir=true
says "prepared data of .*a.jsonl"
truncate -s 100 "$file"
run data prepare "$dir/run.yaml"
says "damaged: it is cut off; it is written anew"

# several at once
pids=()
rm -r "$dir/shared"
for _ in 1 2 3 4; do "$lorac" data prepare "$dir/run.yaml" "${shared[@]}" >/dev/null 2>&1 & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid" || fail "one of several at once"; done
[ "$(ls "$dir/shared" | wc -l)" -eq 2 ] || fail "several at once left: $(ls "$dir/shared")"

# the data may be larger than memory: eight times the data takes hardly more
cat >"$dir/memory.py" <<'END'
import json, resource, subprocess, sys
lorac, folder = sys.argv[1:]
def peak(copies):
    with open(f"{folder}/big.jsonl", "w") as f:
        for k in range(copies * 40):
            ids = [(k * 7 + i * i) % 1000 for i in range(20000)]
            f.write(json.dumps({"input_ids": ids, "labels": ids}) + "\n")
    config = [f"{folder}/run.yaml", f"datasets.0.path={folder}/big.jsonl", "datasets.0.type=tokens", "excess_length_strategy=truncate",
              f"output_dir={folder}/big{copies}", "threads=2"]
    code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    return int(subprocess.run([sys.executable, "-c", code, lorac, "data", "prepare", *config], check=True, capture_output=True, text=True).stdout)
small, large = peak(1), peak(8)
print(small, large)
sys.exit(large - small > 16 * 1024)
END
# the sanitizers' own memory hides it
[ "$(nm "$lorac" 2>/dev/null | grep -c ' __asan_init$')" -gt 0 ] || python3 "$dir/memory.py" "$lorac" "$dir" >"$dir/log" 2>&1 || fail "kilobytes for the data and eight times as much: $(cat "$dir/log")"
[ $failed -eq 0 ] && echo "data prepare is in order"
exit $failed
