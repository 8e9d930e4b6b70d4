"""Checks what lorac trains of conversations in the chat templates that PyPI packages and model files carry.

    python3 masks.py --tool BUILD/tests/chat_lines [--cache FOLDER] [--shared FOLDER] [--gguf FILE] [--no-download] [--only NAME] [--list]

The templates are those of templates.py. Every text of a conversation is written in private characters of its own, so that each
byte of the output says which message it is of, whatever lorac believes. Checked for each template and conversation:
  whole    every byte of a trained message that the template writes is trained
  foreign  no byte of another message is trained
  end      behind it comes the first end token, which is trained and is the last byte of the turn
  header   what the template writes when asked for an answer to the messages before is not trained; a turn that begins with
           a tool call or reasoning begins right behind it
  single   "train": false takes away its turn and nothing else
  roles    roles_to_train user and tool; train_on_eos all, last, none; train_on_inputs
  same     user texts that hold the assistant's text, header and end token change no bound of what is trained
  tokens   the trained tokens are those with a trained byte; BOS comes once iff the model wants it or the template writes it
  tags     {% generation %}, where a template has it, says the same but for the header and what follows the end token
A conversation that is refused must be refused by the template itself or with a message's place. Exit status 1 when
anything does not hold. Needs transformers, jinja2, pip."""
import argparse
import copy
import json
import pathlib
import subprocess
import sys

import templates
from jinja_oracle import render, versions
from templates import TOOLS, call, m

NOW = 1767225600
ENDS = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>", "<|EOT|>", "<|eot|>", "<|eom|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>",
        "<|return|>", "<|call|>", "<|END_OF_TURN_TOKEN|>", "<end_of_utterance>", "<turn|>", "<|end_of_turn|>", "<|role_end|>", "<|eos|>", "[e~[", "<|tool_response>", "<seed:eos>", "<|assistant_end|>", "[|endofturn|]", "<end_of_sentence>", "<sep>", "<SPECIAL_12>",
        "<|message_sep|>", "[EOS]", "<|im_msg_end|>", "</assistant>", "<|hy_eos|>"]


def conversations():
    u, a, s = (lambda t: m("user", t)), (lambda t, **k: m("assistant", t, **k)), (lambda t: m("system", t))
    t = lambda text, i=1, name="get_weather": m("tool", text, name=name, tool_call_id=f"call0000{i}")
    place = lambda p, i=1: call({"place": p}, f"call0000{i}")
    yield "one turn", [u("U"), a("A")], None
    yield "system", [s("S"), u("U"), a("A")], None
    yield "three turns", [s("S"), u("U"), a("A"), u("V"), a("B"), u("W"), a("C")], None
    yield "spaces", [u("  U \n"), a(" A\n\n"), u("\n V "), a("\n B ")], None
    yield "lines", [u("U\nU"), a("A\n\nA"), u("V\n\nV"), a("B\nB")], None
    yield "empty answer", [u("U"), a(""), u("V"), a("B")], None
    yield "empty last", [u("U"), a("A"), u("V"), a("")], None
    yield "empty user", [u(""), a("A"), u(""), a("B")], None
    yield "tools unused", [s("S"), u("U"), a("A"), u("V"), a("B")], TOOLS
    yield "one call", [u("U"), a("", tool_calls=[place("P")]), t("T"), a("A")], TOOLS
    yield "null and call", [s("S"), u("U"), a(None, tool_calls=[place("P")]), t("T"), a("A"), u("V"), a("B")], TOOLS
    yield "call as text", [u("U"), a("", tool_calls=[call('{"place": "P"}')]), t("T"), a("A")], TOOLS
    yield "text and call", [u("U"), a("I call", tool_calls=[place("P")]), t("T"), a("A")], TOOLS
    yield "two calls", [u("U"), a("", tool_calls=[place("P"), place("Q", 2)]), t("T"), t("R", 2), a("A")], TOOLS
    yield "two rounds", [u("U"), a("", tool_calls=[place("P")]), t("T"), a("", tool_calls=[place("Q", 2)]), t("R", 2), a("A"), u("V"), a("B")], TOOLS
    yield "call last", [u("U"), a("", tool_calls=[place("P")])], TOOLS
    yield "empty result", [u("U"), a("", tool_calls=[place("P")]), t(""), a("A")], TOOLS
    yield "call first", [s("S"), a("", tool_calls=[place("P")]), t("T"), a("A")], TOOLS
    yield "reasoning", [u("U"), a("A", reasoning_content="R"), u("V"), a("B", reasoning_content="Q")], None
    yield "reasoning and call", [u("U"), a("", reasoning_content="R", tool_calls=[place("P")]), t("T"), a("A", reasoning_content="Q")], TOOLS
    yield "thinking in content", [u("U"), a("<think>\nR\n</think>\n\nA"), u("V"), a("<think>\nQ\n</think>\n\nB")], None
    yield "parts", [m("user", [{"type": "text", "text": "U"}, {"type": "text", "text": "U"}]), m("assistant", [{"type": "text", "text": "A"}, {"type": "text", "text": "A"}])], None
    yield "image", [m("user", [{"type": "image"}, {"type": "text", "text": "U"}]), m("assistant", [{"type": "text", "text": "A"}])], None
    yield "two answers", [u("U"), a("A"), a("B")], None
    yield "two questions", [u("U"), u("V"), a("B")], None
    yield "answer first", [a("A"), u("U"), a("B")], None
    yield "developer", [m("developer", "S"), u("U"), a("A")], None
    yield "names", [m("user", "U", name="ann"), m("assistant", "A", name="bot")], None


