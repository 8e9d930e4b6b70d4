#!/usr/bin/env python3
"""usage: keywords.py ROWS.jsonl ANSWERS.jsonl

The share of answers that contain all key words of their row. ROWS has a list "keywords" per row (heldout.jsonl);
ANSWERS is what `lorac generate --data ROWS.jsonl` printed: one object {"row", "text", ...} per line."""
import sys

from manual import is_right, read_jsonl


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    rows, answers = read_jsonl(sys.argv[1]), read_jsonl(sys.argv[2])
    if not answers:
        sys.exit(f"{sys.argv[2]}: there is no answer in it")
    right = 0
    for answer in answers:
        if not 0 <= answer["row"] < len(rows):
            sys.exit(f"{sys.argv[2]}: row {answer['row']} is not in {sys.argv[1]}")
        right += is_right(answer["text"], rows[answer["row"]]["keywords"])
    print(f"{right} of {len(answers)} answers contain their key words ({100 * right / len(answers):.1f} %)")


main()
