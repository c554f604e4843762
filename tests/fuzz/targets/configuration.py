"""What users write: URLs, rules and configuration files."""

from __future__ import annotations

from pathlib import Path

from fastsocks.config.document import Document, parse
from fastsocks.config.file import _Reader
from fastsocks.config.keys import Side
from fastsocks.config.rules import read_rule
from fastsocks.config.url import ServerURL
from fastsocks.errors import ConfigError

from ..oracle import agree, outcome

_ENDINGS = ("file.json", "file.toml", "file")


def url(data: bytes) -> None:
    """An ss:// URL; what can be read, can be written, and reads the same again."""
    found = outcome(ServerURL.parse, "ss://" + data.decode("utf-8", "surrogateescape"))
    if isinstance(found, ServerURL):
        agree([("parsed", found), ("formatted", outcome(ServerURL.parse, found.format()))])


def rule(data: bytes) -> None:
    """A line of rules."""
    outcome(read_rule, data.decode("utf-8", "replace"))


def document(data: bytes) -> None:
    """A configuration file, for either side."""
    if len(data) > 4096:
        return
    name = _ENDINGS[data[0] % len(_ENDINGS)] if data else "file"
    try:
        content = parse(data[1:], name)
    except ConfigError:
        return
    for side in Side:
        made = Document(name, Path("/nowhere"), content, open_to_others=False)
        outcome(_Reader(made, side, {"SECRET": "text"}).read)
