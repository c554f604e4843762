"""The documents, and the blocks of code in them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent

#: Those whose blocks are run.
RUN = [
    "README.md",
    *sorted(
        str(path.relative_to(ROOT))
        for folder in ("tutorial", "how-to", "reference")
        for path in (ROOT / "docs" / folder).glob("*.md")
    ),
]

_BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>.+?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>[\w{}-]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block."""

    language: str
    text: str
    #: Why it is not run; empty if it is.
    reason: str


def blocks(document: str) -> list[Block]:
    """Return the blocks of a document."""
    text = (ROOT / document).read_text("utf-8")
    found = [
        Block(match["language"], textwrap.dedent(match["text"]), match["reason"] or "")
        for match in _BLOCK.finditer(text)
    ]
    assert len(found) * 2 == len(re.findall(r"^ *(?:```|~~~)", text, re.MULTILINE)), document
    return found
