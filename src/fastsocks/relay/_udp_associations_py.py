"""What the UDP relay does for one client: pure Python.

Part of ``_udp_py.py``. An association has a side that faces its client, a Shadowsocks or a SOCKS
one, and sides that face targets: ``_udp_ports_py.py`` and ``_udp_packet_way_py.py``.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from enum import Enum
from time import monotonic, time
from typing import TYPE_CHECKING, cast

from ..address import canonical
from ..errors import HostNameError, PolicyError, ProtocolError
from ..socks.datagrams import Reassembler, build_datagram
from ._udp_packet_way_py import CurrentWay
from ._udp_ports_py import ListeningPort, Port, Targets

if TYPE_CHECKING:
    from ..address import Address
    from ..shadowsocks.packets import PacketCodec, PacketSession
    from ._udp_ports_py import SockAddr
    from ._udp_py import DatagramEngine
    from .packet_way import PacketWay

# SIP022 3.2.4 wants sessions to live at least this long, in seconds.
_SHORTEST_SESSION = 60.0

# Targets of which one association remembers what its rules say.
_JUDGED = 256


class Way(Enum):
    """What an engine's judge says of a target."""

    FORBIDDEN = 0
    BY_SERVERS = 1
    DIRECT = 2


class Association:
    """The UDP relay of one client; made by a :class:`DatagramEngine`."""

    def __init__(self, engine: DatagramEngine, user: str | None) -> None:
        #: Called once if it ends by itself, and not by :meth:`close`.
        self.ended: Callable[[], None] | None = None
        #: Whether it still relays.
        self.active = True
        self.engine = engine
        self.user = user
        #: Payload from the client so far, in bytes.
        self.bytes_up = 0
        #: Payload to the client so far, in bytes.
        self.bytes_down = 0
        #: Seconds that it may be idle.
        self.timeout = engine.timeout
        self.touched = monotonic()
        #: When a target last answered.
        self.answered = 0.0
        #: What counts as one client, by the address that it began with.
        self.client_id = ""
        self._direct = Targets(self)
        #: None where all goes directly.
        self.packet_way = CurrentWay(self) if engine.find_way is not None else None
        self._judged: dict[tuple[bytes, str | None], Way] = {}

    @property
    def client_host(self) -> str:
        """The IP address of the client."""
        raise NotImplementedError

    def way_to(self, address: Address, resolved: str | None = None) -> Way:
        """Tell what the engine's judge says of a target, as :attr:`DatagramEngine.judge` has it."""
        if self.engine.judge is None:
            return Way.BY_SERVERS
        key = address.wire, resolved
        known = self._judged.get(key)
        if known is None:
            try:
                direct = self.engine.judge(self.client_host, self.user, address, resolved)
            except PolicyError:
                known = Way.FORBIDDEN
            else:
                known = Way.DIRECT if direct else Way.BY_SERVERS
            if len(self._judged) >= _JUDGED:
                self._judged.clear()
            self._judged[key] = known
        return known

    def decide_anew(self) -> None:
        """Forget what was said of targets."""
        self._judged.clear()
        self._direct.decide_anew()

    def may_reach(self, address: Address, resolved: str | None = None) -> bool:
        """Tell whether a target may be sent to; see :meth:`way_to`."""
        return self.way_to(address, resolved) is not Way.FORBIDDEN

    def forward(self, address: Address, payload: bytes) -> None:
        """Carry the client's payload to `address`."""
        self.engine.table.touch(self)
        if self.engine.decides:
            try:
                address = canonical(address)
            except HostNameError as error:
                self.drop(error.status)
                return
        way = Way.DIRECT if self.packet_way is None else self.way_to(address)
        if way is Way.DIRECT or self.packet_way is None:
            self._direct.send(address, payload)
        elif way is Way.FORBIDDEN:
            self.refuse()
        elif not self._is_permitted(address):
            self.drop("not-allowed")
        else:
            self.packet_way.send(address, payload)

    def _is_permitted(self, address: Address) -> bool:
        if self.engine.permit is None:
            return True
        try:
            self.engine.permit(address)
        except PolicyError:
            return False
        return True

    def backward(self, address: Address, payload: bytes) -> None:
        """Carry a target's payload to the client.

        :param address: who sent it.
        """
        self.engine.table.touch(self)
        self.answered = self.touched
        outcome: OSError | str | None
        try:
            outcome = self.answer(address, payload)
        except OSError as error:  # no random bytes
            outcome = error
        if self.count_down(outcome):
            counters = self.engine.counters
            counters.packets_down += 1
            counters.bytes_down += len(payload)
            self.bytes_down += len(payload)

    def answer(self, address: Address, payload: bytes) -> OSError | str | None:
        """Send to the client, or return why not."""
        raise NotImplementedError

    def count_up(self, outcome: OSError | str | None, size: int) -> None:
        """Count a payload from the client.

        :param outcome: why it was not sent, None where it was.
        :param size: of the payload, in bytes.
        """
        if self.count_down(outcome):
            counters = self.engine.counters
            counters.packets_up += 1
            counters.bytes_up += size
            self.bytes_up += size

    def count_down(self, outcome: OSError | str | None) -> bool:
        """Count a datagram that was not sent, and tell whether it was."""
        if outcome is None:
            return True
        if isinstance(outcome, OSError):
            outcome = "oversize" if outcome.errno == errno.EMSGSIZE else "not-sent"
        self.drop(outcome)
        return False

    def drop(self, reason: str) -> None:
        """Count a datagram of the client, or to it, that is not carried."""
        self.engine.drop(reason, self.client_host)

    def refuse(self) -> None:
        """Count a datagram that a rule refuses, of which its judge tells."""
        self.engine.drop("not-allowed", self.client_host, told=False)

    def close(self) -> None:
        """End it, with all of its descriptors; again does nothing."""
        if self.active:
            self.active = False
            self.engine.forget(self)
            self._direct.close()
            if self.packet_way is not None:
                self.packet_way.close()

    def end_by_itself(self) -> None:
        """End it, and tell so."""
        self.close()
        ended, self.ended = self.ended, None
        if ended is not None:
            ended()


