"""Where SOCKS clients enter, and the fastsocks processes behind it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.listener import SocketAddress
from harness.pool import ServicePool
from harness.services import Implementation, Service, start_local, start_proxy, start_server
from harness.shadowsocks import generate_key

METHODS = (
    "aes-256-gcm",
    "chacha20-ietf-poly1305",
    "2022-blake3-aes-128-gcm",
    "aes-256-cfb",
)
AUTHENTICATED_METHODS = METHODS[:3]
PROXY = "proxy"


@dataclass(frozen=True)
class Entrance:
    """A SOCKS5 server and what is behind it.

    ``server`` is None for a plain proxy, as are ``method`` and ``key``.
    """

    socks: Service
    server: Service | None = None
    method: str | None = None
    key: str | None = None

    @property
    def address(self) -> SocketAddress:
        """Where SOCKS clients connect to."""
        return self.socks.address

    @property
    def services(self) -> list[Service]:
        """All processes that a connection passes."""
        return [self.socks] if self.server is None else [self.socks, self.server]


# One key for each method, so that a server which a test has ended can be started again.
KEYS = {method: generate_key(method) for method in METHODS}


def find_entrance(pool: ServicePool, implementation: Implementation, name: str) -> Entrance:
    """Return the shared processes for a method, or the shared plain proxy.

    :param name: a method or ``proxy``.
    """
    if name == PROXY:
        return Entrance(
            pool.get((implementation, PROXY), lambda: start_proxy(implementation=implementation))
        )
    key = KEYS[name]
    server = pool.get(
        (implementation, name, "server"),
        lambda: start_server(name, key, implementation=implementation),
    )
    local = pool.get(
        (implementation, name, "local", server.address),
        lambda: start_local(server.address, name, key, implementation=implementation),
    )
    return Entrance(local, server, name, key)
