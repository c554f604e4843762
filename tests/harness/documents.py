"""The documents, and the blocks of code in them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent

#: The documents of 0.1.0, as they were: what they say goes on working.
OF_0_1_0 = ROOT / "tests" / "documents_of_0_1_0"


def _pages(root: Path) -> list[str]:
    folders = (root / "docs" / folder for folder in ("tutorial", "how-to", "reference"))
    pages = [root / "README.md", *(page for folder in folders for page in folder.glob("*.md"))]
    return sorted(str(page.relative_to(root)) for page in pages)


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


def _says_the_same(page: str) -> bool:
    """Tell whether a page of 0.1.0 tells readers to run what today's does."""
    return (ROOT / page).exists() and blocks(page) == blocks(str(OF_0_1_0 / page))


#: Those whose blocks are run.
RUN = [
    *_pages(ROOT),
    *(
        str(OF_0_1_0.relative_to(ROOT) / page)
        for page in _pages(OF_0_1_0)
        if not _says_the_same(page)
    ),
]
