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

    end = walk.data.find(b"\r\n\r\n")
    head = walk.data if end < 0 else walk.data[: end + 4]
    source = "RFC 9112 4" if response else "RFC 9112 3"
    name = "status line" if response else "request line"
    for line in head.splitlines(keepends=True):
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
