"""Compares chats in the templates that mistral-common makes for its tokenizers with what mistral-common itself encodes.

    python3 mistral.py --tool BUILD/tests/chat_lines

mistral-common writes a chat template for each tokenizer in its wheel (v1, v2, v3 and v7 by pieces, tekken) and also encodes
conversations without one. lorac renders the template; the text must be mistral-common's, and what is trained must be the assistant's
content, or calls, with </s>. mistral-common shows blanks as U+2581 and some characters as <0xHH>. Exit status 1 when
anything differs. Needs mistral-common with sentencepiece."""
import argparse
import json
import pathlib
import re
import sys

import mistral_common
from mistral_common.integrations.chat_templates.chat_templates import convert_tokenizer_to_chat_template
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

from masks import Masks
from templates import TOOLS, call, m

CASES = {
    "one": [m("user", "Hello")],
    "turns": [m("user", "U one"), m("assistant", "A one"), m("user", "U two"), m("assistant", "A two"), m("user", "U three")],
    "system": [m("system", "Be brief."), m("user", "U"), m("assistant", "A"), m("user", "V")],
    "unicode": [m("user", "Grüße 世界 🙂"), m("assistant", "é 世界"), m("user", "V")],
    "lines": [m("user", "a\n\nb"), m("assistant", "c\nd"), m("user", "e")],
    "call": [m("user", "U"), m("assistant", "", tool_calls=[call('{"place": "Bern"}', "call00001")]), m("tool", "sunny", tool_call_id="call00001", name="get_weather"), m("assistant", "A"), m("user", "V")],
    "tools unused": [m("system", "S"), m("user", "U"), m("assistant", "A"), m("user", "V")],
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tool", required=True)
    options = p.parse_args()
    masks, bad, same, unequal = Masks(options.tool), 0, 0, {}
    data = pathlib.Path(mistral_common.__file__).parent / "data"
    for path in sorted(x for x in data.iterdir() if ".model.v" in x.name or x.name.startswith("tekken")):
        try:
            template, tokenizer = convert_tokenizer_to_chat_template(path), MistralTokenizer.from_file(path)
        except Exception as e:
            print(f"{path.name}: {e}")
            continue
        masks.use(template)
        masks.ends = ["</s>"]
        for name, messages in CASES.items():
            tools = TOOLS if name in ("call", "tools unused") else None
            try:
                request = {"messages": messages, **({"tools": [{"type": "function", "function": {k: v for k, v in t["function"].items() if k != "return"}} for t in tools]} if tools else {})}
                theirs = tokenizer.encode_chat_completion(ChatCompletionRequest.from_openai(**request)).text
            except Exception as e:
                unequal.setdefault(f"mistral-common refuses: {type(e).__name__}", []).append(f"{path.name} {name}")
                continue
            ours = masks.ask(messages, [t for t in request.get("tools", [])] or None, eos="turn")
            text = ours.get("text", ours.get("error"))
            theirs = re.sub("((<0x[0-9A-F]{2}>)+)", lambda x: bytes.fromhex("".join(re.findall("0x(..)", x[1]))).decode(), theirs.replace("▁", " "))
            if "the chat template leaves out" in text and "sunny" in json.dumps(messages) and "sunny" not in theirs:
                unequal.setdefault("mistral-common leaves out an earlier call, lorac refuses to train it", []).append(f"{path.name} {name}")
                continue
            if theirs != text:
                bad += 1
                i = next((i for i, (a, b) in enumerate(zip(theirs, text)) if a != b), 0)
                print(f"{path.name}: {name}: {theirs[max(0, i - 40):i + 60]!r}\n    ours {text[max(0, i - 40):i + 60]!r}")
                continue
            same += 1
            data_bytes = text.encode()
            for x, (b, e) in zip([x for x in messages if x["role"] == "assistant"], ours["trained"]):
                piece = data_bytes[b:e].decode()
                good = piece.endswith("</s>") and piece.count("[TOOL_CALLS]") == len(x.get("tool_calls", [])) and (x["content"] in piece or x.get("tool_calls")) and "INST]" not in piece
                if not good:
                    bad += 1
                    print(f"{path.name}: {name}: trained {piece!r}")
    for what, where in unequal.items():
        print(f"{what}: {', '.join(where)}")
    print(f"{same} conversations with mistral-common {mistral_common.__version__}, {bad} differences")
    return 1 if bad or not same else 0


if __name__ == "__main__":
    sys.exit(main())
