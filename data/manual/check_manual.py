#!/usr/bin/env python3
"""usage: check_manual.py

The shipped rows against their rules and against the program: train.jsonl and heldout.jsonl are what facts.txt says; each
fact has at least two trained questions and one held out; no question is asked twice; an answer holds its key words, and
no question gives all of them away; each claim about a default, and each key a question about a default names, agrees
with configs/schema.def; every config key, command, and alias named in a fact exists."""
import os
import re
import subprocess
import sys

from manual import HERE, is_right, read_facts

ROOT = os.path.dirname(os.path.dirname(HERE))
problems = []


def problem(fact, text):
    problems.append(f"data/manual/facts.txt:{fact['line']}: {text}")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def check_questions(facts):
    seen = {}
    for fact in facts:
        if len(fact["train"]) < 2 or len(fact["heldout"]) < 1:
            problem(fact, "needs two questions (Q) and one held out (H)")
        if not fact["keywords"] or not all(fact["keywords"]):
            problem(fact, "has no key words (K)")
            continue
        if not is_right(fact["answer"], fact["keywords"]):
            problem(fact, f"the answer lacks one of {fact['keywords']}")
        for text in fact["train"] + fact["heldout"]:
            folded = " ".join(re.findall(r"[a-z0-9_.-]+", text.lower()))
            if folded in seen:
                problem(fact, f"asked before in line {seen[folded]}: {text}")
            seen[folded] = fact["line"]
            if is_right(text, fact["keywords"]):
                problem(fact, f"the question gives its key words away: {text}")


def check_schema(facts):
    schema = read("configs", "schema.def")
    keys = dict(re.findall(r'^CONFIG_KEY\((\w+), \w+, "([^"]*)"', schema, re.M))
    if len(keys) < 30:
        sys.exit("configs/schema.def: its CONFIG_KEY rows are not read any more; change check_manual.py with them")
    for fact in facts:
        claims = dict(fact["claims"])
        for key, value in fact["claims"]:
            if keys.get(key) != value:
                problem(fact, f"says {key} = {value}, schema.def has {keys.get(key)}")
            plain = value.strip("[]")
            if plain not in fact["answer"]:
                problem(fact, f"the answer does not hold the default {plain}")
        said = re.search(r"[Tt]he default of (?:the key )?(\w+) is (\S+?)[;:,.]?(?: |$)", fact["answer"])
        if said and said.group(1) in keys and said.group(1) not in claims:
            problem(fact, f"a default without its D line: {said.group(0)}")
        if said and said.group(1) in keys and said.group(2) != keys[said.group(1)].strip("[]"):
            problem(fact, f"says {said.group(0)!r}, schema.def has {keys[said.group(1)]}")
    aliases = dict(re.findall(r"^CONFIG_ALIAS\((\w+), (\w+)\)", schema, re.M))
    for fact in facts:
        said = re.match(r"([\w, ]+?) (?:is|are) accepted with a note and read as (\w+)", fact["answer"])
        for name in re.split(r", | and ", said.group(1)) if said else []:
            if aliases.get(name) != said.group(2):
                problem(fact, f"says {name} is read as {said.group(2)}, schema.def has {aliases.get(name)}")
    fields = re.findall(r"^(?:DATASET_KEY|CONFIG_ABSENT)\((\w+)", schema, re.M)
    known = set(keys) | set(aliases) | set(fields)
    others = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "prompt_completion", "best_json",
              "constant_with_warmup", "input_ids", "adapter_model", "adapter_config", "pytorch_model", "some_key",
              "grad_norm", "trained_tokens", "tokens_per_second", "state_hash", "q8_0"}
    for fact in facts:
        for text in [fact["answer"]] + fact["train"] + fact["heldout"]:
            for name in re.findall(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b", text):
                if name not in known and name not in others:
                    problem(fact, f"names {name}, which is no key of schema.def")


def check_commands(facts):
    commands = set(re.findall(r"^COMMAND\((\w+)", read("train", "commands.def"), re.M))
    helps = "".join(read("train", name) for name in sorted(os.listdir(os.path.join(ROOT, "train"))) if name.startswith("cmd_"))
    for fact in facts:
        for name in re.findall(r"^lorac ([a-z]+)\b", fact["answer"]):
            if name not in commands and name not in ("has", "sends", "trains"):
                problem(fact, f"names the command {name}, which is not in commands.def")
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", fact["answer"]):
            if option not in helps and option not in ("--version", "--help", "--some-key"):
                problem(fact, f"names the option {option}, which no help text has")


def main():
    facts = read_facts()
    n_rows = sum(len(f["train"]) + len(f["heldout"]) for f in facts)
    check_questions(facts)
    check_schema(facts)
    check_commands(facts)
    if n_rows < 400:
        problems.append(f"data/manual/facts.txt: {n_rows} rows, at least 400 are wanted")
    same = subprocess.run([sys.executable, "-B", os.path.join(HERE, "make_manual.py"), "--check"], capture_output=True, text=True)
    if same.returncode != 0:
        problems.append(same.stderr.strip())
    for text in problems:
        print(text)
    print(f"{len(facts)} facts, {n_rows} rows, {len(problems)} problems")
    sys.exit(1 if problems else 0)


main()
