"""The ports that face clients, whose a datagram is, and what an answer looks like to them.

Part of ``_udp_py.py``; the twin of ``_udp_clients.pxi``: pure Python.
"""

from __future__ import annotations

import socket
from time import time
from typing import TYPE_CHECKING

from ..errors import ProtocolError
from ..net import receive_with_arrival, watch_arrivals
from ..socks.datagrams import Reassembler, build_datagram
from ._udp_association_py import Association, ClientPort
from ._udp_packet_way_py import CurrentWay
from ._udp_ports_py import host_of
from ._udp_targets_py import Targets

if TYPE_CHECKING:
    from ..address import Address
    from ..net.datagrams import Arrival
    from ..shadowsocks.packets import PacketCodec, PacketSession
    from ._udp_association_py import Engine
    from ._udp_ports_py import SockAddr
    from .packet_way import FindWay

# Datagrams that one socket takes in before the others have their turn.
_ROUNDS = 32


class SharedPort(ClientPort):
    """Faces many clients; its answers leave from the address that was sent to.

    :param find_way: how an association's way through servers is found; None where all goes
        directly.
    """

    def __init__(self, engine: Engine, sock: socket.socket, find_way: FindWay | None) -> None:
        self._everywhere = watch_arrivals(sock)
        # Where the datagram that is being handled came to; empty where there is one address.
        self._arrival: Arrival = ()
        self.find_way = find_way
        # Those that are told apart by where they send from.
        self._by_source: dict[SockAddr, Association] = {}
        super().__init__(engine, sock)

    async def _attach(self) -> None:
        # Transports do not tell of arrivals.
        if not self._everywhere:
            await super()._attach()
        elif not self.closed:
            self.engine.loop.add_reader(self.socket, self._readable)

    def _readable(self) -> None:
        for _ in range(_ROUNDS):
            try:
                data, source, self._arrival = receive_with_arrival(self.socket)
            except OSError:
                return
            self.datagram_received(data, source)
            if self.closed:
                return

    def find(self, source: SockAddr, session: PacketSession | None = None) -> Association:
        """Return the association of a client, or of a session of it; begins one for a new one."""
        found = self._by_source.get(source) if session is None else session.association
        if isinstance(found, Association):
            # Answers go to where the client's last datagram came from, from where it came to.
            found.facing, found.source, found.arrival = self, source, self._arrival
            return found
        user = None if session is None else session.user
        found = new_association(self.engine, self, source, user, self.find_way)
        found.arrival = self._arrival
        found.session = session
        if session is None:
            self._by_source[source] = found
        else:
            session.association = found
        self.engine.admit(found)
        return found

    def send_back(self, datagram: bytes, association: Association) -> OSError | None:
        """Send a datagram to a client, or return why not."""
        if not association.arrival:
            return self.send_to(datagram, association.source)
        try:
            self.socket.sendmsg((datagram,), association.arrival, 0, association.source)
        except OSError as error:
            return error
        return None

    def release(self, association: Association) -> None:
        """Forget an association, which has ended."""
        if association.session is None:
            self._by_source.pop(association.source, None)

    def close(self) -> None:
        """Close the socket; again does nothing."""
        if self._everywhere and not self.closed:
            self.engine.loop.remove_reader(self.socket)
        super().close()


class ShadowsocksPort(SharedPort):
    """Faces Shadowsocks clients."""

    def __init__(
        self,
        engine: Engine,
        sock: socket.socket,
        packets: PacketCodec,
        find_way: FindWay | None,
    ) -> None:
        super().__init__(engine, sock, find_way)
        self._packets = packets

    def datagram_received(self, data: bytes, addr: SockAddr) -> None:
        if self.closed:
            return
        try:
            session, address, payload = self._packets.open(data, time())
        except ProtocolError as error:
            self.engine.drop(error.status, host_of(addr))
            return
        self.find(addr, session).forward(address, payload)

    def answer(
        self, association: Association, address: Address, payload: bytes
    ) -> OSError | str | None:
        if self.closed:
            return "closed"
        packet = self._packets.seal(address, payload, time(), association.session)
        return self.send_back(packet, association)

    def release(self, association: Association) -> None:
        """Forget an association, which has ended, with its session."""
        super().release(association)
        session = association.session
        if session is not None and session.association is association:
            session.association = None
            self._packets.forget(session)


class ForwardPort(SharedPort):
    """Faces clients whose datagrams all go to one target, as they are.

    :param target: an IP address or a name.
    """

    def __init__(
        self,
        engine: Engine,
        sock: socket.socket,
        target: Address,
        find_way: FindWay | None,
    ) -> None:
        super().__init__(engine, sock, find_way)
        self._target = target

    def datagram_received(self, data: bytes, addr: SockAddr) -> None:
        if not self.closed:
            self.find(addr).forward(self._target, data)

    def answer(
        self, association: Association, address: Address, payload: bytes
    ) -> OSError | str | None:
        if not self._is_target(association, address):
            return "foreign-source"
        return "closed" if self.closed else self.send_back(payload, association)

    def _is_target(self, association: Association, address: Address) -> bool:
        """Tell whether an answer is the target's: a client cannot see from whom it is."""
        if address == association.sent_to:
            return True
        if association.packet_way is None:
            return False
        if self._target.is_name:
            # Which address it stands for, the last server alone knows.
            return address.port == self._target.port
        return address == self._target


class SocksPort(ClientPort):
    """Faces one SOCKS client.

    :param client: the IP address that datagrams are accepted from.
    :param port: likewise; with 0 the first one decides.
    """

    association: Association

    def __init__(self, engine: Engine, sock: socket.socket, client: str, port: int) -> None:
        super().__init__(engine, sock)
        self._client = client
        self._port = port
        self._learned = False
        self._reassembler = Reassembler()

    def datagram_received(self, data: bytes, addr: SockAddr) -> None:
        if self.closed:
            return
        if host_of(addr) != self._client or addr[1] != (self._port or addr[1]):
            self.engine.drop("foreign-source", host_of(addr))
            return
        try:
            found = self._reassembler.add(data, self.engine.loop.time())
        except ProtocolError as error:
            reason = "fragment" if error.status == ProtocolError.status else error.status
            self.engine.drop(reason, host_of(addr))
            return
        self._port = addr[1]
        self._learned = True
        self.association.source = addr
        if found is not None:
            self.association.forward(*found)

    def answer(
        self, association: Association, address: Address, payload: bytes
    ) -> OSError | str | None:
        if not self._learned:
            return "no-client"
        return self.send_to(build_datagram(address, payload), association.source)

    def release(self, association: Association) -> None:
        """Close with the association, which has ended."""
        self.close()


def new_association(
    engine: Engine, facing: ClientPort, source: SockAddr, user: str | None, find: FindWay | None
) -> Association:
    """Make an association; see its parameters, and those of :class:`CurrentWay`.

    :param find: None where all goes directly.
    """
    made = Association(engine, facing, source, user)
    made.targets = Targets(made)
    if find is not None:
        made.packet_way = CurrentWay(made, find)
    return made
