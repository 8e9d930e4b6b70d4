#!/usr/bin/env bash
# t_not_finite.sh LORAC LORAC_FAULTS [--long]: a loss or a gradient that is NaN or infinite: the run stops before the update,
# names the rows as FILE:LINE, and keeps its last checkpoint and adapter; it goes on once the cause is mended.
. "$(dirname "$0")/lib.sh"
write_run
run() { "$@" >"$dir/out" 2>"$dir/err" </dev/null; }
run "$lorac" train "$dir/run.yaml" output_dir="$dir/good" || { cat "$dir/err"; exit 1; }
out=$dir/run
for fault in nan_loss nan_gradient; do
    total=$(passages $fault "$lorac_faults" train "$dir/run.yaml" output_dir="$dir/count-$fault") || fail "$fault: the undisturbed run"
    [ "$total" -eq 4 ] || fail "$fault: $total places in 4 steps"
    for n in 1 2 3 4; do
        rm -rf "$out"
        LORAC_FAULT=$fault=$n run "$lorac_faults" train "$dir/run.yaml" output_dir="$out" --quiet
        one_error "$fault=$n" $? "^error: step $n: the (loss|gradient) is not finite; rows: $dir/rows.jsonl:[1-8][ ,.(].*Nothing was updated"
        # one row's loss was NaN; a gradient that no single row is to blame for names all of the step
        if [ $fault = nan_loss ] && grep -q "rows.jsonl.*rows.jsonl" "$dir/err"; then fail "$fault=$n: more than the bad row is named"; fi
        if [ $fault = nan_gradient ] && ! grep -q "rows.jsonl.*rows.jsonl" "$dir/err"; then fail "$fault=$n: not all rows are named"; fi
        [ "$(grep -c '"event":"step"' "$out/metrics.jsonl")" -eq $((n - 1)) ] || fail "$fault=$n: a line for a step that was not done"
        no_temporaries "$fault=$n" "$out"
        valid_run "$fault=$n" "$out"
        if [ $n -ge 3 ]; then
            grep -q "newest checkpoint is of step 2" "$dir/err" || fail "$fault=$n: the message names no checkpoint"
            [ -d "$out/checkpoint-2" ] || fail "$fault=$n: the checkpoint is lost"
            # the adapter at the top is the one of step 2
            [ -f "$dir/at2" ] || cp "$out/adapter_model.safetensors" "$dir/at2"
            cmp -s "$dir/at2" "$out/adapter_model.safetensors" || fail "$fault=$n: the adapter is not the last saved one"
            cmp -s "$dir/good/adapter_model.safetensors" "$out/adapter_model.safetensors" && fail "$fault=$n: the last adapter already"
        else
            [ ! -e "$out/checkpoint-2" ] || fail "$fault=$n: a checkpoint of a step that was not done"
        fi
        go_on "$fault=$n" "$out"
    done
done

# ---- a base with a damaged weight: the first number of output_norm.weight. The data are the last bytes of the file: tiny.gguf
# has 1835008 numbers in blocks of 32 numbers and 34 bytes, and 1280 of 4 bytes; token_embd (1024 x 256) comes first.
cp $base "$dir/nan.gguf"
at=$(($(stat -c %s $base) - 1835008 / 32 * 34 - 1280 * 4 + 1024 * 256 / 32 * 34))
printf '\0\0\300\177' | dd of="$dir/nan.gguf" bs=1 seek=$at conv=notrunc 2>/dev/null
run "$lorac" eval --base "$dir/nan.gguf" --data "$dir/test.jsonl" --json
one_error "eval on a damaged base" $? "^error: $dir/test.jsonl:1: the loss of this row is not finite"
[ ! -s "$dir/out" ] || fail "eval on a damaged base printed $(cat "$dir/out")"
rm -rf "$out"
run "$lorac" train "$dir/run.yaml" output_dir="$out" --quiet base_model="$dir/nan.gguf"
one_error "train on a damaged base, held-out data" $? "^error: $dir/test.jsonl:1: the loss of this row is not finite"
sed '/test_datasets/,+2d' "$dir/run.yaml" >"$dir/plain.yaml"
rm -rf "$out"
run "$lorac" train "$dir/plain.yaml" output_dir="$out" --quiet base_model="$dir/nan.gguf"
one_error "train on a damaged base" $? "^error: step 1: the loss is not finite; rows: $dir/rows.jsonl:[1-8].*rows.jsonl:[1-8]"
run "$lorac" merge --base "$dir/nan.gguf" --adapter "$dir/good" --out "$dir/m.gguf"
[ $? -eq 3 ] && [ "$(grep -c ^error "$dir/err")" -eq 1 ] && [ ! -e "$dir/m.gguf" ] || fail "merge of a damaged base: $(tail -1 "$dir/err")"
no_bug "merge of a damaged base"
run "$lorac" generate --base "$dir/nan.gguf" --prompt The --max-tokens 4
one_error "generate on a damaged base" $? "NaN"

# ---- a learning rate that diverges: whatever happens, every line is JSON with numbers, and an error names its rows
for dtype in fp32 bf16; do
    rm -rf "$out"
    run "$lorac" train "$dir/run.yaml" output_dir="$out" --quiet learning_rate=1e3 lr_scheduler=constant max_grad_norm=0 lora_alpha=1e9 \
        max_steps=30 save_steps=5 compute_dtype=$dtype
    code=$?
    if [ $code -ne 0 ]; then one_error "learning_rate 1e3, $dtype" $code "^error: (step [0-9]+: .*not finite; rows: $dir/rows.jsonl:[1-8]|$dir/test.jsonl:[12]: the loss)"; fi
    grep -qE 'null|nan|inf' "$out/metrics.jsonl" && fail "learning_rate 1e3, $dtype: a number is missing in metrics.jsonl"
    no_bug "learning_rate 1e3, $dtype"
    valid_run "learning_rate 1e3, $dtype" "$out"
    echo "learning_rate 1e3, $dtype: exit $code after $(grep -c '"event":"step"' "$out/metrics.jsonl") steps"
done
verdict "numbers that are not finite: stopped before the update, rows named, nothing lost"