TEXT_KEYS = ("content", "text", "reasoning_content", "place", "arguments")
FIRST, WIDTH, LETTERS = 0xF0000, 0x80, 24


def written(messages):
    """The messages with each letter of A-Z alone made a word of private characters of the message it is in."""
    def walk(v, i, key):
        if isinstance(v, dict):
            return {k: walk(x, i, k) for k, x in v.items()}
        if isinstance(v, list):
            return [walk(x, i, key) for x in v]
        if not isinstance(v, str) or key not in TEXT_KEYS:
            return v
        base = FIRST + WIDTH * i
        word = lambda c: "".join(chr(base + (ord(c) + k) % WIDTH) for k in range(LETTERS))
        return "".join(word(c) if c.isupper() else c for c in v)
    return [walk(x, i, "") for i, x in enumerate(messages)]


def owner(c):
    return (ord(c) - FIRST) // WIDTH if FIRST <= ord(c) < FIRST + 64 * WIDTH else -1


class Masks:
    """The program of chat_lines.c for one template."""

    def __init__(self, path):
        self.p = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def use(self, template):
        self.template = template
        self.ends = ["</s>"] + [x for x in ENDS if x in template]
        if "eos_token" not in template and len(self.ends) > 1:
            self.ends = self.ends[1:]
        if "<|observation|>" in template and "<|end" not in template:  # GLM: an answer ends where another speaks
            self.ends += ["<|user|>", "<|observation|>"]

    def ask(self, messages, tools=None, **more):
        q = {"template": self.template, "messages": messages, "tools": tools, "bos": "<s>", "add_bos": False, "ends": self.ends, "specials": [], **more}
        self.p.stdin.write(json.dumps(q, ensure_ascii=False).encode() + b"\n")
        self.p.stdin.flush()
        answer = self.p.stdout.readline()
        if not answer:
            sys.exit(f"chat_lines ended at {str(q)[:2000]}")
        return json.loads(answer)


def byte_owners(text):
    data = text.encode()
    owners = []
    for c in text:
        owners += [owner(c)] * len(c.encode())
    return data, owners


def first_end(data, at, ends):
    """The first end token at or behind `at`: (begin, end), of two that begin together the longer."""
    found = [(i, -len(e.encode())) for e in ends if (i := data.find(e.encode(), at)) >= 0]
    return (min(found)[0], min(found)[0] - min(found)[1]) if found else None


def inside(ranges, i):
    return next((r for r in ranges if r[0] <= i < r[1]), None)


