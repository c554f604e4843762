"""What a request asks for: the request-target of HTTP (RFC 9112 section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

from fastsocks.address import Address
from fastsocks.errors import AddressError

from .head import RequestError

_HTTP_PORT = 80
#: No name has them, but what leads a reader of URLs astray does.
_NOT_IN_A_NAME = frozenset(b' :/?#@\\%<>"[]')


class Target(NamedTuple):
    """What a plain request asks for."""

    address: Address
    #: For the field Host.
    authority: bytes
    #: In origin-form, for the target's request line.
    path: bytes


def read_authority(text: bytes, default_port: int | None = None) -> Address:
    """Read ``host:port``; IPv6 stands in brackets.

    :param default_port: what holds where there is none; None: there has to be one.
    :raises RequestError: it is malformed.
    """
    host, colon, port = text.rpartition(b":")
    if not colon or text.endswith(b"]"):
        host, port = text, b""
    bracketed = host.startswith(b"[") and host.endswith(b"]")
    if not host or not (bracketed or _NOT_IN_A_NAME.isdisjoint(host)):
        raise RequestError("the request-target is not HOST:PORT")
    if not port and default_port is None:
        raise RequestError("there is no port in the request-target")
    if not _NOT_IN_A_NAME.isdisjoint(port):
        # Of a URL, say, in which no port need stand.
        raise RequestError("the request-target is not HOST:PORT")
    if port and not (port.isdigit() and len(port) <= 5):
        raise RequestError("the port in the request-target is not in 0..65535")
    try:
        address = Address.of(host.decode("ascii"), int(port or default_port or 0))
    except (AddressError, UnicodeDecodeError) as error:
        raise RequestError(f"the request-target: {error}") from None
    if bracketed and address.is_name:
        raise RequestError("only an IPv6 address stands in brackets")
    return address


def read_absolute(url: bytes, method: bytes) -> Target:
    """Read an absolute-form, ``http://host[:port]/path?query``; ``ws://`` is the same (RFC 6455).

    :raises RequestError: it is another form or another scheme, or malformed.
    """
    scheme, separator, rest = url.partition(b"://")
    if not separator or not scheme.isalpha():
        raise RequestError("this is a proxy: it takes CONNECT HOST:PORT or an absolute http:// URL")
    if scheme.lower() not in (b"http", b"ws"):
        raise RequestError("of URLs it takes http:// and ws://; to others goes CONNECT", 501)
    size = min((at for at in map(rest.find, (b"/", b"?", b"#")) if at >= 0), default=len(rest))
    authority, path = rest[:size], rest[size:]
    if b"#" in path:
        raise RequestError("a fragment in the request-target")
    address = read_authority(authority, _HTTP_PORT)
    if not path:
        path = b"*" if method == b"OPTIONS" else b"/"
    elif not path.startswith(b"/"):
        path = b"/" + path
    return Target(address, authority, path)
