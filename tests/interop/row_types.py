"""Compares what lorac makes of rows of every conversational type with what transformers makes of the same messages.

    python3 row_types.py --lorac BUILD/lorac --tokenizers FOLDER [NAME ...]

FOLDER/NAME holds a model's tokenizer files with a chat template. For each a small random base is made beside them, the rows go through
`lorac data show --json`, and text, ids and the trained part are compared with apply_chat_template of the messages that the rows stand
for: the trained tokens of an answer are those that follow the prompt with add_generation_prompt, up to the end token. Exit status 1 when anything
differs. Needs torch, transformers."""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM


def say(role, text):
    return {"role": role, "content": text}


def user(text):
    return say("user", text)


def assistant(text):
    return say("assistant", text)


Q, A, Q2, A2, BAD = "What is 2 + 2? ", "It is four.", "And é 你好?", "  Fünf.\nSix", "No."
# (row, [(side, messages)]): the messages that the row stands for, all of whose last answer is trained.
ROWS = [
    ({"messages": [user(Q), assistant(A)]}, [(None, [user(Q), assistant(A)])]),
    ({"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A, "weight": 0}, {"from": "human", "value": Q2},
                        {"from": "gpt", "value": A2}]}, [(None, [user(Q), assistant(A), user(Q2), assistant(A2)])]),
    ({"conversations": [{"role": "user", "value": Q}, {"from": "model", "content": A}]}, [(None, [user(Q), assistant(A)])]),
    ({"instruction": Q, "input": Q2, "output": A}, [(None, [user(Q + "\n" + Q2), assistant(A)])]),
    ({"instruction": Q, "input": "", "output": A2}, [(None, [user(Q), assistant(A2)])]),
    ({"prompt": [user(Q), assistant(A), user(Q2)], "completion": [assistant(A2)]}, [(None, [user(Q), assistant(A), user(Q2), assistant(A2)])]),
    ({"prompt": [user(Q)], "chosen": [assistant(A)], "rejected": [assistant(BAD)]},
     [("chosen", [user(Q), assistant(A)]), ("rejected", [user(Q), assistant(BAD)])]),
    ({"chosen": [user(Q), assistant(A), user(Q2), assistant(A2)], "rejected": [user(Q), assistant(A), user(Q2), assistant(BAD)]},
     [("chosen", [user(Q), assistant(A), user(Q2), assistant(A2)]), ("rejected", [user(Q), assistant(A), user(Q2), assistant(BAD)])]),
    ({"conversations": [{"from": "human", "value": Q}], "chosen": {"from": "gpt", "value": A}, "rejected": {"from": "gpt", "value": BAD}},
     [("chosen", [user(Q), assistant(A)]), ("rejected", [user(Q), assistant(BAD)])]),
    ({"messages": [user(Q), assistant(A)], "label": True}, [("desirable", [user(Q), assistant(A)])]),
    ({"instruction": Q, "output": BAD, "label": False}, [("undesirable", [user(Q), assistant(BAD)])]),
]


def make_base(folder, files):
    for f in files.iterdir():
        if f.is_file():
            shutil.copy(f, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    size = max(tokenizer.get_vocab().values()) + 1
    config = LlamaConfig(vocab_size=size, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
                         max_position_embeddings=4096, tie_word_embeddings=True, bos_token_id=tokenizer.bos_token_id,
                         eos_token_id=tokenizer.eos_token_id)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return tokenizer


def shown(lorac, folder, row):
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    (folder / "run.yaml").write_text(f"base_model: {folder}\ndatasets: [{{path: {folder}/rows.jsonl}}]\n")
    out = subprocess.run([lorac, "data", "show", str(folder / "run.yaml"), "--json"], capture_output=True, text=True)
    return [json.loads(line) for line in out.stdout.splitlines()] if out.returncode == 0 else out.stderr


def compare(tokenizer, got, side, messages):
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    bos = tokenizer.bos_token
    if tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id] and bos and not text.startswith(bos):
        ids = [tokenizer.bos_token_id] + ids
    problems = []
    if got.get("side") != side:
        problems.append(f"side {got.get('side')}, not {side}")
    if got["ids"] != ids:
        problems.append(f"ids\n  {got['ids']}\n  {ids}")
    trained = [i for i, t in enumerate(got["trained"]) if t]
    last = [i for k, i in enumerate(trained) if trained[k:] == list(range(i, trained[-1] + 1))]
    answer = tokenizer.decode(got["ids"][last[0]:trained[-1] + 1])
    if messages[-1]["content"].strip() not in answer or got["ids"][trained[-1]] not in ends(tokenizer):
        problems.append(f"trained: {answer!r}")
    if tokenizer.decode(got["ids"][:last[0]]).rstrip().endswith(messages[-1]["content"].strip()):
        problems.append(f"the answer begins before what is trained: {answer!r}")
    return problems


def ends(tokenizer):
    names = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "</s>", "<｜end▁of▁sentence｜>"]
    return {tokenizer.eos_token_id} | {tokenizer.convert_tokens_to_ids(n) for n in names if n in tokenizer.get_vocab()}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--lorac", required=True)
    p.add_argument("--tokenizers", type=pathlib.Path, required=True)
    p.add_argument("names", nargs="*")
    args = p.parse_args()
    failed = compared = 0
    for files in sorted(args.tokenizers.iterdir()):
        if args.names and files.name not in args.names:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            tokenizer = make_base(folder, files)
            if not tokenizer.chat_template:
                print(f"{files.name}: no chat template")
                continue
            for row, wanted in ROWS:
                got = shown(args.lorac, folder, row)
                problems = [got] if isinstance(got, str) else [] if len(got) == len(wanted) else [f"{len(got)} rows"]
                for g, (side, messages) in zip(got, wanted) if not problems else []:
                    problems += compare(tokenizer, g, side, messages)
                compared += 1
                failed += len(problems)
                for text in problems:
                    print(f"{files.name}: {json.dumps(row, ensure_ascii=False)}\n  {text}")
        print(f"{files.name}: {len(ROWS)} rows compared")
    print(f"{compared} rows, {failed} differences")
    sys.exit(failed > 0 or compared == 0)


main()
