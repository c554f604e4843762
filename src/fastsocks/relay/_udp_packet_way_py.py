"""The way of an association through servers, and its renewal: pure Python.

Part of ``_udp_py.py``; the twin of ``_udp_packet_way.pxi``.
"""

from __future__ import annotations

import asyncio
import errno
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from ..errors import FastsocksError, ProtocolError
from ..net import open_datagram_socket
from ._udp_association_py import Side
from ._udp_ports_py import Port
from .packet_way import REFUSED, SILENT

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine

    from ..address import Address
    from ._udp_association_py import Association
    from ._udp_ports_py import SockAddr
    from .packet_way import Control, FindWay, PacketWay, Renew

# Seconds for which an association whose packet way cannot be had looks for none.
_REST = 1.0

# Datagrams that have to stay without an answer for a way to be renewed, and seconds without a
# datagram after which those before it are no longer waited for.
_UNANSWERED = 3
_IDLE = 60.0

# Most seconds that an answer may take because one has taken half of it before.
_LONGEST_PATIENCE = 180.0

# Seconds between two renewals without an answer, at first and at last.
_FIRST_REST = 1.0
_LONGEST_REST = 60.0


# What ICMP says of a server, and what else a connected socket reports of earlier datagrams.
_REFUSALS = frozenset((errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH))
_FROM_ICMP = _REFUSALS | {errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class ServerPort(Port):
    """Faces a Shadowsocks or SOCKS5 server."""

    def __init__(self, way: CurrentWay, sock: socket.socket, packet_way: PacketWay) -> None:
        super().__init__(way.association.engine, sock)
        self.packet_way = packet_way
        #: Whether anything that opens has come by it.
        self.answered = False
        self._way = way
        self._association = way.association

    def send(self, address: Address, payload: bytes) -> OSError | None:
        """Send a payload, or return why not."""
        try:
            packet = self.packet_way.packets.seal(address, payload, time())
        except OSError as error:  # no random bytes
            return error
        outcome = self._send(packet)
        if outcome is not None and outcome.errno in _FROM_ICMP:
            # That was about an earlier datagram; this one was not tried yet.
            self.error_received(outcome)
            outcome = self._send(packet)
        return outcome

    def _send(self, packet: bytes) -> OSError | None:
        try:
            self.socket.send(packet)
        except OSError as error:
            return error
        return None

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError) and exc.errno in _REFUSALS and self._way.is_current(self):
            self._way.lose(REFUSED)

    def datagram_received(self, data: bytes, addr: SockAddr) -> None:
        if self.closed:
            return
        try:
            _, address, payload = self.packet_way.packets.open(data, time())
        except ProtocolError as error:
            self._association.drop(error.status)
            return
        self._way.heard(self)
        self._association.backward(address, payload)


