"""What ``local`` and ``proxy`` have in common: clients of SOCKS and HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsocks.errors import AuthenticationError, CommandError
from fastsocks.policy import Meters
from fastsocks.request import CONNECT, UDP_ASSOCIATE
from fastsocks.socks import FirstByteServers

from .reporting import ReportingService

if TYPE_CHECKING:
    import logging
    import socket
    from collections.abc import Callable, Iterable, Sequence

    from fastsocks.accounts.logins import Logins
    from fastsocks.config import LocalOptions, ProxyOptions
    from fastsocks.journal.observer import Observer
    from fastsocks.outbound.server_addresses import FindWay
    from fastsocks.request import Request
    from fastsocks.setup.roles import Accepted, Inbounds, UdpAssociation
    from fastsocks.socks.gssapi import ServerNegotiation

    from .datagrams import Datagrams
    from .shared_state import SharedState


class SocksService(ReportingService):
    """A service whose clients speak SOCKS or HTTP.

    :param log: see :class:`.reporting.ReportingService`.
    :param shared: likewise; so `observers` and `before`.
    :raises ConfigError: GSSAPI is asked for, and its package or keytab is missing.
    """

    def __init__(
        self,
        log: logging.Logger,
        options: LocalOptions | ProxyOptions,
        shared: SharedState | None = None,
        observers: Iterable[Observer] = (),
        before: SocksService | None = None,
    ) -> None:
        super().__init__(log, options, shared, observers, before)
        #: Who may log in; None lets everybody in.
        self.logins: Logins | None = None
        if options.has_accounts:
            from fastsocks.accounts.logins import Logins

            self.logins = Logins(options, self._login_notice)
        self._gssapi: Callable[[], ServerNegotiation] | None = None
        if options.gssapi:
            from fastsocks.accounts.kerberos import kerberos_server

            self._gssapi = kerberos_server(options.gssapi_keytab, options.gssapi_protection)
        names = () if self.logins is None else self.logins.names
        # Made before a fork, too, for accounts that come only later.
        meters = None if shared is None else shared.meters(names)
        if before is not None and before.users is not None:
            self.users = before.users
        elif self.logins or self._gssapi:
            self.users = Meters(names) if meters is None else meters
        self._protocols = options.protocols
        self._longest_head = options.max_request_head
        self._udp_address = options.udp_address
        self._short_replies = options.short_replies
        self._commands = tuple(
            command
            for command, offered in (
                (CONNECT, options.relays_tcp),
                (UDP_ASSOCIATE, options.relays_udp),
            )
            if offered
        )
        #: What is asked for before a client is told that it has its association.
        self._find_at_once: FindWay | None = None
        #: There once the service runs, if it relays UDP.
        self.datagrams: Datagrams | None = None

    def use_datagrams(self, datagrams: Datagrams, sockets: Sequence[socket.socket] = ()) -> None:
        """Relay datagrams by these."""
        self.datagrams = datagrams

    def inbounds(self) -> Inbounds:
        """Return what makes the server's side of each handshake."""
        return FirstByteServers(
            None if self.logins is None else self.logins.check,
            self._commands,
            self._protocols,
            self._gssapi,
            self._longest_head,
            short_replies=self._short_replies,
        )

    async def associate(self, request: Request, accepted: Accepted) -> UdpAssociation:
        """Open a UDP relay for a client; see :class:`.roles.Outbound`.

        :raises FastsocksError: it cannot be had.
        """
        peer = accepted.peer
        if self.datagrams is None:
            raise CommandError("UDP is not relayed here")
        if self.access_rules is not None:
            self.access_rules.associate(request, peer)
        packet_way = None
        if self._find_at_once is not None:
            packet_way = await self._find_at_once(self.datagrams.server_addresses, peer[0])
        return self.datagrams.associate(
            request, peer, accepted.local_host, announced=self._udp_address, packet_way=packet_way
        )

    def close(self) -> None:
        """Give back what the service holds; nothing comes after that."""
        super().close()
        if self.logins is not None:
            self.logins.close()

    def _login_notice(self, client: str, text: str) -> None:
        self.log.notice(
            client,
            text,
            AuthenticationError.status,
            "somebody may be guessing, or an application has an old password",
        )