def check_turns(messages, data, owners, ranges, ends, roles=("assistant",)):
    trained = {i for i, x in enumerate(messages) if x["role"] in roles}
    covered = bytearray(len(data))
    for b, e in ranges:
        covered[b:e] = b"\1" * (e - b)
    for i, o in enumerate(owners):
        if o in trained and not covered[i]:
            yield "whole", f"messages[{o}] is not trained at byte {i}"
            break
    for i, o in enumerate(owners):
        if o >= 0 and o not in trained and covered[i]:
            yield "foreign", f"messages[{o}] is trained at byte {i}"
            break
    for i in trained:
        if i not in owners:
            continue
        last = len(owners) - 1 - owners[::-1].index(i)
        r, end = inside(ranges, last), first_end(data, last, ends)
        adjoining = end and end[1] < len(owners) and owners[end[1]] in trained
        if r and (end is None or (r[1] != end[1] and not (adjoining and r[1] > end[1]))):
            yield "end", f"messages[{i}] ends at {r[1]}, its end token at {end}"


def check_header(masks, messages, tools, data, owners, ranges):
    for i, x in enumerate(messages):
        if x["role"] != "assistant" or i not in owners or i == 0:
            continue
        p = masks.ask(messages[:i], tools, generation_prompt=True, inputs=True, lenient=True)
        unasked = masks.ask(messages[:i], tools, inputs=True, lenient=True)
        if "text" not in p or p["text"] == unasked.get("text"):  # the template does not say where an answer begins
            continue
        g = p["text"].encode()
        r = inside(ranges, owners.index(i))
        first = owners.index(i)
        if r is None or not data.startswith(g):
            continue
        answers_meet = i and messages[i - 1]["role"] == "assistant"
        if r[0] < len(g) and not answers_meet and data[r[0]:len(g)].strip():
            yield "header", f"messages[{i}] is trained from {r[0]}, its header ends at {len(g)}"
        reasons = [c for c in messages[i].get("reasoning_content", "") if owner(c) == i]
        first_is_reason = data[first:].decode()[:1] in reasons[:1] if reasons else False
        if (not x.get("content") or first_is_reason) and r[0] > len(g):
            yield "call", f"messages[{i}] is trained from {r[0]}, its header ends at {len(g)}: {data[len(g):r[0]].decode()!r} is not trained"


def check_options(masks, messages, tools, base, data, owners):
    answers = [i for i, x in enumerate(messages) if x["role"] == "assistant"]
    ranges = base["trained"]
    for i in answers:
        if i not in owners:
            continue
        changed = copy.deepcopy(messages)
        changed[i]["train"] = False
        other = masks.ask(changed, tools)
        gone = inside(ranges, owners.index(i))
        if other.get("text") != base["text"]:
            continue
        rest = [r for r in other["trained"] if gone[0] <= r[0] and r[1] <= gone[1]]  # of turns that adjoin
        if [r for r in other["trained"] if r not in rest] != [r for r in ranges if r != gone] or any(owners[b] == i for r in rest for b in range(*r)):
            yield "single", f"messages[{i}] with train false: {ranges} became {other['trained']}"
    r = masks.ask(messages, tools, inputs=True)
    if r.get("trained") != [[0, len(data)]]:
        yield "roles", f"train_on_inputs: {r.get('trained')}"
    meets = any(owners[r[1]] >= 0 and messages[owners[r[1]]]["role"] == "assistant" for r in ranges if r[1] < len(owners))
    several = len([i for i in answers if i in owners]) > len(ranges)  # turns that adjoin are one range
    if meets or several:
        return
    cut = lambda r: [r[0], max((b for b, e in ends_at(data, masks.ends) if e == r[1]), default=r[1])]
    none = [x for x in map(cut, ranges) if x[1] > x[0]]
    r = masks.ask(messages, tools, eos="none")
    if r.get("trained") != none:
        yield "roles", f"train_on_eos none: {r}, expected {none}"
    r = masks.ask(messages, tools, eos="last")
    if r.get("trained") != [x for x in map(cut, ranges[:-1]) if x[1] > x[0]] + ranges[-1:]:
        yield "roles", f"train_on_eos last: {r.get('trained', r)} of {ranges}"
    r = masks.ask(messages, tools, eos="all")
    if "trained" in r:
        ends = {tuple(x) for x in ends_at(data, masks.ends)}
        extra = [x for x in r["trained"] if x not in ranges]
        if [x for x in ranges if x not in r["trained"]] or [x for x in extra if tuple(x) not in ends]:
            yield "roles", f"train_on_eos all: {r['trained']} of {ranges}"
        for i, x in enumerate(messages):
            if i in owners and x["role"] != "assistant":
                last = len(owners) - 1 - owners[::-1].index(i)
                end = first_end(data, last, masks.ends)
                nxt = next((j for j in range(last + 1, len(owners)) if owners[j] >= 0), len(data))
                said = i + 1 == len(messages) or i + 1 in owners
                if said and end and end[1] <= nxt and list(end) not in r["trained"]:
                    yield "roles", f"train_on_eos all leaves out messages[{i}]'s {end}"
    else:
        yield "roles", f"train_on_eos all: {r}"
    for role in ("user", "tool"):
        if not any(x["role"] == role for x in messages):
            continue
        r = masks.ask(messages, tools, roles=role, eos="none")
        if "trained" not in r:
            if "messages[" not in r["error"]:
                yield "roles", f"{role}: {r}"
            continue
        for kind, what in check_turns(messages, data, owners, r["trained"], masks.ends, (role,)):
            if kind != "end":
                yield "roles", f"{role}: {what}"


