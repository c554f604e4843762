"""What comes before the protocol of a client where a proxy is in front: a PROXY header."""

from __future__ import annotations

from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from fastsocks.errors import ProxyHeaderError
from fastsocks.inbound import Inbound

from .header import read_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from fastsocks.buffer import Buffer
    from fastsocks.inbound import Accepted, Inbounds
    from fastsocks.request import Request


class ProxyProtocolInbounds:
    """Has the fronts of a service name its clients, and nobody else come to it.

    A connection from elsewhere is closed, and so is one without a header: whoever can choose
    the way that a connection comes by could pass for anybody. The client that a header names is the
    connection's from then on, for caps, rules and logs; where it names none, as that of a health
    check, the front is.

    :param inbounds: makes what speaks the clients' protocol, behind the header.
    :param networks: of the fronts.
    """

    #: Who may not come learns it at once.
    needs_no_byte = True

    def __init__(self, inbounds: Inbounds, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        self.inbounds = inbounds
        #: Whether these need no byte; see :class:`fastsocks.inbound.Inbounds`.
        self.begins_at_once = getattr(inbounds, "needs_no_byte", False)
        #: See :class:`fastsocks.inbound.Inbounds`.
        self.is_front: Callable[[str], bool] | None = partial(_is_within, tuple(networks))

    def inbound(self, accepted: Accepted) -> Inbound:
        """Make what reads the header of one connection."""
        return _ProxyProtocolInbound(self, accepted)


def _is_within(networks: Sequence[IPv4Network | IPv6Network], host: str) -> bool:
    ip = ip_address(host.partition("%")[0])
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip
    return any(ip in network for network in networks)


class _ProxyProtocolInbound(Inbound):
    """Reads a header, and hands the connection to the Inbound of what is behind it."""

    def __init__(self, maker: ProxyProtocolInbounds, accepted: Accepted) -> None:
        self._maker = maker
        self._accepted = accepted
        self._kept = b""

    def begin(self, accepted: Accepted) -> None:
        is_front = self._maker.is_front
        if is_front is not None and not is_front(accepted.peer[0]):
            raise ProxyHeaderError(
                "clients come by a proxy only, and this is none that accept_proxy_protocol lists"
            )

    def receive(self, data: Buffer) -> Request | None:
        self._kept += bytes(data)
        found = read_header(self._kept)
        if found is None:
            return None
        header, end = found
        if header.source is not None:
            self._accepted.rename((header.source.host, header.source.port))
        inbound = self._maker.inbounds.inbound(self._accepted)
        self._accepted.hand_to(inbound)
        if self._maker.begins_at_once:
            request = inbound.begin(self._accepted)
            if request is not None:
                early_data = request.early_data + self._kept[end:]
                return request._replace(early_data=early_data)
        rest = self._kept[end:]
        return inbound.receive(rest) if rest else None
