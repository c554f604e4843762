"""JSON, with what JSON5 allows besides, as configuration files have it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from fastsocks.errors import ConfigError

#: Most bytes that are read as all of JSON5. Its reader takes seconds for a megabyte; comments and
#: commas at the end, which is all that large files have of it, are taken out here.
_LARGEST_JSON5 = 128 * 1024

_STRING = r""""(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?"""
_COMMENT = re.compile(rf"{_STRING}|(//[^\n]*|/\*.*?(?:\*/|\Z))", re.DOTALL)
_COMMA_AT_END = re.compile(rf"{_STRING}|(,)(?=\s*[\]}}])", re.DOTALL)
_JSON5_PLACE = re.compile(r":(\d+) .* at column (\d+)", re.DOTALL)


class _DuplicateKeyError(Exception):
    pass


def parse_json(text: str, name: str) -> object:
    """Take a text apart.

    :param name: of its file, for messages.
    :raises ConfigError: it is malformed, or has a key twice in one object; names the place.
    :raises RecursionError: it is nested too deeply.
    """
    try:
        return _parse(text, name)
    except _DuplicateKeyError as error:
        key = str(error)
        shown = repr(key) if len(key) <= 40 else "a key"
        raise ConfigError(f"{name}: {shown} is there twice in one object") from None


def _parse(text: str, name: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except ValueError:
        plain = _COMMA_AT_END.sub(_blanks, _COMMENT.sub(_blanks, text))
    try:
        return json.loads(plain, object_pairs_hook=_unique)
    except ValueError as error:
        return _parse_json5(text, name, error)


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    pairs = list(pairs)
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateKeyError(next(name for name in names if names.count(name) > 1))
    return content


def _blanks(found: re.Match[str]) -> str:
    """Put blanks in the place of a comment or a comma, so that what follows stays where it is."""
    return found[0] if found[1] is None else re.sub(r"[^\n]", " ", found[1])


def _parse_json5(text: str, name: str, json_error: ValueError) -> object:
    place, reason, found = "", "", None
    if isinstance(json_error, json.JSONDecodeError):
        place = f"line {json_error.lineno}, column {json_error.colno}: "
        reason = f" ({json_error.msg})"
    if len(text) > _LARGEST_JSON5:
        raise ConfigError(
            f"{name}: {place}this is not JSON{reason}; of JSON5 a file of more than "
            f"{_LARGEST_JSON5 >> 10} KiB has comments and commas at the end, no more"
        )
    # Only here, because nearly all files are JSON, which the other reader has at once.
    import json5

    try:
        return json5.loads(text, object_pairs_hook=_unique)
    except ValueError as error:
        found = _JSON5_PLACE.search(str(error))
    if found:
        # What is wrong as JSON5 too; as JSON, something further up may have been.
        json5_place = f"line {found[1]}, column {found[2]}: "
        reason = reason if place == json5_place else ""
        place = json5_place
    raise ConfigError(f"{name}: {place}this is neither JSON nor JSON5{reason}")
