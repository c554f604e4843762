"""The messages of GSSAPI for SOCKS5: their numbers, how they are read and built (RFC 1961).

Every one is VER MTYP LEN TOKEN, 4..65539 bytes, but for the two bytes of a refusal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastsocks.errors import ContextError, ProtocolError, VersionError

if TYPE_CHECKING:
    from fastsocks.buffer import Buffer

#: MTYP (RFC 1961 sections 3.2, 4.2 and 5).
CONTEXT: Final = 0x01
PROTECTION: Final = 0x02
ENCAPSULATED: Final = 0x03

#: What a server sends before it closes: VER and MTYP alone (RFC 1961 section 3.7).
REFUSAL: Final = b"\x01\xff"

#: LEN is two bytes.
LONGEST_TOKEN: Final = 0xFFFF

_VERSION = 0x01
_REFUSED = 0xFF


def read_message(data: Buffer, kind: int, start: int = 0) -> tuple[bytes, int] | None:
    """Read VER MTYP LEN TOKEN.

    :param kind: the MTYP that is due.
    :return: the token, 0..65535 bytes, and the offset behind it; None while it is incomplete.
    :raises VersionError: VER is not 1; at the first byte.
    :raises ContextError: the other side refuses the context.
    :raises ProtocolError: another MTYP; at the second byte.
    """
    size = len(data) - start
    if size >= 1 and data[start] != _VERSION:
        raise VersionError(f"version {data[start]:#04x} instead of {_VERSION:#04x}")
    if size >= 2 and data[start + 1] != kind:
        if data[start + 1] == _REFUSED:
            raise ContextError("the other side refuses the GSSAPI context")
        raise ProtocolError(f"GSSAPI message {data[start + 1]:#04x} instead of {kind:#04x}")
    if size < 4:
        return None
    end = start + 4 + (data[start + 2] << 8 | data[start + 3])
    if end > len(data):
        return None
    return bytes(data[start + 4 : end]), end


def build_message(kind: int, token: bytes) -> bytes:
    """Build VER MTYP LEN TOKEN, 4..65539 bytes.

    :param kind: MTYP.
    :param token: at most 65535 bytes.
    :raises ProtocolError: it is longer.
    """
    size = len(token)
    if size > LONGEST_TOKEN:
        raise ProtocolError(f"a GSSAPI token of {size} bytes; a message has room for 65535")
    return b"\x01%c%c%c" % (kind, size >> 8, size & 0xFF) + token
