"""PROXY headers, beside what the proxy-protocol package reads of them."""

from __future__ import annotations

import struct
from typing import Any

from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from fastsocks.address import Address
from fastsocks.proxy_protocol import ProxyHeader, build_header, read_header

from ..oracle import DifferenceError, Input, agree, outcome, pieces_of


def header(data: bytes) -> None:
    """The front of a connection; a client that is named can be named again."""
    chosen = Input(data)
    size = chosen.byte()
    wire = chosen.rest()
    found = outcome(read_header, wire)
    agree([("at once", found), ("pieces", _in_pieces(wire, size))])
    if not isinstance(found, tuple):
        return
    read, end = found
    by_another = _by_another(wire[:end])
    if by_another is not None:
        agree([("here", read), ("by another", by_another)])
    if read.source is not None:
        again = build_header(read.source, read.destination, "user")
        agree([("read", (read, len(again))), ("read again", outcome(read_header, again + wire))])


def _in_pieces(wire: bytes, size: int) -> object:
    """Return what is read first, and check that nothing was read before it was there."""
    come = b""
    for piece in pieces_of(wire, size):
        come += piece
        found = outcome(read_header, come)
        if isinstance(found, tuple) and not len(come) - len(piece) < found[1] <= len(come):
            raise DifferenceError(f"{found[1]} bytes of {len(come)}, {len(piece)} of them new")
        if found is not None:
            return found
    return None


def _by_another(wire: bytes) -> ProxyHeader | None:
    """Return what the other reader makes of a whole header; None where it cannot read it."""
    version: Any = ProxyProtocolV1() if wire[:1] == b"P" else ProxyProtocolV2()
    try:
        result: Any = version.unpack(wire)
    except (ValueError, struct.error):
        # Of TLVs that are malformed, and of an address of AF_UNIX that is not text.
        return None
    tcp = wire[:1] == b"P" or wire[13] in (0x11, 0x21)
    if not result.proxied or not tcp or not isinstance(result.source, tuple):
        return ProxyHeader(None, None)
    return ProxyHeader(*(Address.of(str(ip), port) for ip, port in (result.source, result.dest)))
