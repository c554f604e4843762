"""Datagrams: of SOCKS5, and of Shadowsocks on both sides."""

from __future__ import annotations

from typing import Any

from fastsocks.address import Address
from fastsocks.shadowsocks.methods import METHODS
from fastsocks.socks.datagrams import Reassembler
from packet_ends import forge, ids, new_packet_client, new_packet_server, outcome_of
from shadowsocks_ends import AEAD_2022, NAMES, NOW, psk
from twins import IMPLEMENTATIONS, import_twin

from ..oracle import Input, agree, outcome
from .shadowsocks import TWINS

_READERS = {one: import_twin("fastsocks.socks", "_datagrams", one) for one in IMPLEMENTATIONS}
_PACKETS = {one: import_twin("fastsocks.relay", "_socks_packets", one) for one in IMPLEMENTATIONS}
_SESSION = bytes(range(8))
_MOST = 24


def socks(data: bytes) -> None:
    """Datagrams of a client of SOCKS5, one behind the other as length and bytes."""
    chosen = Input(data)
    queue = Reassembler()
    now = 0.0
    for _ in range(_MOST):
        if not chosen:
            break
        now += chosen.byte() / 32
        datagram = chosen.take(chosen.number() % 0x400)
        agree((one, outcome(_READERS[one].read_datagram, datagram)) for one in IMPLEMENTATIONS)
        outcome(queue.add, datagram, now)
        if len(queue) > 65_507:
            raise AssertionError("more is held than is allowed")
        if len(datagram):
            agree((one, outcome_of(_PACKETS[one].SocksPackets(), datagram)) for one in _PACKETS)


def server(data: bytes) -> None:
    """Packets of clients."""
    chosen = Input(data)
    name, options = NAMES[chosen.byte() % len(NAMES)], chosen.byte()
    with_users = bool(options & 1) and METHODS[name].identity_headers
    users = {"alice": psk(name, 1), "bob": psk(name, 2)} if with_users else {}

    def make(twin: Any) -> Any:
        bounds: Any = {"max_sessions": 2, "retention": 62, "memory": twin.ReplayMemory(64, 63)}
        return new_packet_server(twin, name, users=users, **bounds)

    _play(chosen, name, make, f"{psk(name)}:{psk(name, 1)}" if with_users else None)


def client(data: bytes) -> None:
    """Packets of a server."""
    chosen = Input(data)
    name, _ = NAMES[chosen.byte() % len(NAMES)], chosen.byte()

    def make(twin: Any) -> Any:
        codec = new_packet_client(twin, name)
        if name in AEAD_2022:
            codec.begin(_SESSION)
        return codec

    _play(chosen, name, make, None)


def _play(chosen: Input, name: str, make: Any, key: str | None) -> None:
    """Hand the packets of an input to the codecs of both twins."""
    codecs = {one: make(TWINS[one]) for one in IMPLEMENTATIONS}
    now = NOW
    for _ in range(_MOST):
        if not chosen:
            break
        packet, later = _packet(chosen, name, key)
        now += later
        agree((one, outcome_of(codecs[one], packet, now)) for one in IMPLEMENTATIONS)
        if hasattr(codecs["python"], "__len__"):
            agree((one, len(codecs[one])) for one in IMPLEMENTATIONS)


def _packet(chosen: Input, name: str, key: str | None) -> tuple[bytes, int]:
    """Take a packet: as it is, or its plaintext, which is sealed here."""
    how, later = chosen.byte(), chosen.byte()
    size = chosen.number() % 0x800
    if not how & 1:
        return chosen.take(size), later
    if name in AEAD_2022:
        numbers = ids(chosen.byte() % 4, chosen.number())
        body = chosen.take(size)
        if how & 2:
            # Type and time, which every packet begins with, and the session a server repeats.
            body = bytes((how >> 2 & 1,)) + NOW.to_bytes(8, "big") + body
            body = body[:9] + _SESSION + body[9:] if how & 4 else body
        return forge(name, numbers, body, key), later
    salt = bytes((chosen.byte(),)) * METHODS[name].salt_size
    sealer = new_packet_client(TWINS["python"], name)
    # No address is longer, and the codec refuses one that is.
    sealed: bytes = sealer.seal(Address(chosen.take(min(size, 259))), b"", NOW, salt=salt)
    return sealed, later
