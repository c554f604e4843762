"""``local``: SOCKS or HTTP in, a Shadowsocks server out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastsocks.address import Address
from fastsocks.errors import AddressError, ConfigError, DialError
from fastsocks.policy import check_request, weakness_of
from fastsocks.shadowsocks import ClientCodec, Family, client_key, packet_client
from fastsocks.shadowsocks.packets import SALT_CAPACITY

from .advice import LOCAL_ADVICE
from .interfaces import Route
from .limits import PAYLOAD_WAIT
from .running import SocksRunning
from .socks import SocksService

if TYPE_CHECKING:
    from fastsocks.config import LocalOptions
    from fastsocks.errors import FastsocksError
    from fastsocks.request import Request
    from fastsocks.shadowsocks import PacketCodec

    from .datagrams import Datagrams
    from .interfaces import Peer
    from .shared_state import SharedState

_log = logging.getLogger("fastsocks.local")


class LocalService(SocksService):
    """What connections to a local proxy are for.

    :raises ConfigError: the key does not suit the method, there is no such method, or the
        server's address is none.
    """

    ADVICE = LOCAL_ADVICE

    def __init__(self, options: LocalOptions, shared: SharedState | None = None) -> None:
        super().__init__(_log, options, shared)
        self._key = client_key(options.method, options.password, options.key)
        try:
            self._server = Address.of(options.server, options.server_port)
        except AddressError as error:
            raise ConfigError(f"server: {error}") from error
        self._mtu = {} if options.mtu is None else {"mtu": options.mtu}
        # Without sessions, one codec knows the salts of all answers.
        self._packets: PacketCodec | None = None
        if self._key.method.family is not Family.AEAD_2022:
            self._packets = packet_client(self._key, salt_capacity=SALT_CAPACITY)

    def advice(self, error: FastsocksError) -> str | None:
        """Return what to do about an error; what fails to be dialed is always our server."""
        if isinstance(error, DialError):
            return f"this is about the Shadowsocks server, {self._server}: is it up, and reachable?"
        return super().advice(error)

    def route(self, request: Request, peer: Peer) -> Route:
        """Dial the Shadowsocks server, which is told the target.

        :raises PolicyError: the rules refuse it.
        """
        check_request(request)
        if self.ruling is not None:
            direct, _ = self.ruling.route(request, peer)
            if direct:
                return Route(request.address)
        return Route(self._server, ClientCodec(self._key), PAYLOAD_WAIT)

    async def _tunnel(
        self, datagrams: Datagrams, peer: Peer
    ) -> tuple[PacketCodec, tuple[int, Any]]:
        """Lead to the Shadowsocks server, by a session for each association."""
        server = await datagrams.find_server(self._server, peer[0])
        return self._packets or packet_client(self._key, **self._mtu), server


class Local(SocksRunning):
    """A SOCKS and HTTP proxy that leads to a Shadowsocks server.

    :raises ConfigError: the key does not suit the method, there is no such method, or the
        server's address is none.
    """

    def __init__(self, options: LocalOptions, shared: SharedState | None = None) -> None:
        # A Shadowsocks request follows each connect, so that there is always a first byte.
        service = LocalService(options, shared)
        service.use_rules(options.rules, by_name=True)
        super().__init__(service, options, dial_fast_open=options.fast_open, shared=shared)
        if weakness := weakness_of(options.method):
            _log.warning("%s", weakness)
