"""Texts that people edit, and secrets: one reader for each, wherever they stand.

Editors put a byte order mark in front, and shells and other systems a line end behind (LF, or CRLF
of Windows). None of them is part of what was meant.
"""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path

from fastsocks.errors import ConfigError

_MARK = "\ufeff"
_LINE_END = re.compile("\r\n|\n|\r")


def read_text_file(path: str | os.PathLike[str], largest: int) -> bytes:
    """Read a file of text.

    :param largest: most bytes of it.
    :return: UTF-8 without a byte order mark, unless its bytes are no text at all. What begins with
        a mark of UTF-16, as PowerShell writes it, becomes UTF-8.
    :raises ConfigError: it cannot be read or is too large; the text says why, and not the name.
    """
    try:
        with Path(path).open("rb") as file:
            # One more than allowed tells; a size beforehand is not known of a pipe.
            data = file.read(largest + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(getattr(error, "strerror", None) or "this is not a path") from None
    if len(data) > largest:
        raise ConfigError(f"it is larger than {shown_size(largest)}, the most that is read")
    return as_utf8(data)


def as_utf8(data: bytes) -> bytes:
    """Return text as UTF-8 without a byte order mark.

    :raises ConfigError: it has the mark of UTF-16, but is none.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeError:
            raise ConfigError("it begins as UTF-16 does, but is none; save it as UTF-8") from None
    while data.startswith(codecs.BOM_UTF8):
        data = data.removeprefix(codecs.BOM_UTF8)
    return data


def without_line_ends(text: str) -> str:
    """Return a text or a secret without the line ends and byte order marks around it."""
    return text.strip(f"{_MARK}\r\n")


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, without their ends; other characters that part lines do not."""
    return _LINE_END.split(text)


def has_strange_edge(secret: str) -> bool:
    """Tell whether a secret begins or ends with what nobody sees: a blank, or less than that."""
    return any(char.isspace() or not char.isprintable() for char in (secret[:1], secret[-1:]))


def shown_size(size: int) -> str:
    """Return a size in bytes as people write it."""
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size} bytes"
