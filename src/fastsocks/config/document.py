"""Configuration files as they are written: JSON, JSON5 or TOML."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from fastsocks.errors import ConfigError

from .json_text import parse_json
from .other_formats import refuse_content, refuse_text
from .text import as_utf8, read_text_file

#: Largest file in bytes: one of 200 000 users.
LARGEST = 16 * 1024 * 1024

_JSON_ENDINGS = (".json", ".json5", ".jsonc", ".conf")
#: An object, a list of objects or a comment; ``[table]`` is TOML.
_JSON_START = re.compile(r"\s*(?:\{|\[\s*\{|/)")
_READABLE_BY_OTHERS = 0o004


@dataclass(frozen=True)
class Document:
    """A file that was read and taken apart, but not understood."""

    #: As messages name it.
    name: str
    #: What relative paths in it start from.
    folder: Path
    content: dict[str, object] = field(repr=False)
    #: Whether every user of this machine can read it.
    open_to_others: bool


def read_document(path: str | os.PathLike[str]) -> Document:
    """Read a file.

    :param path: its ending tells TOML; any other ending, or none, leaves that to the content.
    :raises ConfigError: it cannot be read, is larger than 16 MiB, is malformed or of another
        program; names the line and the column, and repeats nothing of the content.
    """
    if "://" in os.fspath(path):
        # Not repeated: it may have a secret.
        raise ConfigError("-c: this is a URL, not a file; write an ss:// URL without -c")
    path = Path(path)
    name = str(path)
    try:
        data = read_text_file(path, LARGEST)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
    return Document(
        name=name,
        folder=path.parent,
        content=parse(data, name),
        open_to_others=_is_open_to_others(path),
    )


def _is_open_to_others(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:  # it has just been removed
        return False
    return os.name == "posix" and bool(mode & _READABLE_BY_OTHERS)


def parse(data: bytes, name: str) -> dict[str, object]:
    """Take the content of a file apart.

    :param name: of the file, for messages and for its ending.
    :return: a list of servers as the object that it stands for, ``{"version": 1, "servers": ...}``
        (SIP008).
    :raises ConfigError: it is malformed, or of another program.
    """
    try:
        data = as_utf8(data)
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}: line {line}: it is not UTF-8") from None
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
    try:
        content = _parse_toml(text, name) if _is_toml(text, name) else parse_json(text, name)
    except RecursionError:
        raise ConfigError(f"{name}: it is nested too deeply") from None
    except ConfigError:
        refuse_text(text, name)
        raise
    if isinstance(content, list) and content and all(isinstance(item, dict) for item in content):
        content = {"version": 1, "servers": content}
    if not isinstance(content, dict):
        refuse_text(text, name)
        raise ConfigError(f'{name}: it has to be an object, {{"server": ...}}')
    refuse_content(content, name)
    return content


def _is_toml(text: str, name: str) -> bool:
    ending = Path(name).suffix.lower()
    if ending == ".toml":
        return True
    return ending not in _JSON_ENDINGS and bool(text.strip()) and not _JSON_START.match(text)


def _parse_toml(text: str, name: str) -> object:
    import tomllib

    try:
        return tomllib.loads(text)
    except ValueError as error:
        # The message itself can repeat a piece of the content.
        found = re.search(r"\(at (line \d+, column \d+|end of document)\)", str(error))
        place = found[1] if found else "somewhere"
        reason = " (a key is there twice)" if "overwrite" in str(error) else ""
        raise ConfigError(f"{name}: {place}: this is not TOML{reason}") from None