class ServingPort(ListeningPort):
    """Faces Shadowsocks clients."""

    def __init__(self, engine: DatagramEngine, sock: socket.socket, packets: PacketCodec) -> None:
        super().__init__(engine, sock)
        self.packets = packets
        #: Of methods without sessions, by the client's address.
        self.by_source: dict[SockAddr, _ShadowsocksAssociation] = {}
        #: All that answer through this socket.
        self.associations: set[_ShadowsocksAssociation] = set()

    def datagram_received(self, data: bytes, addr: SockAddr) -> None:
        if self.closed:
            return
        try:
            session, address, payload = self.packets.open(data, time())
        except ProtocolError as error:
            self.engine.drop(error.status, _host_of(addr))
            return
        found = self.by_source.get(addr) if session is None else session.association
        if isinstance(found, _ShadowsocksAssociation):
            found.answer_to(self, addr)
        else:
            found = _ShadowsocksAssociation(self, addr, session)
        found.forward(address, payload)

    def stop(self) -> None:
        """Close, with the associations."""
        self.close()
        for association in list(self.associations):
            association.end_by_itself()


class _ShadowsocksAssociation(Association):
    """The relay of one session or source address."""

    def __init__(self, port: ServingPort, source: SockAddr, session: PacketSession | None) -> None:
        super().__init__(port.engine, None if session is None else session.user)
        self._port = port
        self._source = source
        self._arrival = port.arrival
        self._session = session
        port.associations.add(self)
        if session is None:
            port.by_source[source] = self
        else:
            self.timeout = max(self.timeout, _SHORTEST_SESSION)
            session.association = self
        self.engine.admit(self)

    @property
    def client_host(self) -> str:
        return _host_of(self._source)

    def answer_to(self, port: ServingPort, source: SockAddr) -> None:
        """Note where the client's last packet came from."""
        self._source = source
        self._arrival = port.arrival
        if port is not self._port:
            self._port.associations.discard(self)
            self._port = port
            port.associations.add(self)

    def answer(self, address: Address, payload: bytes) -> OSError | str | None:
        if self._port.closed:
            return "closed"
        packet = self._port.packets.seal(address, payload, time(), self._session)
        return self._port.answer(packet, self._source, self._arrival)

    def close(self) -> None:
        super().close()
        self._port.associations.discard(self)
        if self._session is None:
            if self._port.by_source.get(self._source) is self:
                del self._port.by_source[self._source]
        elif self._session.association is self:
            self._session.association = None
            self._port.packets.forget(self._session)


class SocksAssociation(Association):
    """The relay of one SOCKS client."""

    def __init__(
        self,
        engine: DatagramEngine,
        sock: socket.socket,
        client: tuple[str, int],
        packet_way: PacketWay | None,
        user: str | None,
    ) -> None:
        super().__init__(engine, user)
        self._client = client[0]
        self._port = client[1]
        self._source: SockAddr | None = None
        self._reassembler = Reassembler()
        if packet_way is not None:
            self.packet_way = CurrentWay(self, packet_way)
        self._facing = _ClientPort(self, sock)
        engine.admit(self)

    @property
    def client_host(self) -> str:
        return self._client

    def received(self, data: bytes, source: SockAddr) -> None:
        """Handle a datagram that came to the client's socket."""
        port = self._port or source[1]
        if source[0].partition("%")[0] != self._client or source[1] != port:
            self.engine.drop("foreign-source", _host_of(source))
            return
        try:
            found = self._reassembler.add(data, self.engine.loop.time())
        except ProtocolError as error:
            reason = "fragment" if error.status == ProtocolError.status else error.status
            self.engine.drop(reason, _host_of(source))
            return
        self._port = port
        self._source = source
        if found is not None:
            self.forward(*found)

    def answer(self, address: Address, payload: bytes) -> OSError | str | None:
        if self._source is None:
            return "no-client"
        return self._facing.send_to(build_datagram(address, payload), self._source)

    def close(self) -> None:
        super().close()
        self._facing.close()


class _ClientPort(Port):
    """Faces one SOCKS client."""

    def __init__(self, association: SocksAssociation, sock: socket.socket) -> None:
        super().__init__(association.engine, sock)
        self._association = association

    def datagram_received(self, data: bytes, addr: SockAddr) -> None:
        if not self.closed:
            self._association.received(data, addr)


def _host_of(source: SockAddr) -> str:
    return cast("str", source[0]).partition("%")[0]
