"""What connection set-up and the services speak of with each other.

Connection set-up (``_setup``) knows neither SOCKS nor Shadowsocks nor any rule. It is given what
makes an Inbound of every accepted connection (:mod:`fastsocks.inbound`), an :class:`Outbound` that
makes a :class:`Route` of every request, and those who are told of it
(:mod:`fastsocks.journal.observer`). All calls come from the loop's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fastsocks.implementation import IMPLEMENTATION
from fastsocks.inbound import Accepted, Inbound, Inbounds

from ._roles_py import Opened, PeerListener, UdpAssociation

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._roles_py import DirectOutbound, Outbound, Route, ServerOutbound
else:
    from ._roles import DirectOutbound, Outbound, Route, ServerOutbound

if TYPE_CHECKING:
    from fastsocks.address import Address
    from fastsocks.shadowsocks import ClientKey, PacketCodec


__all__ = [
    "Accepted",
    "Destination",
    "DirectOutbound",
    "Inbound",
    "Inbounds",
    "Opened",
    "Outbound",
    "PeerListener",
    "Route",
    "ServerOutbound",
    "UdpAssociation",
]


class Destination(NamedTuple):
    """A Shadowsocks server."""

    address: Address
    key: ClientKey
    #: For all associations, where the method has no sessions.
    packets: PacketCodec | None
