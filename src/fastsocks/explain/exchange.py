"""Which protocol an exchange is, and what its bytes say."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fastsocks.errors import ProtocolError, VersionError
from fastsocks.request import HTTP, SOCKS4, SOCKS5
from fastsocks.socks.protocols import protocol_of

from . import http, shadowsocks, socks
from .walk import explained

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsocks.shadowsocks import ClientKey

    from .walk import Explanation, Walk

_CLIENTS: dict[str | None, Callable[[Walk], None]] = {
    SOCKS5: socks.read_client,
    SOCKS4: socks.read_client_4,
    HTTP: http.read_request,
}
_SERVERS: dict[str | None, Callable[[Walk], None]] = {
    SOCKS5: socks.read_server,
    SOCKS4: socks.read_server_4,
    HTTP: http.read_response,
}
_TITLES = {SOCKS5: "SOCKS5", SOCKS4: "SOCKS4", HTTP: "HTTP", None: "unknown protocol"}


def explain_stream(
    client: bytes, server: bytes, key: ClientKey | None = None, now: float = 0.0
) -> list[Explanation]:
    """Explain a connection: SOCKS or HTTP, or with a key Shadowsocks.

    :param client: what the client sent; empty if it is not known.
    :param server: likewise of the server.
    :param now: Unix time in seconds at which it came.
    :return: for each direction that there is one, none of them with an error raised.
    """
    readers: list[tuple[str, bytes, Callable[[Walk], None]]] = []
    if key is not None:
        name = f"Shadowsocks, {key.method.name}"
        salt = client[: key.method.salt_size]
        read = partial(shadowsocks.read_stream, key=key, now=int(now))
        readers = [
            (name, client, partial(read, request_salt=None)),
            (name, server, partial(read, request_salt=salt)),
        ]
    else:
        # Of a SOCKS4 server the first byte is 0.
        first = client[:1] or (b"\x04" if server[:1] == b"\0" else server[:1])
        protocol = protocol_of(first[0]) if first else None
        readers = [
            (_TITLES[protocol], client, _CLIENTS.get(protocol, _unknown)),
            (_TITLES[protocol], server, _SERVERS.get(protocol, _unknown)),
        ]
    sides = ("from the client", "from the server")
    return [
        explained(f"{name}, {side}", data, read)
        for side, (name, data, read) in zip(sides, readers, strict=True)
        if data
    ]


def explain_datagram(
    data: bytes, key: ClientKey | None = None, now: float = 0.0, *, from_server: bool = False
) -> Explanation:
    """Explain a datagram: of SOCKS5, or with a key of Shadowsocks.

    :param now: Unix time in seconds at which it came.
    :param from_server: whether the server sent it.
    """
    side = "from the server" if from_server else "from the client"
    if key is None:
        return explained(f"SOCKS5 datagram, {side}", data, socks.read_packet)
    read = partial(shadowsocks.read_packet, key=key, now=int(now), response=from_server)
    return explained(f"Shadowsocks datagram, {key.method.name}, {side}", data, read)


def _unknown(walk: Walk) -> None:
    if not walk.left:
        raise ProtocolError("nothing to explain")
    raise VersionError(
        f"neither SOCKS nor HTTP begins with {walk.peek().hex()}; of Shadowsocks the key is needed"
    )
