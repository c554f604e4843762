"""HTTP proxying, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .walk import Walk

#: Most bytes of a head that are looked at.
_LONGEST_HEAD = 64 * 1024
_SECRET = (b"proxy-authorization", b"authorization", b"cookie", b"set-cookie")


def read_request(walk: Walk) -> None:
    """Go through what an HTTP client sends."""
    _read(walk, response=False)


def read_response(walk: Walk) -> None:
    """Go through what an HTTP proxy sends."""
    _read(walk, response=True)


def _read(walk: Walk, *, response: bool) -> None:
    # Imported where it is used: not everybody explains HTTP.
    from fastsocks.socks.http.head import HeadReader

    end = walk.data.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
    # With one byte more it is too long for the reader.
    head = walk.data[: _LONGEST_HEAD + 1 if end < 0 else end + 4]
    source = "RFC 9112 4" if response else "RFC 9112 3"
    name = "status line" if response else "request line"
    key = b""
    for line in head.splitlines(keepends=True):
        if not line.startswith((b" ", b"\t")):
            # Otherwise it goes on with the field before (obs-fold, RFC 9112 section 5.2).
            key = line.partition(b":")[0].strip().lower()
        text = line.strip().decode("utf-8", "backslashreplace")
        if key in _SECRET:
            walk.take(len(line), name, key.decode(), source, secret=True)
        else:
            walk.take(len(line), name, text or "end of the head", source)
        name, source = "field", "RFC 9112 5"
    if HeadReader(_LONGEST_HEAD, response=response).read(head) is None:
        walk.take(1, "head", "", "RFC 9112 2")
    walk.take_rest("data", "body, or bytes of a tunnel")
