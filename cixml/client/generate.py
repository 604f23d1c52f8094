"""Makes `synchronous.py` from `asynchronous.py`: `python cixml/client/generate.py`. Run it after each change there."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "asynchronous.py"
MADE = FOLDER / "synchronous.py"
_DOCSTRING = (
    '"""The client that blocks. Made from `asynchronous` by `python cixml/client/generate.py`: change that one."""'
)
_RULES = (
    (r'^""".*?"""', _DOCSTRING),
    (r"import asyncio\n", ""),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\ba(close|read|iter_lines)\b", r"\1"),
)


def synchronous() -> str:
    """Return the module's text, but for its form: `ruff format` gives that."""
    text = SOURCE.read_text(encoding="utf-8")
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text)
    return text


if __name__ == "__main__":
    MADE.write_text(synchronous(), encoding="utf-8")
