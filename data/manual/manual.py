"""What make_manual.py, check_manual.py and keywords.py share: reading facts.txt, and when an answer counts as right."""
import json
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))


def read_facts(path=os.path.join(HERE, "facts.txt")):
    """The facts in file order: dicts with answer, keywords, train (questions), heldout (questions), claims, line."""
    facts, fact = [], None
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            tag, _, text = line.partition(" ")
            if tag == "A":
                fact = {"answer": text, "keywords": [], "train": [], "heldout": [], "claims": [], "line": number}
                facts.append(fact)
            elif fact is None or tag not in ("K", "Q", "H", "D"):
                raise SystemExit(f"{path}:{number}: expected a line of A, K, Q, H or D")
            elif tag == "K":
                fact["keywords"] = [k.strip() for k in text.split("|")]
            elif tag == "D":
                key, _, value = text.partition("=")
                fact["claims"].append((key.strip(), value.strip()))
            else:
                fact["train" if tag == "Q" else "heldout"].append(text)
    return facts


def messages(question, answer):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def contains(answer, keyword):
    """Upper and lower case are equal; a key word that begins or ends with a digit is a number of its own there, so that
    16 is not found in 160 or 0.16."""
    pattern = re.escape(keyword)
    if keyword[0].isdigit():
        pattern = r"(?<![0-9.])" + pattern
    if keyword[-1].isdigit():
        pattern += r"(?!\.?[0-9])"
    return re.search(pattern, answer, re.IGNORECASE) is not None


def is_right(answer, keywords):
    return all(contains(answer, k) for k in keywords)


def read_jsonl(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]
