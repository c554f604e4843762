"""How an association reaches targets directly, names among them: pure Python.

Part of ``_udp_py.py``; the twin of ``_udp_targets.pxi``.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import FastsocksError
from ..net import has_route
from ._udp_association_py import Side
from ._udp_ports_py import Port, address_of

if TYPE_CHECKING:
    from ..address import Address
    from ..net.resolver import AddrInfo
    from ._udp_association_py import Association
    from ._udp_ports_py import SockAddr

# Names of which one association remembers the address that it sends to.
_NAMES = 64

# What says nothing of another address of the same name.
_NOT_ABOUT_THE_WAY = (errno.EAGAIN, errno.ENOBUFS, errno.EMSGSIZE)


class TargetPort(Port):
    """Faces targets: unconnected, so that whoever learns its port can answer (full cone)."""

    def __init__(self, association: Association, sock: socket.socket) -> None:
        super().__init__(association.engine, sock)
        self._association = association

    def datagram_received(self, data: bytes, addr: SockAddr) -> None:
        if not self.closed:
            self._association.backward(address_of(addr[0], addr[1]), data)


class _Chosen:
    """The address that the datagrams to a name are sent to."""

    __slots__ = ("address", "good_until")

    def __init__(self, address: Address, good_until: float) -> None:
        self.address = address
        #: The name is asked for again after that.
        self.good_until = good_until


class Targets(Side):
    """The way of one association to targets: a socket for each family, opened when needed."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self._engine = association.engine
        self._ports: dict[int, TargetPort] = {}
        # By a name's address header; those used least recently come first.
        self._chosen: dict[bytes, _Chosen] = {}
        # What waits for names, by host.
        self._waiting: dict[str, list[tuple[Address, bytes | None]]] = {}
        self._lookups: set[asyncio.Task[None]] = set()

    def send(self, address: Address, payload: bytes) -> None:
        """Send a payload to `address`, or let it wait for its name."""
        if not address.port:
            self._association.drop("bad-address")
        elif not address.is_name:
            if self._association.is_denied(address):
                self._association.refuse()
            else:
                self._finish(payload, self._send(address, payload))
        elif (chosen := self._recall(address)) is not None:
            self._finish(payload, self._send(chosen, payload))
        elif self._association.is_denied(address):
            # What a rule refuses is not even asked for.
            self._association.refuse()
        elif (
            address.host not in self._waiting
            and (known := self._engine.resolver.cached(address.host)) is not None
        ):
            self._send_to_one(known, address, payload)
        elif self._engine.table.let_wait(self._association, len(payload)):
            self._look_up(address, payload)
        else:
            self._association.drop("waiting")

    def forget_verdicts(self) -> None:
        """Forget which addresses names lead to."""
        self._chosen.clear()

    def close(self) -> None:
        """Close the sockets, and let nothing wait any more."""
        for port in self._ports.values():
            port.close()
        for task in self._lookups:
            task.cancel()
        self._waiting.clear()

    def _finish(self, payload: bytes, outcome: OSError | str | None) -> None:
        self._association.count_up(outcome, len(payload))

    def _send(self, address: Address, payload: bytes) -> OSError | str | None:
        """Send to an IP address, or return why not."""
        if not self._association.passes(address):
            return "not-allowed"
        if (reason := self._association.limited(len(payload), up=True)) is not None:
            return reason
        family = socket.AF_INET if len(address.wire) == 7 else socket.AF_INET6
        port = self._ports.get(family)
        if port is None:
            try:
                sock = self._engine.open_outgoing(family)
            except OSError as error:
                return error
            port = self._ports[family] = TargetPort(self._association, sock)
        self._association.sent_to = address
        return port.send_to(payload, (address.host, address.port))

    def _send_to_one(self, infos: Iterable[AddrInfo], name: Address, payload: bytes) -> None:
        """Send to the first address of a name that may be reached and has a route."""
        outcome: OSError | str | None = None
        for info in infos:
            address = address_of(info[4][0], name.port)
            if self._association.is_denied(name, address.host):
                continue
            found = self._send(address, payload)
            if found is None:
                self._remember(name, address)
                self._finish(payload, None)
                return
            if outcome is None or isinstance(found, OSError):
                outcome = found
            if isinstance(found, OSError) and found.errno in _NOT_ABOUT_THE_WAY:
                break
        if outcome is None:
            self._association.refuse()
        else:
            self._finish(payload, outcome)

    def _remember(self, name: Address, address: Address) -> None:
        if len(self._chosen) >= _NAMES:
            del self._chosen[next(iter(self._chosen))]
        good_until = self._association.touched + self._engine.names_kept
        self._chosen[name.wire] = _Chosen(address, good_until)

    def _recall(self, name: Address) -> Address | None:
        """Return the address that was chosen for a name, and ask again where that is long ago."""
        chosen = self._chosen.pop(name.wire, None)
        if chosen is None:
            return None
        self._chosen[name.wire] = chosen
        now = self._association.touched
        if now > chosen.good_until:
            # As long as answers come, nothing moves: of whom they are is not told apart.
            chosen.good_until = self._association.answered + self._engine.names_kept
        if now > chosen.good_until:
            chosen.good_until = now + self._engine.names_kept
            infos = self._engine.resolver.cached(name.host)
            if infos is None:
                self._look_up(name, None)
            else:
                self._choose_again(name, infos)
        return chosen.address

    def _choose_again(self, name: Address, infos: Iterable[AddrInfo]) -> None:
        """Choose another address of a name if the old one is no longer among them."""
        chosen = self._chosen.get(name.wire)
        addresses = [address_of(info[4][0], name.port) for info in infos]
        if chosen is None or chosen.address in addresses:
            return
        for address, info in zip(addresses, infos, strict=True):
            if self._is_open(name, address, info):
                chosen.address = address
                return

    def _is_open(self, name: Address, address: Address, info: AddrInfo) -> bool:
        association = self._association
        if association.is_denied(name, address.host) or not association.passes(address):
            return False
        family, _, _, _, sockaddr = info
        return has_route(family, (sockaddr[0], address.port, *sockaddr[2:]))

    def _look_up(self, address: Address, payload: bytes | None) -> None:
        """Look a name up for a payload, or without one to choose its address again."""
        host = address.host
        if host not in self._waiting:
            self._waiting[host] = []
            # An eager task (asyncio.eager_task_factory) would be through with what is yet to come.
            task = asyncio.Task(self._wait_for(host), loop=self._engine.loop)
            self._lookups.add(task)
            task.add_done_callback(self._lookups.discard)
        self._waiting[host].append((address, payload))

    async def _wait_for(self, host: str) -> None:
        infos: list[AddrInfo] = []
        reason = "resolve"
        try:
            async with asyncio.timeout(self._engine.longest_wait):
                infos = await self._engine.resolver.resolve(host, 0, self._association.client_id)
            reason = ""
        except TimeoutError:
            pass
        except FastsocksError as error:
            reason = error.status
        finally:
            self._looked_up(host, infos, reason)

    def _looked_up(self, host: str, infos: list[AddrInfo], reason: str) -> None:
        """Send what waited for a name, or drop it for a reason."""
        for address, payload in self._waiting.pop(host, ()):
            if payload is None:
                if not reason:
                    self._choose_again(address, infos)
                continue
            self._engine.table.release(self._association, len(payload))
            if reason:
                self._association.drop(reason)
            else:
                self._send_to_one(infos, address, payload)