class CurrentWay(Side):
    """Faces the servers that an association's datagrams go through, once they are known.

    A way that can be renewed (:attr:`fastsocks.relay.packet_way.PacketWay.renew`) is renewed where

    - it, or one before it, has answered, and there was no answer to three datagrams and for as
      long as the engine's patience, or twice the longest time that an answer took so far;
    - ICMP refuses what is sent by it;
    - the server's address is no longer one of its name, and there is no answer.

    Without an answer that happens after 1 s at the earliest, then after 4, 16 and 60 s, so that
    what only flows one way keeps its port unless its server has moved. Answers by the old way are
    still taken; if the new one has not answered by then, the old one is gone on by.

    :param find: looks for one when it is needed, and again when that is lost, see
        :class:`._udp_association_py.Engine`; None: it is given to :meth:`lead`, and the association
        ends with it.
    """

    def __init__(self, association: Association, find: FindWay | None) -> None:
        self.association = association
        self._engine = association.engine
        self._find = find
        self._port: ServerPort | None = None
        # What it took the place of, and may still be answered by.
        self._former: ServerPort | None = None
        self._control: Control | None = None
        self._finding: asyncio.Task[None] | None = None
        self._waiting: list[tuple[Address, bytes]] = []
        self._rests_until = 0.0
        # Whether there ever was an answer; datagrams since the last one, when the first and the
        # last of them were sent, and for how long there was none where one came after all.
        self._answered = False
        self._unanswered = 0
        self._unanswered_since = 0.0
        self._sent_at = 0.0
        self._longest_gap = 0.0
        self._renewing: asyncio.Task[None] | None = None
        self._renews_after = 0.0
        self._rest = _FIRST_REST
        self._looks_after = 0.0

    def is_current(self, port: ServerPort) -> bool:
        """Tell whether datagrams are sent by a port now."""
        return port is self._port

    def lead(self, packet_way: PacketWay) -> None:
        """Connect to where `packet_way` says, from now on.

        :raises OSError: there is no way there, or no socket can be had.
        """
        family, sockaddr = packet_way.server
        sock = open_datagram_socket(family)
        try:
            sock.connect(sockaddr)
        except BaseException:
            sock.close()
            raise
        self._port = ServerPort(self, sock, packet_way)
        self._control = packet_way.control
        if packet_way.control is not None:
            packet_way.control.ended = self._lost
        self._unanswered = 0
        self._looks_after = monotonic() + self._engine.patience

    def send(self, address: Address, payload: bytes) -> None:
        """Send a payload to `address`, of which the last server is told, or let it wait."""
        if self._port is not None:
            outcome: OSError | str | None = self.association.limited(len(payload), up=True)
            if outcome is None:
                outcome = self._port.send(address, payload)
                self._count_unanswered()
            self.association.count_up(outcome, len(payload))
            return
        if self._finding is None:
            # One that was given ends with its association.
            if self._find is None or monotonic() < self._rests_until:
                self.association.drop("upstream")
                return
            self._finding = self._begin(self._found_by(self._find))
        if not self._engine.table.let_wait(self.association, len(payload)):
            self.association.drop("waiting")
            return
        self._waiting.append((address, payload))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # Not by the loop's factory, which may be an eager one: see _udp_targets_py.py.
        task = asyncio.Task(work, loop=self._engine.loop)
        self._engine.tasks.add(task)
        task.add_done_callback(self._engine.tasks.discard)
        return task

    def _count_unanswered(self) -> None:
        now = self.association.touched
        if self._unanswered == 0 or now - self._sent_at > _IDLE:
            self._unanswered_since = now
        self._unanswered += 1
        self._sent_at = now
        if self._unanswered >= _UNANSWERED:
            self._look_after(now)

    def _look_after(self, now: float) -> None:
        """Renew a way that does not answer any more, or whose server has moved."""
        patience = self._engine.patience
        if self._answered and now - self._unanswered_since >= max(
            patience, min(2 * self._longest_gap, _LONGEST_PATIENCE)
        ):
            self.lose(SILENT)
        elif now >= self._looks_after and now - self.association.answered >= patience:
            self._looks_after = now + patience
            self._renew(None)

    def heard(self, port: ServerPort) -> None:
        """Note that something came by a port; by the former one the way goes on, if need be."""
        if port is not self._port:
            if self._port is None or self._port.answered:
                return
            self._former, self._port = self._port, port
        elif self._unanswered:
            self._longest_gap = max(self._longest_gap, monotonic() - self._unanswered_since)
        port.answered = self._answered = True
        self._unanswered = 0
        self._rest = _FIRST_REST

    def lose(self, why: str) -> None:
        """Renew the way, unless that was done just now."""
        now = monotonic()
        if now < self._renews_after or self._renewing is not None:
            return
        self._renews_after = now + self._rest
        self._rest = min(4 * self._rest, _LONGEST_REST)
        self._renew(why)

    def _renew(self, why: str | None) -> None:
        if self._renewing is None and self._port is not None:
            renew = self._port.packet_way.renew
            if renew is not None:
                self._renewing = self._begin(self._renewed_by(renew, why))

    async def _renewed_by(self, renew: Renew, why: str | None) -> None:
        try:
            packet_way = await renew(why)
            if packet_way is not None:
                self._go_by(packet_way)
        except (FastsocksError, OSError):
            # The old way stays as it is, until the next time.
            pass
        finally:
            if why is not None:
                self._unanswered = 0
            self._renewing = None

    def _go_by(self, packet_way: PacketWay) -> None:
        """Go another way from now on, and listen to the old one that was last heard of."""
        old = self._port
        self.lead(packet_way)
        if old is not None and (old.answered or self._former is None):
            old, self._former = self._former, old
        if old is not None:
            old.close()

    async def _found_by(self, find: FindWay) -> None:
        packet_way: PacketWay | None = None
        try:
            packet_way = await find(self.association.client_host)
            self.lead(packet_way)
        except (FastsocksError, OSError):
            if packet_way is not None and packet_way.control is not None:
                packet_way.control.close()
            self._rests_until = monotonic() + _REST
            for _ in self._release():
                self.association.drop("upstream")
        self._finding = None
        for address, payload in self._release():
            self.send(address, payload)

    def _release(self) -> list[tuple[Address, bytes]]:
        waiting, self._waiting = self._waiting, []
        for _, payload in waiting:
            self._engine.table.release(self.association, len(payload))
        return waiting

    def _lost(self) -> None:
        self.close()
        if self._find is None:
            self.association.end_by_itself()

    def close(self) -> None:
        """Close the sockets, and let nothing wait any more; again does nothing."""
        for task in (self._finding, self._renewing):
            if task is not None:
                task.cancel()
        self._finding = self._renewing = None
        self._release()
        for port in (self._port, self._former):
            if port is not None:
                port.close()
        self._port = self._former = None
        control, self._control = self._control, None
        if control is not None:
            control.ended = None
            control.close()
