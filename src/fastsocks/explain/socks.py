"""SOCKS5, SOCKS4 and SOCKS4a, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsocks.address import read_address
from fastsocks.errors import AddressError, ProtocolError, TruncatedError, VersionError
from fastsocks.socks import messages, socks4

if TYPE_CHECKING:
    from .walk import Walk

_METHODS = {0: "no authentication", 1: "GSSAPI", 2: "user name and password", 0xFF: "none of them"}
_COMMANDS = {1: "CONNECT", 2: "BIND", 3: "UDP ASSOCIATE", 0xF0: "RESOLVE (Tor)"}
_ADDRESS_TYPES = {1: "IPv4", 3: "name", 4: "IPv6"}
_REPLIES = (
    "succeeded",
    "general failure",
    "not allowed by the rules",
    "network unreachable",
    "host unreachable",
    "connection refused",
    "TTL expired",
    "command not supported",
    "address type not supported",
)
_REPLIES_4 = {
    0x5A: "granted",
    0x5B: "rejected or failed",
    0x5C: "no identd at the client",
    0x5D: "identd names another user",
}


def take_address(walk: Walk, source: str) -> None:
    """Take ATYP ADDR PORT.

    :raises AddressError: it is none.
    """
    start = walk.position
    (kind,) = walk.take(1, "ATYP", lambda data: _ADDRESS_TYPES.get(data[0], "unknown"), source)
    if kind == 3:
        (size,) = walk.take(1, "name length", lambda data: f"{data[0]} bytes", source)
    elif kind in _ADDRESS_TYPES:
        size = 4 if kind == 1 else 16
    else:
        raise AddressError(f"unknown address type {kind:#04x}")
    end = walk.position + size + 2
    found = read_address(walk.data[start:end])
    host = None if found is None else found[0].host
    walk.take(size, "ADDR", host or "none", source)
    walk.number(2, "PORT", str, source)


def read_client(walk: Walk) -> None:
    """Go through what a SOCKS5 client sends."""
    if walk.peek() != b"\x05":
        raise VersionError("version 5 belongs here")
    if not _is_request(walk.data):
        _take_version(walk, 5, "RFC 1928 3")
        count = walk.number(1, "NMETHODS", lambda count: f"{count} methods", "RFC 1928 3")
        if not count:
            raise ProtocolError("a greeting without methods")
        walk.take(count, "METHODS", _methods, "RFC 1928 3")
        if walk.peek() == b"\x01":
            _take_credentials(walk)
    if walk.left:
        _take_version(walk, 5, "RFC 1928 4")
        walk.take(1, "CMD", lambda data: _COMMANDS.get(data[0], "unknown"), "RFC 1928 4")
        walk.take(1, "RSV", _reserved, "RFC 1928 4")
        take_address(walk, "RFC 1928 5")
        walk.take_rest("data", "for the target")


def read_server(walk: Walk) -> None:
    """Go through what a SOCKS5 server sends."""
    reply = len(walk.data) >= 10 and walk.data[2] == 0 and walk.data[3] in _ADDRESS_TYPES
    if not reply:
        _take_version(walk, 5, "RFC 1928 3")
        (method,) = walk.take(1, "METHOD", _methods, "RFC 1928 3")
        if method == messages.NO_ACCEPTABLE_METHODS:
            raise ProtocolError("the server accepts none of the client's methods")
        if method == 1:
            walk.take_rest("tokens", "of GSSAPI", "RFC 1961 3")
            return
        if method == messages.USERNAME_PASSWORD and walk.left:
            _take_version(walk, 1, "RFC 1929 2")
            (status,) = walk.take(
                1, "STATUS", lambda data: "refused" if data[0] else "success", "RFC 1929 2"
            )
            if status:
                raise ProtocolError("user name or password is wrong")
    if walk.left:
        _take_reply(walk)
    if _is_reply(walk.peek(10)):
        # The second reply to a BIND.
        _take_reply(walk)
    walk.take_rest("data", "from the target")


def read_client_4(walk: Walk) -> None:
    """Go through what a SOCKS4 client sends."""
    _take_version(walk, 4, "SOCKS4")
    walk.take(1, "CD", lambda data: _COMMANDS.get(data[0], "unknown"), "SOCKS4")
    walk.number(2, "DSTPORT", str, "SOCKS4")
    named = walk.peek(4)[:3] == bytes(3) and walk.peek(4)[3:] not in (b"", b"\0")
    walk.take(
        4, "DSTIP", lambda ip: "a name follows" if named else ".".join(map(str, ip)), "SOCKS4"
    )
    _take_text(walk, "USERID", "SOCKS4")
    if named:
        _take_text(walk, "name", "SOCKS4A")
    found = socks4.read_request(walk.data)
    if found is not None:
        walk.take_rest("data", "for the target")


def read_server_4(walk: Walk) -> None:
    """Go through what a SOCKS4 server sends."""
    _take_version(walk, 0, "SOCKS4")
    (code,) = walk.take(1, "CD", lambda data: _REPLIES_4.get(data[0], "unknown"), "SOCKS4")
    walk.number(2, "DSTPORT", str, "SOCKS4")
    walk.take(4, "DSTIP", lambda ip: ".".join(map(str, ip)), "SOCKS4")
    if code != socks4.GRANTED:
        raise ProtocolError(f"the server refuses: {_REPLIES_4.get(code, 'unknown code')}")
    walk.take_rest("data", "from the target")


def read_packet(walk: Walk) -> None:
    """Go through a datagram between a SOCKS5 client and its server."""
    walk.take(2, "RSV", _reserved, "RFC 1928 7")
    walk.take(1, "FRAG", _fragment, "RFC 1928 7")
    take_address(walk, "RFC 1928 7")
    walk.take_rest("data", "payload", "RFC 1928 7")


def _take_version(walk: Walk, version: int, source: str) -> None:
    (found,) = walk.take(
        1, "VN" if source == "SOCKS4" else "VER", lambda data: str(data[0]), source
    )
    if found != version:
        raise VersionError(f"version {found} where {version} belongs")


def _take_credentials(walk: Walk) -> None:
    _take_version(walk, 1, "RFC 1929 2")
    size = walk.number(1, "ULEN", lambda size: f"{size} bytes", "RFC 1929 2")
    walk.take(size, "UNAME", lambda data: data.decode("utf-8", "backslashreplace"), "RFC 1929 2")
    size = walk.number(1, "PLEN", lambda size: f"{size} bytes", "RFC 1929 2")
    if walk.left < size:
        walk.take(walk.left, "PASSWD", "cut off", "RFC 1929 2", secret=True)
        raise TruncatedError("truncated: the password is cut off")
    walk.take(size, "PASSWD", "the password", "RFC 1929 2", secret=True)


def _take_reply(walk: Walk) -> None:
    _take_version(walk, 5, "RFC 1928 6")
    (code,) = walk.take(1, "REP", lambda data: _reply(data[0]), "RFC 1928 6")
    walk.take(1, "RSV", _reserved, "RFC 1928 6")
    take_address(walk, "RFC 1928 6")
    if code:
        raise ProtocolError(f"the server refuses: {_reply(code)}")


def _take_text(walk: Walk, name: str, source: str) -> None:
    end = walk.data.find(0, walk.position)
    size = walk.left + 1 if end < 0 else end - walk.position
    walk.take(size, name, lambda data: data.decode("utf-8", "backslashreplace") or "none", source)
    walk.take(1, "NUL", "end of it", source)


def _is_request(data: bytes) -> bool:
    """Tell whether this is a request alone; a greeting that looks like one has other bytes."""
    try:
        found = messages.read_request(data)
    except ProtocolError:
        return False
    return found is not None and found[2] == len(data) and data[2] == 0


def _is_reply(data: bytes) -> bool:
    return len(data) == 10 and data[0] == 5 and data[1] < len(_REPLIES) and data[2:4] == b"\0\1"


def _methods(data: bytes) -> str:
    return ", ".join(_METHODS.get(method, f"{method:#04x}") for method in data)


def _reserved(data: bytes) -> str:
    return "reserved, not 0" if any(data) else "reserved"


def _fragment(data: bytes) -> str:
    if not data[0]:
        return "not a fragment"
    return f"fragment {data[0] & 0x7F}{', the last' if data[0] & 0x80 else ''}"


def _reply(code: int) -> str:
    return _REPLIES[code] if code < len(_REPLIES) else "unknown code"
