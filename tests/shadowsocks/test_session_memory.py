"""What codecs know of each other's packet sessions, on both twins."""

from __future__ import annotations

import copy
import mmap
import os
import struct
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.errors import ReplayError
from fastsocks.shadowsocks.session_memory import COLUMNS, memory_size
from packet_ends import forge, ids, new_packet_server, outcome_of, request_body
from shadowsocks_ends import AEAD_2022, NOW, WITH_USERS, import_shadowsocks, psk
from twins import IMPLEMENTATIONS, import_twin

WEB = Address.of("192.0.2.1", 443)

each_method = pytest.mark.parametrize("method", AEAD_2022)


def packet(
    method: str, session: int, number: int, stamp: int = NOW, key: str | None = None
) -> bytes:
    return forge(method, ids(session, number), request_body(WEB.wire, stamp=stamp), key)


def passes(server: Any, data: bytes, now: float = NOW) -> bool:
    """Open a packet; returns False where it is refused as a replay."""
    try:
        server.open(data, now)
    except ReplayError:
        return False
    return True


@each_method
def test_a_replay_at_another_port(shadowsocks: Any, method: str) -> None:
    memory = shadowsocks.ReplayMemory()
    one, other = (new_packet_server(shadowsocks, method, memory=memory) for _ in range(2))
    packets = [packet(method, 1, number) for number in range(5)]
    assert all(passes(one, data) for data in packets[1:4])
    # What came late would pass here alone; there it may be a replay.
    assert not any(passes(other, data) for data in packets[:4])
    assert passes(one, packets[0])
    assert len(other) == 0
    # The client itself may come to another port, and back.
    assert passes(other, packets[4])
    assert not any(passes(one, data) for data in packets)
    assert passes(one, packet(method, 1, 5))
    assert not passes(other, packet(method, 1, 5))
    assert passes(other, packet(method, 1, 7))
    assert passes(other, packet(method, 1, 6))


@each_method
def test_other_keys_have_sessions_of_their_own(shadowsocks: Any, method: str) -> None:
    memory = shadowsocks.ReplayMemory()
    for which in range(3):
        server = new_packet_server(shadowsocks, method, psk(method, which), memory=memory)
        assert passes(server, packet(method, 1, 0, key=psk(method, which)))


@pytest.mark.parametrize("method", WITH_USERS)
def test_users_have_sessions_of_their_own(shadowsocks: Any, method: str) -> None:
    memory = shadowsocks.ReplayMemory()
    users = {name: psk(method, which) for which, name in enumerate(("alice", "bob"), 1)}
    servers = [new_packet_server(shadowsocks, method, users=users, memory=memory) for _ in range(2)]
    # The same ID at each server, of another user.
    sealed = [packet(method, 1, 0, key=f"{psk(method)}:{users[name]}") for name in ("alice", "bob")]
    assert all(map(passes, servers, sealed))
    for server, data in zip(servers, reversed(sealed), strict=True):
        assert not isinstance(outcome_of(server, data), tuple)


@each_method
def test_a_flood_of_sessions_makes_no_replay_pass(shadowsocks: Any, method: str) -> None:
    server = new_packet_server(shadowsocks, method, max_sessions=4)
    first = packet(method, 1, 3)
    assert passes(server, first)
    for session in range(2, 50):
        assert passes(server, packet(method, session, 0))
    assert not passes(server, first)
    assert not passes(server, packet(method, 1, 2))
    assert passes(server, packet(method, 1, 4))
    assert len(server) == 4


@each_method
def test_one_that_follows_a_codec_that_is_gone(shadowsocks: Any, method: str) -> None:
    """As the successor of a worker that died does."""
    memory = shadowsocks.ReplayMemory()
    seen = packet(method, 1, 3)
    assert passes(new_packet_server(shadowsocks, method, memory=memory), seen)
    after = new_packet_server(shadowsocks, method, memory=memory)
    assert not passes(after, seen)
    assert passes(after, packet(method, 1, 4))


@each_method
def test_what_cannot_be_remembered_is_refused(shadowsocks: Any, method: str) -> None:
    memory = shadowsocks.ReplayMemory(64, COLUMNS - 1)
    server = new_packet_server(shadowsocks, method, memory=memory)
    for session in range(1, COLUMNS):
        assert passes(server, packet(method, session, 0))
    for later in (0, 67):
        with pytest.raises(ReplayError, match="too many sessions"):
            server.open(packet(method, 0, 0, NOW + later), NOW + later)
    assert len(server) == COLUMNS - 1
    assert passes(server, packet(method, 1, 1))
    assert passes(server, packet(method, 0, 0, NOW + 68), NOW + 68)


