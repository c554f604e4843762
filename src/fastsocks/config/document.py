"""Configuration files as they are written: JSON, JSON5 or TOML."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fastsocks.errors import ConfigError

#: Largest file in bytes; what shadowsocks-libev takes, and far more than anybody writes.
LARGEST = 128 * 1024

_JSON_ENDINGS = (".json", ".json5", ".jsonc", ".conf")
_JSON5_PLACE = re.compile(r":(\d+) .* at column (\d+)", re.DOTALL)
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
    :raises ConfigError: it cannot be read, is larger than 128 KiB or is malformed; names the line
        and the column, and repeats nothing of the content.
    """
    if "://" in os.fspath(path):
        # Not repeated: it may have a secret.
        raise ConfigError("-c: this is a URL, not a file; write an ss:// URL without -c")
    path = Path(path)
    name = str(path)
    try:
        with path.open("rb") as file:
            # One more than allowed tells; a size beforehand is not known of a pipe.
            data = file.read(LARGEST + 1)
            mode = os.fstat(file.fileno()).st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "this is not a path"
        raise ConfigError(f"{name}: {reason}") from None
    if len(data) > LARGEST:
        raise ConfigError(f"{name}: it is larger than {LARGEST} bytes, the most that is read")
    return Document(
        name=name,
        folder=path.parent,
        content=parse(data, name),
        open_to_others=os.name == "posix" and bool(mode & _READABLE_BY_OTHERS),
    )


def parse(data: bytes, name: str) -> dict[str, object]:
    """Take the content of a file apart.

    :param name: of the file, for messages and for its ending.
    :raises ConfigError: it is malformed.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}: line {line}: it is not UTF-8") from None
    try:
        content = _parse_toml(text, name) if _is_toml(text, name) else _parse_json(text, name)
    except RecursionError:
        raise ConfigError(f"{name}: it is nested too deeply") from None
    if not isinstance(content, dict):
        raise ConfigError(f'{name}: it has to be an object, {{"server": ...}}')
    return content


def _is_toml(text: str, name: str) -> bool:
    ending = Path(name).suffix.lower()
    if ending == ".toml":
        return True
    start = text.lstrip()[:2]
    return ending not in _JSON_ENDINGS and bool(start) and start[0] != "{" and start[0] != "/"


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


class _DuplicateKeyError(Exception):
    pass


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    pairs = list(pairs)
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateKeyError(next(name for name in names if names.count(name) > 1))
    return content


def _parse_json(text: str, name: str) -> object:
    try:
        try:
            return json.loads(text, object_pairs_hook=_unique)
        except ValueError as error:
            return _parse_json5(text, name, error)
    except _DuplicateKeyError as error:
        key = str(error)
        shown = repr(key) if len(key) <= 40 else "a key"
        raise ConfigError(f"{name}: {shown} is there twice in one object") from None


def _parse_json5(text: str, name: str, json_error: ValueError) -> object:
    # Only here, because nearly all files are plain JSON, which the other reader has at once.
    import json5

    try:
        return json5.loads(text, object_pairs_hook=_unique)
    except ValueError as error:
        found = _JSON5_PLACE.search(str(error))
    place, reason = "", ""
    if isinstance(json_error, json.JSONDecodeError):
        place = f"line {json_error.lineno}, column {json_error.colno}: "
        reason = f" ({json_error.msg})"
    if found:
        # What is wrong as JSON5 too; as JSON, a comment further up may have been.
        json5_place = f"line {found[1]}, column {found[2]}: "
        reason = reason if place == json5_place else ""
        place = json5_place
    raise ConfigError(f"{name}: {place}this is neither JSON nor JSON5{reason}")
