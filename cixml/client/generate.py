"""Makes `synchronous*.py` from `asynchronous*.py`. Run `python cixml/client/generate.py` after each change there."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
PAIRS = {FOLDER / f"asynchronous{part}.py": FOLDER / f"synchronous{part}.py" for part in ("", "_corpora", "_indexes")}
_DOCSTRING = '"""The client that blocks. Made from `asynchronous*` by generate.py: change those."""'
_RULES = (
    (r'^""".*?"""', _DOCSTRING),
    (r"import asyncio\n", ""),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\basynchronous", "synchronous"),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\ba(close|read|iter_lines)\b", r"\1"),
)


def synchronous(source: Path) -> str:
    """Return the text of a module, but for its form: `ruff format` gives that."""
    text = source.read_text(encoding="utf-8")
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text)
    return text


if __name__ == "__main__":
    for source, made in PAIRS.items():
        made.write_text(synchronous(source), encoding="utf-8")