@each_method
def test_a_clock_that_is_set_back(shadowsocks: Any, method: str) -> None:
    """Replays pass neither then, nor when the clock is where it was."""
    server = new_packet_server(shadowsocks, method)
    first = packet(method, 1, 3)
    assert passes(server, first)
    assert server.expire(NOW - 1000) == 1
    assert not passes(server, first)
    assert passes(server, packet(method, 2, 0, NOW + 3600), NOW + 3600)
    for back in (0, 3594):
        with pytest.raises(ReplayError, match="clock was set back"):
            server.open(packet(method, 3, 0, NOW + back), NOW + back)
    # A session that is known is served on.
    assert passes(server, packet(method, 2, 1, NOW), NOW)
    assert passes(server, packet(method, 3, 0, NOW + 3595), NOW + 3595)


def test_the_last_packet_id(shadowsocks: Any) -> None:
    method, memory = AEAD_2022[0], shadowsocks.ReplayMemory()
    one, other = (new_packet_server(shadowsocks, method, memory=memory) for _ in range(2))
    last = packet(method, 1, 2**64 - 1)
    assert passes(one, last)
    assert not passes(other, last)


_SHADOWSOCKS = [import_shadowsocks(one) for one in IMPLEMENTATIONS]


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 2),  # which codec
            st.integers(0, 80),  # which session
            st.integers(0, 12),  # which packet
            st.sampled_from([0, 0, 0, 0, 1, 20, 70, -3, -50, 90]),  # seconds that have passed
        ),
        max_size=60,
    )
)
def test_the_twins_agree_and_nothing_passes_twice(steps: list[tuple[int, int, int, int]]) -> None:
    method, now, passed = AEAD_2022[0], NOW, set()
    codecs = []
    for shadowsocks in _SHADOWSOCKS:
        memory = shadowsocks.ReplayMemory(64, COLUMNS - 1)
        codecs.append(
            [
                new_packet_server(shadowsocks, method, max_sessions=2, retention=62, memory=memory)
                for _ in range(3)
            ]
        )
    recorded: list[bytes] = []
    for which, session, number, seconds in steps:
        now += seconds
        recorded.append(packet(method, session, number, now))
        for data in recorded:
            cython, python = (outcome_of(one[which], data, now) for one in codecs)
            assert cython == python
            if isinstance(cython, tuple):
                assert (data, session) not in passed
                passed.add((data, session))


def _memory(implementation: str, **options: Any) -> Any:
    kind = import_twin("fastsocks.shadowsocks", "_session_memory", implementation)
    return kind.SessionMemory(COLUMNS - 1, **options)


class _Memories:
    """As much of a ReplayMemory as packets of the 2022 edition need."""

    def __init__(self, shadowsocks: Any, sessions: Any) -> None:
        self.hash = shadowsocks.ReplayMemory(64, 63).hash
        self.sessions = sessions


def test_a_process_that_died_leaves_no_lock() -> None:
    """It can be killed in the middle of writing."""
    shared = mmap.mmap(-1, memory_size(COLUMNS - 1))
    sessions = _memory("cython", memory=shared)
    memory = _Memories(import_shadowsocks("cython"), sessions)
    server = new_packet_server(import_shadowsocks("cython"), AEAD_2022[0], memory=memory)
    assert passes(server, packet(AEAD_2022[0], 1, 0))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for number, (holder, works) in enumerate(
        ((ended.pid, True), (os.getppid(), False), (0, True)), 1
    ):
        shared[64:72] = struct.pack("=Q", holder)
        found = outcome_of(server, packet(AEAD_2022[0], 1, number))
        assert isinstance(found, tuple) is works, (holder, found)


@pytest.mark.parametrize("capacity", [0, 2**32 + 1])
def test_capacities(implementation: str, capacity: int) -> None:
    kind = import_twin("fastsocks.shadowsocks", "_session_memory", implementation)
    with pytest.raises(ValueError, match="1 to 4294967296"):
        kind.SessionMemory(capacity)


def test_memory_of_another_size(implementation: str) -> None:
    with pytest.raises(ValueError, match="100 bytes of memory"):
        _memory(implementation, memory=mmap.mmap(-1, 100))


def test_memory_is_32_bytes_a_session() -> None:
    assert memory_size(1 << 18) == 64 + 8192 * 2048


def test_no_copies_in_cython() -> None:
    with pytest.raises(TypeError):
        copy.copy(_memory("cython"))
