"""Writes jinja.json: the templates of cases.py rendered by Jinja2 as transformers sets it up (tests/interop/jinja_oracle.py).

    python3 make_golden.py > jinja.json

One line a case: [template, variables' name, text] or [template, name, null, kind, error]; kind limit: Python's own bound, its
text is not compared; generation spans, counted in characters, follow the text where there are any. NOW is the clock.
"case" holds SHA-256 sums of all characters, each followed by a newline, in another case."""
import datetime
import hashlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
from cases import CASES, VARIABLES  # noqa: E402
from jinja_oracle import render, versions  # noqa: E402

NOW = 1767225600 + 5 * 86400 + 13 * 3600 + 7 * 60 + 9


def case(template, name):
    result = render(template, VARIABLES[name], NOW)
    if result[0] == "ok":
        return [template, name, result[1]] + ([result[2]] if result[2] else [])
    return [template, name, None, result[0], "" if result[0] == "limit" else result[1]]


def case_sums():
    text = "".join(chr(c) + "\n" for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000)
    return {f: hashlib.sha256(getattr(text, f)().encode()).hexdigest() for f in ("upper", "lower", "title", "casefold")}


dump = lambda x: json.dumps(x, ensure_ascii=True, separators=(",", ":"))
print('{"made":', dump({**versions(), "date": str(datetime.date.today())}), ',"now":', NOW, ',"case":', dump(case_sums()), sep="")
print(',"variables":', dump(VARIABLES), sep="")
print(',"cases":[', ",\n".join(dump(case(*c)) for c in CASES), "]}", sep="\n")
