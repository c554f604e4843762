"""Exchanges explained, which never fails: what is wrong is part of the explanation."""

from __future__ import annotations

from functools import cache

from fastsocks.explain.capture import read_capture, stream_of
from fastsocks.explain.exchange import explain_datagram, explain_stream
from fastsocks.explain.table import format_table
from fastsocks.shadowsocks.keys import ClientKey, client_key
from shadowsocks_ends import NAMES, NOW, password

from ..oracle import Input, outcome


def stream(data: bytes) -> None:
    """Both directions of a connection."""
    chosen = Input(data)
    key = _key(chosen.byte())
    sent = chosen.take(chosen.number())
    for explanation in explain_stream(sent, chosen.rest(), key, NOW):
        format_table(explanation)


def datagram(data: bytes) -> None:
    """A datagram of either side."""
    chosen = Input(data)
    key, from_server = _key(chosen.byte()), bool(chosen.byte() & 1)
    format_table(explain_datagram(chosen.rest(), key, NOW, from_server=from_server))


def capture(data: bytes) -> None:
    """A file of captured packets."""
    found = outcome(read_capture, data)
    if isinstance(found, tuple):
        for connection in found[0]:
            explain_stream(stream_of(connection.up), stream_of(connection.down), None, NOW)


@cache
def _key(which: int) -> ClientKey | None:
    which %= len(NAMES) + 1
    return client_key(NAMES[which - 1], password(NAMES[which - 1])) if which else None
