"""Jinja2 as transformers sets it up: render(template, variables, now) -> ("ok", text, generation) or (kind, error text).

The set-up itself is transformers' own (_compile_jinja_template); only the clock is replaced. Kinds: parse, raised (by
raise_exception), runtime, limit (Python's own bounds, whose texts differ)."""
import datetime
import json
import os
import subprocess
import sys
import warnings

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
warnings.filterwarnings("ignore")
import jinja2  # noqa: E402
import transformers  # noqa: E402
import transformers.utils.chat_template_utils as ctu  # noqa: E402


class Clock(datetime.datetime):
    moment = 0

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(cls.moment, datetime.timezone.utc).replace(tzinfo=None)


ctu.datetime = Clock


def render(template, variables, now=0):
    Clock.moment = now
    try:
        compiled = ctu._compile_jinja_template(template)
    except jinja2.TemplateSyntaxError as e:
        return "parse", f"template:{e.lineno}: {e.message}"
    except (RecursionError, SyntaxError, MemoryError) as e:
        return "limit", str(e)
    blocks, generation = [], []
    try:
        with compiled.environment.activate_tracker(blocks, generation):
            for block in compiled.generate(**variables):
                blocks.append(block)
        text = "".join(blocks)
        text.encode()
        return "ok", text, generation
    except (RecursionError, MemoryError, UnicodeEncodeError) as e:
        return "limit", str(e)
    except Exception as e:
        raised = type(e) is jinja2.TemplateError
        return "raised" if raised else "runtime", str(e)


class Ours:
    """The program of jinja_lines.c, one request at a time."""

    def __init__(self, path):
        self.p = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def render(self, template, variables, now=0):
        line = json.dumps({"template": template, "variables": variables, "now": now}, ensure_ascii=False)
        self.p.stdin.write(line.encode() + b"\n")
        self.p.stdin.flush()
        answer = self.p.stdout.readline()
        if not answer:
            sys.exit(f"the renderer ended at {line[:2000]}")
        return json.loads(answer)


def versions():
    return {"jinja2": jinja2.__version__, "transformers": transformers.__version__, "python": sys.version.split()[0]}