def ends_at(data, ends):
    found = []
    for e in map(str.encode, ends):
        at = data.find(e)
        while at >= 0:
            found.append((at, at + len(e)))
            at = data.find(e, at + 1)
    return found


def check_tokens(masks, messages, tools, base, data):
    for add_bos in (False, True):
        r = masks.ask(messages, tools, add_bos=add_bos)
        names, at, expected = [b"<s>"] + [e.encode() for e in masks.ends], 0, []
        if r["trained"] != base["trained"]:
            yield "tokens", "BOS changes the mask"
        ids = r["ids"]
        wrote = data.lstrip().startswith(b"<s>")
        n_bos = sum(1 for x in ids[:4] if x == 256)
        if n_bos != (1 if wrote or add_bos else 0):
            yield "tokens", f"{n_bos} BOS at the start with add_bos={add_bos}, text {base['text'][:30]!r}"
        if add_bos and not data.startswith(b"<s>") and ids and ids[0] == 256:
            expected.append(0)
            ids = ids[1:]
        for x in ids:
            n = 1 if x < 256 else len(names[x - 256])
            expected.append(int(any(b < at + n and e > at for b, e in r["trained"])))
            at += n
        if at != len(data) or expected != r["marks"]:
            yield "tokens", f"marks disagree with the byte ranges (add_bos={add_bos})"


