"""The way of an association's datagrams through servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..address import Address
    from ..shadowsocks.packets import PacketCodec

#: Why a packet way is renewed: its server answered, and does so no more; refused by ICMP; has
#: another address now.
SILENT: Final = "silent"
REFUSED: Final = "refused"
MOVED: Final = "moved"

#: Finds the packet way of an association, for a client's IP address; see
#: :class:`fastsocks.relay.udp.DatagramEngine`, as for the next.
FindWay: TypeAlias = "Callable[[str], Awaitable[PacketWay]]"
#: Gives the verdict of rules on a target: is given the client's IP address, its user, the target,
#: and what its name was resolved to. Whether it is reached directly; raises PolicyError.
VerdictOnTarget: TypeAlias = "Callable[[str, str | None, Address, str | None], bool]"

#: See :attr:`PacketWay.renew`.
Renew: TypeAlias = "Callable[[str | None], Awaitable[PacketWay | None]]"


class Control(Protocol):
    """What a packet way lasts as long as: TCP connections to SOCKS5 servers."""

    #: Called once if it ends by itself; never after :meth:`close`.
    ended: Callable[[], None] | None

    def close(self) -> None:
        """End it; again does nothing."""


class PacketWay(NamedTuple):
    """Where datagrams of an association go, and how they are sealed."""

    packets: PacketCodec
    #: Family and socket address of the first server's UDP port.
    server: tuple[int, tuple[Any, ...]]
    #: The association's from the moment on that it has the packet way.
    control: Control | None = None
    #: Finds the packet way to go on by: awaited with SILENT or REFUSED, or with None where it is
    #: only asked whether the server has another address now; returns None where there is no better
    #: one, and raises FastsocksError where there is none. None: it lasts as long as it lasts.
    #: For those without `control`.
    renew: Renew | None = None
