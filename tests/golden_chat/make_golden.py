"""Writes chat.json: conversations in the templates of templates/, rendered by Jinja2 as transformers sets it up, with 【 】 round
what is trained.

    python3 make_golden.py > chat.json

The templates are written for these tests, in the styles of common families; what is trained stands in their {% generation %} blocks,
as transformers' return_assistant_tokens_mask takes it. lorac does not look at these blocks."""
import datetime
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[0] / "interop"))
from jinja_oracle import render, versions  # noqa: E402

S = ["</s>"]
TEMPLATES = {  # name: end tokens, the first is eos_token
    "mistral_v1": S, "mistral_v3": S, "mistral_v7": S, "llama2": S, "llama3": ["<|end_of_text|>", "<|eot_id|>"], "llama4": ["<|end_of_text|>", "<|eot|>", "<|eom|>"],
    "gemma": ["<eos>", "<end_of_turn>"], "chatml_tools": ["<|im_end|>"], "thinking": ["<|im_end|>"], "deepseek_v3": ["<｜end▁of▁sentence｜>"],
    "deepseek_r1": ["<｜end▁of▁sentence｜>"], "phi3": ["<|endoftext|>", "<|end|>"], "channels": ["<|return|>", "<|call|>", "<|end|>"]}
TOOLS = [{"type": "function", "function": {"name": "look", "description": "Looks it up.", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}}]


def m(role, content, **more):
    return {"role": role, "content": content, **more}


def call(x, name="look"):
    return {"id": "call00001", "type": "function", "function": {"name": name, "arguments": {"x": x}}}


CASES = {
    "turns": [m("user", "U"), m("assistant", "A"), m("user", "V"), m("assistant", "B")],
    "system": [m("system", "S"), m("user", "U"), m("assistant", "A")],
    "alike": [m("user", "A"), m("assistant", "A"), m("user", "A A"), m("assistant", "A A"), m("user", "A")],
    "empty": [m("user", "U"), m("assistant", ""), m("user", "V"), m("assistant", "B")],
    "empty last": [m("user", "U"), m("assistant", "A"), m("user", "V"), m("assistant", "")],
    "blanks": [m("user", " U\n"), m("assistant", "\n A \n"), m("user", "V\n\nV"), m("assistant", "B\n\nB")],
    "call": [m("user", "U"), m("assistant", "", tool_calls=[call("P")]), m("tool", "T"), m("assistant", "A")],
    "calls": [m("system", "S"), m("user", "U"), m("assistant", "", tool_calls=[call("P"), call("Q")]), m("tool", "T"), m("tool", "R"), m("assistant", "A"), m("user", "V"), m("assistant", "", tool_calls=[call("P")])],
    "said and called": [m("user", "U"), m("assistant", "A", tool_calls=[call("P")]), m("tool", "T"), m("assistant", "B")],
    "reasoning": [m("user", "U"), m("assistant", "A", reasoning_content="R"), m("user", "V"), m("assistant", "B", reasoning_content="Q")],
    "reasoning and call": [m("user", "U"), m("assistant", "", reasoning_content="R", tool_calls=[call("P")]), m("tool", "T"), m("assistant", "B", reasoning_content="Q")],
    "thinking": [m("user", "U"), m("assistant", "<think>\nR\n</think>\n\nA"), m("user", "V"), m("assistant", "<think>Q</think>B")],
    "two answers": [m("user", "U"), m("assistant", "A"), m("assistant", "B")],
    "unicode": [m("user", "Grüße 世界 🙂"), m("assistant", "世界 🙂 é")],
}


def marked(text, spans):
    out, at = "", 0
    joined = []
    for b, e in spans:
        if b < e:
            joined = joined[:-1] + [[joined[-1][0], e]] if joined and joined[-1][1] == b else joined + [[b, e]]
    for b, e in joined:
        out += text[at:b] + "【" + text[b:e] + "】"
        at = e
    return out + text[at:]


def golden(name, case):
    messages = CASES[case]
    tools = TOOLS if any("tool_calls" in x for x in messages) else None
    messages = [({"thinking": x["reasoning_content"], **x} if "reasoning_content" in x else x) for x in messages]
    variables = {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": False, "bos_token": "<s>", "eos_token": TEMPLATES[name][0]}
    r = render((HERE / "templates" / f"{name}.jinja").read_text(), variables)
    if r[0] != "ok":
        return [name, case, None, r[1]]
    return [name, case, marked(r[1], r[2])]


dump = lambda x: json.dumps(x, ensure_ascii=False, separators=(",", ":"))
print('{"made":', dump({**versions(), "date": str(datetime.date.today())}), sep="")
print(',"templates":', dump(TEMPLATES), sep="")
print(',"tools":', dump(TOOLS), sep="")
print(',"cases":{', ",\n".join(f"{dump(k)}:{dump(v)}" for k, v in CASES.items()), "}", sep="\n")
print(',"golden":[', ",\n".join(dump(golden(t, c)) for t in TEMPLATES for c in CASES), "]}", sep="\n")
