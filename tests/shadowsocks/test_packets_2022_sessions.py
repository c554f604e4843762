"""How long sessions of packets of the 2022 edition are kept, and how many, on both twins."""

from __future__ import annotations

import gc
import random
import tracemalloc
import weakref
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import ReplayError, TimestampError
from packet_ends import (
    forge,
    ids,
    new_packet_client,
    new_packet_server,
    outcome_of,
    pair,
    request_body,
    session_of,
)
from shadowsocks_ends import AEAD_2022, NOW

WEB = Address.of("192.0.2.1", 443)

each_method = pytest.mark.parametrize("method", AEAD_2022)


@each_method
def test_sessions_are_bounded(shadowsocks: Any, method: str) -> None:
    server = new_packet_server(shadowsocks, method, max_sessions=3)
    clients = [new_packet_client(shadowsocks, method) for _ in range(4)]
    sessions = [session_of(server, client.seal(WEB, b"", NOW)) for client in clients[:3]]
    # Now the second one is the oldest.
    session_of(server, clients[0].seal(WEB, b"", NOW))
    session_of(server, clients[3].seal(WEB, b"", NOW))
    assert len(server) == 3
    assert session_of(server, clients[0].seal(WEB, b"", NOW)) is sessions[0]
    assert session_of(server, clients[2].seal(WEB, b"", NOW)) is sessions[2]
    # What is still held of a forgotten session can go on answering.
    clients[1].open(server.seal(WEB, b"", NOW, sessions[1]), NOW)
    again = session_of(server, clients[1].seal(WEB, b"", NOW))
    assert again is not sessions[1]
    assert len(server) == 3


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_flood_of_sessions(shadowsocks: Any, limit: int) -> None:
    method = AEAD_2022[0]
    server = new_packet_server(shadowsocks, method, max_sessions=limit)
    source = random.Random(limit)
    known: list[int] = []
    for _ in range(600):
        session = (
            source.choice(known) if known and source.random() < 0.4 else source.getrandbits(64)
        )
        if session in known:
            known.remove(session)
        known.append(session)
        del known[:-limit]
        packet = forge(method, ids(session, source.getrandbits(64)), request_body(WEB.wire))
        outcome_of(server, packet)
        assert len(server) == len(known)


def test_memory_stays_bounded(shadowsocks: Any) -> None:
    method = AEAD_2022[0]
    server = new_packet_server(shadowsocks, method, max_sessions=50)

    def flood(start: int) -> None:
        for number in range(start, start + 300):
            server.open(forge(method, ids(number, 0), request_body(WEB.wire)), NOW)

    flood(0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        flood(1000)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 100_000
    finally:
        tracemalloc.stop()


class Association:
    """What a relay hangs on a session."""


def test_forgotten_sessions_are_freed(shadowsocks: Any) -> None:
    method = AEAD_2022[0]
    server = new_packet_server(shadowsocks, method, max_sessions=1)
    session = session_of(server, forge(method, ids(1, 0), request_body(WEB.wire)))
    session.association = association = Association()
    association.session = session  # type: ignore[attr-defined]
    freed = weakref.ref(association)
    del session, association
    gc.collect()
    assert freed() is not None
    server.open(forge(method, ids(2, 0), request_body(WEB.wire)), NOW)
    gc.collect()
    assert freed() is None


def test_a_codec_is_freed_with_its_sessions(shadowsocks: Any) -> None:
    method = AEAD_2022[0]
    server = new_packet_server(shadowsocks, method)
    for number in range(100):
        session = session_of(server, forge(method, ids(number, 0), request_body(WEB.wire)))
        session.association = association = Association()
        association.codec = server  # type: ignore[attr-defined]
        association.session = session  # type: ignore[attr-defined]
    freed = weakref.ref(association)
    del server, session, association
    gc.collect()
    assert freed() is None


@each_method
def test_sessions_expire(shadowsocks: Any, method: str) -> None:
    first, server = pair(shadowsocks, method, retention=100)
    second = new_packet_client(shadowsocks, method)
    kept = session_of(server, first.seal(WEB, b"", NOW))
    session_of(server, second.seal(WEB, b"", NOW))
    session_of(server, first.seal(WEB, b"", NOW + 30), NOW + 30)
    assert kept.last_used == NOW + 30
    assert server.expire(NOW + 99.9) == 0
    assert server.expire(NOW + 100) == 1
    assert session_of(server, first.seal(WEB, b"", NOW + 101), NOW + 101) is kept
    # A new session clears up, too.
    other = new_packet_client(shadowsocks, method)
    session_of(server, other.seal(WEB, b"", NOW + 201), NOW + 201)
    assert len(server) == 1


@each_method
def test_a_session_outlives_its_packets(shadowsocks: Any, method: str) -> None:
    client, server = pair(shadowsocks, method, retention=0)
    packet = client.seal(WEB, b"", NOW + 30)
    server.open(packet, NOW)
    for now in range(NOW, NOW + 61):
        server.expire(now)
        with pytest.raises(ReplayError):
            server.open(packet, now)
    assert server.expire(NOW + 62) == 1
    with pytest.raises(TimestampError):
        server.open(packet, NOW + 62)


@each_method
def test_a_clock_that_is_set_back(shadowsocks: Any, method: str) -> None:
    client, server = pair(shadowsocks, method, retention=100)
    session = session_of(server, client.seal(WEB, b"", NOW))
    assert server.expire(NOW - 99) == 0
    assert session_of(server, client.seal(WEB, b"", NOW - 99), NOW - 99) is session
    assert server.expire(NOW - 99 - 86_400) == 1


def test_bounds_of_the_table(shadowsocks: Any) -> None:
    with pytest.raises(ValueError, match="sessions"):
        new_packet_server(shadowsocks, AEAD_2022[0], max_sessions=0)
