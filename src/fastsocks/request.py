"""Who a client is, and what an Inbound yields once it knows what that one wants."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from .address import Address

#: A socket address as :meth:`socket.socket.getpeername` returns it.
Peer: TypeAlias = tuple[Any, ...]

CONNECT = 0x01
BIND = 0x02
UDP_ASSOCIATE = 0x03

#: What clients of ``local`` and ``proxy`` may speak.
SOCKS5 = "socks5"
#: With 4a.
SOCKS4 = "socks4"
HTTP = "http"
PROTOCOLS = (SOCKS5, SOCKS4, HTTP)

#: Longest head of an HTTP request in bytes, unless another is asked for: what browsers and the
#: servers of large sites make of their cookies.
LONGEST_REQUEST_HEAD = 64 * 1024


class Request(NamedTuple):
    """A client's wish to reach a target."""

    address: Address
    #: Payload that came together with the request; goes to the target first.
    early_data: bytes = b""
    #: The authenticated user, or None where there are no users.
    user: str | None = None
    #: RFC 1928 CMD.
    command: int = CONNECT
    #: Whether the client can be told IPv4 addresses only, as that of a BIND of SOCKS4.
    short_reply: bool = False
    #: How many bytes of `early_data` are a header of ours, and no payload of the client's.
    header_size: int = 0
