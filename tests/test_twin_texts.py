"""Both twins of a module say the same where something is wrong with what a peer sent."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import fastsocks.errors

SOURCES = Path(__file__).parent.parent / "src" / "fastsocks"

#: Those that a log or a program may see: of peers and networks, rather than of callers.
ERRORS = {
    name
    for name, kind in vars(fastsocks.errors).items()
    if isinstance(kind, type) and issubclass(kind, fastsocks.errors.FastsocksError)
}

#: Guards of memory, which Python needs none for, and which nothing that a peer sends gets to.
GUARDS = {"an incomplete record that is too long"}

_RAISED = re.compile(r'(\w+)\(\s*((?:f?"(?:[^"\\]|\\.)*"\s*)+)[,)]')
_PIECE = re.compile(r'(f?)"((?:[^"\\]|\\.)*)"')


def texts_of_cython(source: str) -> Iterator[tuple[str, str]]:
    """Yield errors that are made with a text, and the text with {} for what is put in."""
    for found in _RAISED.finditer(source):
        if found[1] in ERRORS:
            pieces = [
                re.sub(r"\{[^}]*\}", "{}", text) if formatted else text
                for formatted, text in _PIECE.findall(found[2])
            ]
            yield found[1], "".join(pieces)


def texts_of_python(source: str) -> Iterator[str]:
    """Yield whatever text there is in Python, likewise."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(piece.value) if isinstance(piece, ast.Constant) else "{}"
                for piece in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_what_cython_says_python_says() -> None:
    spoken = {
        text for path in SOURCES.rglob("*.py") for text in texts_of_python(path.read_text("utf-8"))
    }
    found = [
        (path.name, kind, text)
        for suffix in ("*.pyx", "*.pxi", "*.pxd")
        for path in SOURCES.rglob(suffix)
        for kind, text in texts_of_cython(path.read_text("utf-8"))
    ]
    assert len(found) > 20
    assert [one for one in found if one[2] not in spoken | GUARDS] == []
