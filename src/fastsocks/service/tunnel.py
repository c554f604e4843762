"""``tunnel``: whatever comes is led to one target."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from fastsocks.address import canonical
from fastsocks.errors import ConfigError, HostNameError
from fastsocks.inbound import Inbound, Inbounds
from fastsocks.journal.advice import TUNNEL_ADVICE
from fastsocks.proxy_protocol import header_for
from fastsocks.request import Request

from .reporting import ReportingService
from .running import Running

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

    from fastsocks.address import Address
    from fastsocks.buffer import Buffer
    from fastsocks.config import TunnelOptions
    from fastsocks.inbound import Accepted
    from fastsocks.journal.observer import Observer

    from .datagrams import Datagrams
    from .shared_state import SharedState

_log = logging.getLogger("fastsocks.tunnel")


class _FixedTarget(Inbound, Inbounds):
    """Takes every connection for a request for one target; there is nothing else to know of it.

    :param tells_clients: whether what the target is sent begins by a PROXY header.
    """

    needs_no_byte = True
    # A program that finds no reply reads the end of a stream as all that the target had to say.
    silent = True

    def __init__(self, target: Address, *, tells_clients: bool) -> None:
        self._request = Request(target)
        self._tells_clients = tells_clients

    def inbound(self, accepted: Accepted) -> Inbound:
        return self

    def begin(self, accepted: Accepted) -> Request:
        if self._tells_clients:
            header = header_for(self._request, accepted)
            return self._request._replace(early_data=header, header_size=len(header))
        return self._request

    def receive(self, data: Buffer) -> Request:
        raise AssertionError("the request was there before anything came")


class TunnelService(ReportingService):
    """What connections to a tunnel are for.

    :raises ConfigError: a key does not suit its method, there is no such method, the address of a
        server or the target is none, or there is no way for UDP where that is all that is asked
        for.
    """

    ADVICE = TUNNEL_ADVICE

    def __init__(
        self,
        options: TunnelOptions,
        shared: SharedState | None = None,
        observers: Iterable[Observer] = (),
        before: TunnelService | None = None,
    ) -> None:
        super().__init__(_log, options, shared, observers, before)
        try:
            self._target = canonical(options.target_address)
        except HostNameError as error:
            raise ConfigError(f"target: {error}") from error
        self.use_rules(options.read_rules, by_name=bool(options.server or options.upstream))
        self._tells_clients = options.send_proxy_protocol
        payload_wait = options.payload_wait / 1000
        if options.server:
            from fastsocks.outbound.datagram_renewal import server_ways
            from fastsocks.outbound.from_options import telling
            from fastsocks.outbound.servers import Servers

            servers = Servers((options, *options.servers), payload_wait=payload_wait)
            self.lead(servers=servers)
            ways = server_ways(self.log.notice, servers, options.mtu)
            self.find_way = telling(ways, self.observer.refuse_datagrams)
        elif options.upstream:
            from fastsocks.outbound.chain import Chain

            chain = Chain(options.upstream, options.timeout, payload_wait=payload_wait)
            self.lead(chain=chain)
            self.lead_datagrams(options)
        else:
            self.lead()

    def inbounds(self) -> Inbounds:
        """Return what makes a request of each connection."""
        return _FixedTarget(self._target, tells_clients=self._tells_clients)

    def use_datagrams(self, datagrams: Datagrams, sockets: Sequence[socket.socket] = ()) -> None:
        """Forward what comes to these."""
        for sock in sockets:
            datagrams.forward(sock, self._target)


class Tunnel(Running):
    """A listener that leads all of its clients to one target.

    :param observers: are told of its connections, in this order.
    :raises ConfigError: a key does not suit its method, there is no such method, the address of a
        server or the target is none, or there is no way for UDP where that is all that is asked
        for.
    """

    binds_datagrams = True

    def __init__(
        self,
        options: TunnelOptions,
        shared: SharedState | None = None,
        *,
        observers: Iterable[Observer] = (),
    ) -> None:
        super().__init__(
            partial(TunnelService, shared=shared, observers=tuple(observers)),
            options,
            shared=shared,
        )
        if options.server:
            self._service.warn_of_weakness(options.method, *(one.method for one in options.servers))
