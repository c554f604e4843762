"""PROXY protocol headers, read and built without IO: who the client is, as told by a proxy.

Source: "The PROXY protocol, Versions 1 & 2" of haproxy, 2020/03/05; sections are given in brackets.
A header precedes every other byte of a TCP connection. Anybody can write one: it is to be read
from proxies that are trusted only, and expected of each of these, never guessed at [2].
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from fastsocks.address import Address
from fastsocks.errors import ProxyHeaderError

if TYPE_CHECKING:
    from socket import AddressFamily

    from fastsocks.inbound import Accepted
    from fastsocks.request import Peer, Request

#: Longest header that is read or built, in bytes. Version 2 allows 65,551; nginx reads as many as
#: we do, and a header is meant to fit into 536 [2].
LONGEST_HEADER: Final = 4096
#: Longest header of version 1, in bytes, CR LF included [2.1].
LONGEST_LINE: Final = 107

_LINE_START = b"PROXY "
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED_SIZE = 16
_LOCAL = 0x20
_PROXY = 0x21
_TCP4 = 0x11
_TCP6 = 0x21
#: Bytes that addresses and ports take, by family: UNSPEC, IPv4, IPv6, AF_UNIX [2.2].
_BLOCK_SIZES = (0, 12, 36, 216)
#: UNSPEC, STREAM and DGRAM [2.2].
_TRANSPORTS = 3
_LINE_FAMILIES = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}
#: Of those that are for applications of one's own, 0xE0..0xEF [2.2].
_USER_TYPE = b"\xe0"
_MAPPED = bytes(10) + b"\xff\xff"

#: Says that the sender connects for itself, a health check for example, and not for a client [2.2].
LOCAL_HEADER: Final = _SIGNATURE + bytes((_LOCAL, 0, 0, 0))


class ProxyHeader(NamedTuple):
    """What a header tells: both ends of the client's connection to the proxy.

    Both are None where it names no client: LOCAL, UNKNOWN, UNSPEC, and what is not TCP over IP.
    The addresses of the socket hold then [2.1, 2.2].
    """

    #: The client.
    source: Address | None
    #: What the client connected to.
    destination: Address | None


_NOBODY = ProxyHeader(None, None)


def read_header(data: bytes) -> tuple[ProxyHeader, int] | None:
    """Read a header of version 1 or 2 at the front of a connection.

    TLVs are skipped. An IPv4-mapped address is that IPv4 address.

    :param data: all that has come so far.
    :return: the header, and the offset of what follows it; None while it is incomplete, which
        it never is with :data:`LONGEST_HEADER` bytes.
    :raises ProxyHeaderError: there is none, which the first byte of something else shows; it is
        malformed, or too long.
    """
    if data.startswith(_SIGNATURE):
        return _read_binary(data)
    if data.startswith(_LINE_START):
        return _read_line(data)
    if _SIGNATURE.startswith(data) or _LINE_START.startswith(data):
        return None
    raise ProxyHeaderError(
        "the connection does not begin with a PROXY header: have the proxy in front send one "
        "(haproxy: send-proxy-v2; nginx: proxy_protocol on)"
    )


def build_header(source: Address, destination: Address, user: str | None = None) -> bytes:
    """Build a header of version 2 that names a client of TCP [2.2].

    Where one address is of IPv4 and the other of IPv6, the former is sent IPv4-mapped, as haproxy
    does it.

    :param source: the client.
    :param destination: what it asked for.
    :param user: who the client is logged in as, sent in UTF-8 as TLV 0xE0; None sends none.
    :return: 28 bytes, or 52 with IPv6; with a user 3 more than its name has.
    :raises ValueError: an address is a name.
    :raises ProxyHeaderError: the name of the user is too long.
    """
    if source.is_name or destination.is_name:
        raise ValueError("a PROXY header names IP addresses: resolve the host name first")
    # What is between ATYP and the port.
    ips = [source.wire[1:-2], destination.wire[1:-2]]
    family = _TCP4
    if len(ips[0]) + len(ips[1]) > 8:
        family = _TCP6
        ips = [ip if len(ip) == 16 else _MAPPED + ip for ip in ips]
    block = b"".join((*ips, source.wire[-2:], destination.wire[-2:]))
    if user is not None:
        name = user.encode("utf-8", "surrogateescape")
        if _FIXED_SIZE + len(block) + 3 + len(name) > LONGEST_HEADER:
            raise ProxyHeaderError(
                f"a user name of {len(name)} bytes does not fit into a PROXY header of "
                f"{LONGEST_HEADER}: give this user a shorter one"
            )
        block += _USER_TYPE + len(name).to_bytes(2, "big") + name
    return _SIGNATURE + bytes((_PROXY, family)) + len(block).to_bytes(2, "big") + block


def header_for(request: Request, accepted: Accepted) -> bytes:
    """Build the header of a connection that is made for a client.

    It names the client, its user, and what it asked for; where that is a name, which somebody else
    resolves, the address that the client came to.

    :raises ProxyHeaderError: the name of the user is too long.
    :raises OSError: the client's connection is over.
    """
    destination = request.address
    if destination.is_name:
        destination = _address_of_peer(accepted.local())
    return build_header(_address_of_peer(accepted.peer), destination, request.user)


def _address_of_peer(peer: Peer) -> Address:
    # A scope is of this host alone.
    return Address.of(peer[0].partition("%")[0], peer[1])


def _read_line(data: bytes) -> tuple[ProxyHeader, int] | None:
    """Read a header of version 1 [2.1]."""
    end = data.find(b"\n", 0, LONGEST_LINE) + 1
    if not end:
        if len(data) >= LONGEST_LINE:
            raise _malformed(f"its line does not end within {LONGEST_LINE} bytes")
        return None
    if data[end - 2 : end] != b"\r\n":
        raise _malformed("its line ends without CR")
    kind, *fields = data[len(_LINE_START) : end - 2].split(b" ")
    if kind == b"UNKNOWN":
        return _NOBODY, end
    family = _LINE_FAMILIES.get(kind)
    if family is None or len(fields) != 4:
        raise _malformed("not TCP4 or TCP6, two addresses and two ports, one space between each")
    source, destination, source_port, destination_port = fields
    header = ProxyHeader(
        _address_of_text(family, source, source_port),
        _address_of_text(family, destination, destination_port),
    )
    return header, end


def _address_of_text(family: AddressFamily, host: bytes, port: bytes) -> Address:
    # Neither signs nor leading zeros.
    number = int(port) if port.isdigit() else -1
    if not 0 <= number <= 0xFFFF or port != b"%d" % number:
        raise _malformed("a port is not a number of 0..65535")
    try:
        ip = socket.inet_pton(family, host.decode("ascii"))
    except (OSError, ValueError) as error:
        raise _malformed("an address is not one of its family") from error
    return _address_of(ip, number.to_bytes(2, "big"))


def _read_binary(data: bytes) -> tuple[ProxyHeader, int] | None:
    """Read a header of version 2 [2.2]."""
    if len(data) < _FIXED_SIZE:
        return None
    command, kind, size = data[12], data[13], int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise _malformed(f"version and command {command:#04x}, neither LOCAL nor PROXY of 2")
    end = _FIXED_SIZE + size
    if end > LONGEST_HEADER:
        raise ProxyHeaderError(
            f"a PROXY header of {end} bytes, more than {LONGEST_HEADER}: have the proxy in front "
            "send fewer TLVs (certificates, for example)"
        )
    if command == _PROXY:
        family, transport = divmod(kind, 16)
        if family >= len(_BLOCK_SIZES) or transport >= _TRANSPORTS:
            raise _malformed(f"there is no family and transport {kind:#04x}")
        if size < _BLOCK_SIZES[family]:
            raise _malformed(f"{size} bytes where its addresses take {_BLOCK_SIZES[family]}")
    if len(data) < end:
        return None
    if command == _LOCAL or kind not in (_TCP4, _TCP6):
        return _NOBODY, end
    width = 4 if kind == _TCP4 else 16
    middle, ports = _FIXED_SIZE + width, _FIXED_SIZE + 2 * width
    header = ProxyHeader(
        _address_of(data[_FIXED_SIZE:middle], data[ports : ports + 2]),
        _address_of(data[middle:ports], data[ports + 2 : ports + 4]),
    )
    return header, end


def _address_of(ip: bytes, port: bytes) -> Address:
    family = socket.AF_INET if len(ip) == 4 else socket.AF_INET6
    return Address.of(socket.inet_ntop(family, ip), int.from_bytes(port, "big"))


def _malformed(what: str) -> ProxyHeaderError:
    return ProxyHeaderError(
        f"a malformed PROXY header, {what}: see whether the proxy in front speaks version 1 or 2"
    )
