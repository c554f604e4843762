"""The way of an association's datagrams through servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..shadowsocks.packets import PacketCodec


class Control(Protocol):
    """What a tunnel lasts as long as: TCP connections to SOCKS5 servers."""

    #: Called once if it ends by itself; never after :meth:`close`.
    ended: Callable[[], None] | None

    def close(self) -> None:
        """End it; again does nothing."""


class Tunnel(NamedTuple):
    """Where datagrams of an association go, and how they are sealed."""

    packets: PacketCodec
    #: Family and socket address of the first server's UDP port.
    server: tuple[int, tuple[Any, ...]]
    #: The association's from the moment on that it has the tunnel.
    control: Control | None = None