def check_same(masks, header, tools):
    """Bounds with texts that are alike are the bounds with texts that are not: each is as many bytes long as the other."""
    pad = lambda s: s + "x" * (-len(s.encode()) % 4)
    answer = "same words"
    pairs = [(pad(answer), pad(answer)), (pad(f"x{header}{answer}{masks.ends[-1]}"), pad(answer)), (pad("{{ messages }}{% for"), pad("{% endfor %}")),
             (pad("same"), pad("same words and same")), (pad(f"{masks.ends[-1]}{masks.ends[0]}"), pad(f"a{masks.ends[0]}b")), (pad("assistant"), pad("assistant"))]
    for user, reply in pairs:
        build = lambda u, a: [m("user", u), m("assistant", a), m("user", u), m("assistant", a)]
        fill = lambda i, s: chr(FIRST + WIDTH * i + 5) * (len(s.encode()) // 4)
        odd = masks.ask(build(user, reply), tools)
        messages = build(user, reply)
        for i, x in enumerate(messages):
            x["content"] = fill(i, x["content"])
        plain = masks.ask(messages, tools)
        if "trained" in plain and len(plain["text"].encode()) == len(odd.get("text", "").encode()) and odd["trained"] != plain["trained"]:
            yield "same", f"user {user!r}, assistant {reply!r}: {odd['trained']}, expected {plain['trained']}"
        if "trained" in plain and "error" in odd and "messages[" in odd["error"]:
            yield "same", f"user {user!r}, assistant {reply!r}: {odd['error']}"


def check_tags(masks, messages, tools, base):
    """What {% generation %} blocks wrote, without the header and what follows the end token."""
    state = render(masks.template, variables(masks, messages, tools), NOW)
    if state[0] != "ok" or not state[2]:
        return
    text = state[1]
    spans = [(len(text[:b].encode()), len(text[:e].encode())) for b, e in state[2]]
    data = text.encode()
    for b, e in base["trained"]:
        out = [x for x in range(b, e) if not any(s <= x < t for s, t in spans)]
        if out and not any(data[out[0]:out[-1] + 1].strip() in (x.encode(), b"") for x in masks.ends):
            yield "tags", f"trained outside of generation: {data[out[0]:out[-1] + 1].decode(errors='replace')!r}"
    for s, t in spans:
        inner = [x for x in range(s, t) if not any(b <= x < e for b, e in base["trained"])]
        # runs not trained inside of a block: before the turn (header), behind its end token
        left = data[s:t]
        if len(inner) == t - s and left.strip() and left.strip().decode() not in masks.ends:
            yield "tags", f"a generation block is not trained at all: {left.decode()!r}"
            continue
        runs, at = [], None
        for x in inner + [None]:
            if at is not None and (x is None or x != prev + 1):
                runs.append((at, prev + 1))
                at = None
            if x is not None and at is None:
                at = x
            prev = x
        for b, e in runs:
            piece = data[b:e]
            if b == s or not piece.strip() or any(piece.strip() == x.encode() for x in masks.ends):
                TAGS.setdefault((masks.name, "before" if b == s else "after", piece.decode()), 0)
                TAGS[(masks.name, "before" if b == s else "after", piece.decode())] += 1
                continue
            yield "tags", f"generation, but not trained: {piece.decode()!r}"


TAGS = {}


def variables(masks, messages, tools):
    clean = []
    for x in messages:
        x = {k: v for k, v in x.items() if v is not None}
        if "reasoning_content" in x:
            x = {"thinking": x["reasoning_content"], **x}
        clean.append(x)
    return {"messages": clean, "tools": tools, "documents": None, "add_generation_prompt": False, "bos_token": "<s>", "eos_token": masks.ends[0]}


def check(masks, messages, tools, refused):
    base = masks.ask(messages, tools)
    if "text" not in base:
        own = render(masks.template, variables(masks, messages, tools), NOW)
        if own[0] == "ok" and "messages[" not in base["error"]:
            yield "refused", f"{base['error']}, but Jinja2 renders it"
        if own[0] == "ok":
            refused.append(base["error"])
        return
    data, owners = byte_owners(base["text"])
    yield from check_turns(messages, data, owners, base["trained"], masks.ends)
    yield from check_header(masks, messages, tools, data, owners, base["trained"])
    yield from check_options(masks, messages, tools, base, data, owners)
    yield from check_tokens(masks, messages, tools, base, data)
    yield from check_tags(masks, messages, tools, base)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tool", required=True)
    templates.add_options(p)
    p.add_argument("--show", type=int, default=4, help="failures shown per template")
    p.add_argument("--list", action="store_true", help="list what is refused, and where tags say more")
    options = p.parse_args()
    masks, bad, runs, shown_refusals = Masks(options.tool), {}, {"masked": 0, "refused": 0, "not rendered": 0}, {}
    chosen = [t for t in templates.collect(options) if options.only in t[0]]
    for name, template in chosen:
        masks.use(template)
        masks.name, shown = name, 0
        for context, plain, tools in conversations():
            messages, refused = written(plain), []
            found = list(check(masks, messages, tools, refused))
            done = "text" in masks.ask(messages, tools)
            runs["masked" if done else "refused" if refused else "not rendered"] += 1
            for r in refused:
                shown_refusals.setdefault((name, r), []).append(context)
            if context == "one turn" and done:
                p = masks.ask([m("user", "?")], tools, generation_prompt=True, lenient=True, inputs=True)
                found += check_same(masks, p["text"].split("?")[-1] if "text" in p else "", tools)
            for kind, what in found:
                bad[kind] = bad.get(kind, 0) + 1
                shown += 1
                if shown <= options.show:
                    print(f"{name}\n    {context}: {kind}: {what}", flush=True)
    if options.list:
        for (name, r), contexts in sorted(shown_refusals.items()):
            print(f"refused: {name}: {r} ({', '.join(contexts)})")
        for (name, where, piece), n in sorted(TAGS.items()):
            print(f"tags: {name}: {n} {where}: {piece!r}")
    print(f"{len(chosen)} templates, conversations: {runs}; failures: {bad or 'none'}; {versions()}")
    return 1 if bad or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
