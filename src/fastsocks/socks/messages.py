"""SOCKS5 messages: their numbers, how they are read and how they are built.

The readers exist twice (``_messages``, ``_messages_py``). The builders join a few bytes, for
which Cython gains nothing, so there is one of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastsocks.implementation import IMPLEMENTATION

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._messages_py import (
        read_choice,
        read_credentials,
        read_greeting,
        read_reply,
        read_request,
        read_status,
    )
else:
    from ._messages import (
        read_choice,
        read_credentials,
        read_greeting,
        read_reply,
        read_request,
        read_status,
    )

if TYPE_CHECKING:
    from fastsocks.address import Address

__all__ = [
    "GSSAPI",
    "NO_ACCEPTABLE_METHODS",
    "NO_AUTHENTICATION",
    "SUCCEEDED",
    "USERNAME_PASSWORD",
    "build_choice",
    "build_credentials",
    "build_greeting",
    "build_reply",
    "build_request",
    "build_status",
    "read_choice",
    "read_credentials",
    "read_greeting",
    "read_reply",
    "read_request",
    "read_status",
]

#: METHOD (RFC 1928 section 3).
NO_AUTHENTICATION: Final = 0x00
GSSAPI: Final = 0x01
USERNAME_PASSWORD: Final = 0x02
NO_ACCEPTABLE_METHODS: Final = 0xFF

#: REP (RFC 1928 section 6); the others are in :mod:`fastsocks.errors`.
SUCCEEDED: Final = 0x00

_NO_ADDRESS = b"\x01" + bytes(6)


def build_greeting(methods: bytes) -> bytes:
    """Build VER NMETHODS METHODS, 3..257 bytes (RFC 1928 section 3).

    :param methods: 1..255 methods, one byte each.
    """
    return bytes((0x05, len(methods))) + methods


def build_choice(method: int) -> bytes:
    """Build VER METHOD, 2 bytes (RFC 1928 section 3).

    :param method: the chosen method, or 0xFF for none.
    """
    return bytes((0x05, method))


def build_credentials(username: bytes, password: bytes) -> bytes:
    """Build VER ULEN UNAME PLEN PASSWD, 3..513 bytes (RFC 1929 section 2).

    :param username: at most 255 bytes.
    :param password: at most 255 bytes.
    """
    return b"\x01%c%b%c%b" % (len(username), username, len(password), password)


def build_status(status: int) -> bytes:
    """Build VER STATUS, 2 bytes (RFC 1929 section 2).

    :param status: 0 for success, 1..255 for failure.
    """
    return bytes((0x01, status))


def build_request(command: int, address: Address) -> bytes:
    """Build VER CMD RSV ATYP DST.ADDR DST.PORT, 10..262 bytes (RFC 1928 section 4).

    :param command: CMD, 0..255.
    :param address: the target.
    """
    return b"\x05%c\x00" % command + address.wire


def build_reply(reply: int, bound: Address | None = None) -> bytes:
    """Build VER REP RSV ATYP BND.ADDR BND.PORT, 10..262 bytes (RFC 1928 section 6).

    :param reply: REP, 0..255.
    :param bound: the address to report, or None for 0.0.0.0:0, which makes 10 bytes.
    """
    return b"\x05%c\x00" % reply + (_NO_ADDRESS if bound is None else bound.wire)
