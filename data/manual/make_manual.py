#!/usr/bin/env python3
"""Writes train.jsonl and heldout.jsonl beside this script from facts.txt; with --check it only compares them."""
import json
import os
import sys

from manual import HERE, messages, read_facts


def rows(which):
    out = []
    for number, fact in enumerate(read_facts()):
        for text in fact[which]:
            row = {"messages": messages(text, fact["answer"]), "keywords": fact["keywords"], "fact": number}
            out.append(json.dumps(row, ensure_ascii=False))
    return "\n".join(out) + "\n"


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit("usage: make_manual.py [--check]")
    for which in ("train", "heldout"):
        path = os.path.join(HERE, which + ".jsonl")
        text = rows(which)
        if check:
            with open(path, encoding="utf-8") as f:
                if f.read() != text:
                    sys.exit(f"{path} is not what facts.txt says; run data/manual/make_manual.py")
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            print(f"{path}: {text.count(chr(10))} rows")


main()
