"""Many datagrams through local and server, every one accounted for."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from typing import NamedTuple

import pytest

from end_to_end.entrances import Entrance
from harness.deadline import wait_until
from harness.listener import SocketAddress
from harness.pattern import pattern
from harness.services import start_local
from harness.udp import Echo, UdpAssociation, build_datagram, read_datagram

COUNT = 1_000_000
#: Datagrams on their way at most: no more than the smallest buffer on it holds.
WINDOW = 32
SIZES = (8, 64, 512, 1200, 1400)
#: Datagrams over the rough path, a multiple of the window.
ROUGH_COUNT = 20 * WINDOW
#: Seconds without an answer after which what is under way counts as lost.
PATIENCE = 1.0


class Account(NamedTuple):
    """What became of the datagrams of a soak."""

    answered: int
    lost: int
    doubled: int
    reordered: int


def soak(client: UdpAssociation, target: SocketAddress, count: int) -> Account:
    """Exchange numbered datagrams with an echo, `WINDOW` at a time."""
    sent = answered = doubled = reordered = lost = 0
    highest = -1
    pending: set[int] = set()
    while sent < count or pending:
        while sent < count and len(pending) < WINDOW:
            client.send(struct.pack("!Q", sent) + body(sent), target)
            pending.add(sent)
            sent += 1
        if not select.select([client.socket], [], [], PATIENCE)[0]:
            lost += len(pending)
            pending.clear()
            continue
        payload, source = client.receive()
        (number,) = struct.unpack_from("!Q", payload)
        assert payload[8:] == body(number), f"datagram {number} was changed"
        assert source == target
        if number not in pending:
            doubled += 1
            continue
        pending.remove(number)
        answered += 1
        reordered += number < highest
        highest = max(highest, number)
    return Account(answered, lost, doubled, reordered)


def body(number: int) -> bytes:
    return pattern(SIZES[number % len(SIZES)] - 8, start=number % 1_000_003)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_datagram_comes_back_once_and_in_order(tunnel_2022: Entrance) -> None:
    with UdpAssociation(tunnel_2022.address) as client, Echo() as target:
        account = soak(client, target.address, COUNT)
    assert account == Account(COUNT, lost=0, doubled=0, reordered=0)


class RoughRelay:
    """Stands between local and server; loses, doubles and reorders what passes it."""

    def __init__(self, server: SocketAddress) -> None:
        self._server = server
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._back.connect(server)
        self.address = SocketAddress(*self._front.getsockname())
        self.lost = 0
        self.doubled = 0
        self._chance = random.Random(1928)
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._client: tuple[str, int] | None = None
        self._held: dict[socket.socket, bytes] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            readable, _, _ = select.select(
                [self._front, self._back, self._stop_reader], [], [], 0.01
            )
            if self._stop_reader in readable:
                return
            if not readable:
                for sock in list(self._held):
                    self._pass_on(sock, self._held.pop(sock))
            for sock in readable:
                data, source = sock.recvfrom(0x10000)
                if sock is self._front:
                    self._client = source
                self._treat(sock, data)

    def _treat(self, sock: socket.socket, data: bytes) -> None:
        chance = self._chance.random()
        if chance < 0.05:
            self.lost += 1
            return
        if chance < 0.10:
            self.doubled += 1
            self._pass_on(sock, data)
        elif chance < 0.20 and sock not in self._held:
            self._held[sock] = data
            return
        self._pass_on(sock, data)
        if sock in self._held:
            self._pass_on(sock, self._held.pop(sock))

    def _pass_on(self, sock: socket.socket, data: bytes) -> None:
        if sock is self._front:
            self._back.send(data)
        elif self._client is not None:
            self._front.sendto(data, self._client)

    def close(self) -> None:
        """Stop."""
        self._stop_writer.close()
        self._thread.join()
        for sock in (self._stop_reader, self._front, self._back):
            sock.close()


def answers_within(client: UdpAssociation, seconds: float) -> list[int]:
    """Return the answers until there is none for so long."""
    numbers = []
    while select.select([client.socket], [], [], seconds)[0]:
        numbers.append(int(client.receive().payload))
    return numbers


def test_a_rough_path_loses_and_reorders_but_doubles_nothing(tunnel_2022: Entrance) -> None:
    """Doubled packets are replays, which neither end lets through."""
    assert tunnel_2022.server is not None
    rough = RoughRelay(tunnel_2022.server.address)
    try:
        with (
            start_local(rough.address, tunnel_2022.method or "", tunnel_2022.key or "") as local,
            UdpAssociation(local.address) as client,
            Echo() as target,
        ):
            numbers: list[int] = []
            for start in range(0, ROUGH_COUNT, WINDOW):
                for number in range(start, start + WINDOW):
                    client.send(b"%d" % number, target.address)
                # What comes later than that is taken in later.
                numbers += answers_within(client, 0.03)
            numbers += answers_within(client, 0.5)
            assert len(numbers) == len(set(numbers)), "one came twice"
            assert rough.doubled > 20
            # Each is lost with 5 % either way.
            assert ROUGH_COUNT - rough.lost == len(numbers)
            assert numbers != sorted(numbers), "none was reordered"
    finally:
        rough.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_flood_takes_bounded_memory(tunnel_2022: Entrance) -> None:
    """Of what does not open, what is foreign, and fragments without an end."""
    assert tunnel_2022.server is not None
    process, server = tunnel_2022.socks.process, tunnel_2022.server.process
    with (
        UdpAssociation(tunnel_2022.address) as client,
        Echo() as target,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        assert client.exchange(b"x", target.address) == b"x"
        before = (process.resident_bytes, server.resident_bytes)
        garbage = random.Random(1).randbytes(1400)
        for number in range(50_000):
            stranger.sendto(garbage, tunnel_2022.server.address)
            stranger.sendto(build_datagram(garbage, target.address), client.relay)
            client.send(garbage, target.address, 1 + number % 127)

        def answers() -> bool:
            client.send(b"still there", target.address)
            if not select.select([client.socket], [], [], 0.2)[0]:
                return False
            payload = read_datagram(client.socket.recv(0x10000)).payload
            assert payload == b"still there"
            return True

        wait_until(answers, "it answers again")
        for now, then in zip((process.resident_bytes, server.resident_bytes), before, strict=True):
            assert now - then < 16_000_000
