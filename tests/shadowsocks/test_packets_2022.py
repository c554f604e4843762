"""Sessions, packet IDs, clocks, users and padding of 2022 packets (SIP022 3.2, SIP023)."""

from __future__ import annotations

import gc
import random
import tracemalloc
import weakref
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import (
    AddressError,
    AddressTypeError,
    HeaderError,
    ReplayError,
    TagError,
    TimestampError,
    TruncatedError,
    UserError,
)
from packet_ends import (
    WINDOW,
    forge,
    ids,
    new_packet_client,
    new_packet_server,
    outcome_of,
    request_body,
)
from shadowsocks_ends import AEAD_2022, NOW, WITH_USERS, psk

WEB = Address.of("192.0.2.1", 443)
DNS = Address.of("192.0.2.1", 53)
LAST_ID = 2**64 - 1

each_method = pytest.mark.parametrize("method", AEAD_2022)
each_with_users = pytest.mark.parametrize("method", WITH_USERS)


def pair(shadowsocks: Any, method: str, **options: Any) -> tuple[Any, Any]:
    return (
        new_packet_client(shadowsocks, method),
        new_packet_server(shadowsocks, method, **options),
    )


def session_of(server: Any, packet: bytes, now: float = NOW) -> Any:
    session, _, _ = server.open(packet, now)
    return session


@each_method
def test_one_session_for_each_client(shadowsocks: Any, method: str) -> None:
    first, server = pair(shadowsocks, method)
    second = new_packet_client(shadowsocks, method)
    assert first.session_id != second.session_id
    sessions = [session_of(server, client.seal(WEB, b"", NOW)) for client in (first, second)]
    for client, session in zip((first, second), sessions, strict=True):
        for _ in range(3):
            assert session_of(server, client.seal(WEB, b"", NOW)) is session
        assert session.client_session_id == client.session_id
        assert session.user is None
        assert session.association is None
    assert len(server) == 2


@each_method
def test_the_server_has_a_session_of_its_own(shadowsocks: Any, method: str) -> None:
    seen = set()
    for _ in range(5):
        client, server = pair(shadowsocks, method)
        session = session_of(server, client.seal(WEB, b"", NOW))
        assert (session.server_session_id, session.packet_id) == (None, 0)
        for number in range(3):
            assert session.packet_id == number
            client.open(server.seal(WEB, b"", NOW, session), NOW)
            seen.add(session.server_session_id)
        assert session.server_session_id not in (None, client.session_id)
    assert len(seen) == 5


@each_method
def test_packet_ids_count_from_0(shadowsocks: Any, method: str) -> None:
    client, server = pair(shadowsocks, method)
    assert client.packet_id == 0
    for number in range(1, 4):
        server.open(client.seal(WEB, b"", NOW), NOW)
        assert client.packet_id == number


@each_method
def test_any_first_packet_id(shadowsocks: Any, method: str) -> None:
    for first in (0, 1, 5000, LAST_ID - 1, LAST_ID):
        server = new_packet_server(shadowsocks, method)
        packet = forge(method, ids(7, first), request_body(WEB.wire))
        server.open(packet, NOW)
        with pytest.raises(ReplayError):
            server.open(packet, NOW)


@each_method
def test_replays_are_dropped_on_both_ends(shadowsocks: Any, method: str) -> None:
    client, server = pair(shadowsocks, method)
    packets = [client.seal(WEB, bytes((n,)), NOW) for n in range(20)]
    random.Random(method).shuffle(packets)
    for packet in packets:
        session = session_of(server, packet)
    answers = [server.seal(WEB, bytes((n,)), NOW, session) for n in range(20)]
    random.Random(method).shuffle(answers)
    for answer in answers:
        client.open(answer, NOW)
    for end, sent in ((server, packets), (client, answers)):
        for packet in sent:
            with pytest.raises(ReplayError):
                end.open(packet, NOW)


@each_method
def test_the_window(shadowsocks: Any, method: str) -> None:
    server = new_packet_server(shadowsocks, method)
    highest = 10_000

    def opens(packet_id: int) -> bool:
        result = outcome_of(server, forge(method, ids(7, packet_id), request_body(WEB.wire)))
        assert isinstance(result, tuple) or result is ReplayError
        return result is not ReplayError

    assert opens(highest)
    assert opens(highest - WINDOW + 1)
    assert not opens(highest - WINDOW + 1)
    assert not opens(highest - WINDOW)
    assert opens(highest - 1000)
    assert not opens(highest)
    assert opens(highest + 2)
    assert not opens(highest - WINDOW + 2)
    assert opens(highest - WINDOW + 3)


@each_method
def test_a_forged_packet_takes_no_packet_id(shadowsocks: Any, method: str) -> None:
    client, server = pair(shadowsocks, method)
    session_of(server, client.seal(WEB, b"", NOW))
    packet = client.seal(WEB, b"payload", NOW)
    forged = packet[:-1] + bytes((packet[-1] ^ 1,))
    with pytest.raises(TagError):
        server.open(forged, NOW)
    late = forge(
        method,
        client.session_id + (1).to_bytes(8, "big"),
        request_body(WEB.wire, stamp=NOW + 31),
    )
    with pytest.raises(TimestampError):
        server.open(late, NOW)
    assert server.open(packet, NOW)[2] == b"payload"


@each_method
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (request_body(WEB.wire, kind=1), HeaderError),
        (request_body(WEB.wire, kind=2), HeaderError),
        (request_body(WEB.wire, stamp=NOW + 31), TimestampError),
        (request_body(WEB.wire, stamp=NOW - 31), TimestampError),
        (request_body(WEB.wire, stamp=0), TimestampError),
        (request_body(WEB.wire, stamp=2**63 - 1), TimestampError),
        (request_body(WEB.wire, stamp=2**64 - 1), TimestampError),
        (request_body(WEB.wire, said=8), HeaderError),
        (request_body(WEB.wire, said=0xFFFF), HeaderError),
        (request_body(WEB.wire, said=7), HeaderError),
        (request_body(b"\x00"), AddressTypeError),
        (request_body(b"\x05" + bytes(30)), AddressTypeError),
        (request_body(b"\x03\x00\x00\x50"), AddressError),
        (request_body(b"\x03\x01\x00\x00\x50"), AddressError),
        *((request_body(WEB.wire)[:size], HeaderError) for size in range(18)),
    ],
)
def test_bad_bodies(shadowsocks: Any, method: str, body: bytes, error: type[Exception]) -> None:
    server = new_packet_server(shadowsocks, method)
    with pytest.raises(error) as caught:
        server.open(forge(method, ids(7, 0), body), NOW)
    assert type(caught.value) is error
    assert len(server) == 0
    assert session_of(server, forge(method, ids(7, 0), request_body(WEB.wire)))


@each_method
@pytest.mark.parametrize("padding", [0, 1, 900, 901, 20_000])
def test_any_padding_is_taken(shadowsocks: Any, method: str, padding: int) -> None:
    server = new_packet_server(shadowsocks, method)
    body = request_body(WEB.wire + b"payload", padding=padding)
    _, address, payload = server.open(forge(method, ids(7, 0), body), NOW)
    assert (address, payload) == (WEB, b"payload")


@each_method
@pytest.mark.parametrize("skew", [-31, -30, 0, 30, 31])
def test_clocks(shadowsocks: Any, method: str, skew: int) -> None:
    client, server = pair(shadowsocks, method)
    session = session_of(server, client.seal(WEB, b"", NOW))
    request = client.seal(WEB, b"", NOW + skew)
    answer = server.seal(WEB, b"", NOW + skew, session)
    for end, packet in ((server, request), (client, answer)):
        if abs(skew) <= 30:
            end.open(packet, NOW)
            continue
        where = "ahead of" if skew > 0 else "behind"
        with pytest.raises(TimestampError, match=f"31 s {where} ours"):
            end.open(packet, NOW)


@each_method
def test_directions(shadowsocks: Any, method: str) -> None:
    client, server = pair(shadowsocks, method)
    request = client.seal(WEB, b"payload", NOW)
    session = session_of(server, request)
    answer = server.seal(WEB, b"payload", NOW, session)
    with pytest.raises(HeaderError, match="direction"):
        server.open(answer, NOW)
    with pytest.raises(HeaderError, match="direction"):
        client.open(request, NOW)
    assert len(server) == 1
    assert client.open(answer, NOW)[2] == b"payload"


@each_method
def test_an_answer_to_somebody_else(shadowsocks: Any, method: str) -> None:
    client, server = pair(shadowsocks, method)
    other = new_packet_client(shadowsocks, method)
    answer = server.seal(WEB, b"", NOW, session_of(server, client.seal(WEB, b"", NOW)))
    with pytest.raises(HeaderError, match="another session"):
        other.open(answer, NOW)
    client.open(answer, NOW)


@each_method
def test_no_answer_without_a_session(shadowsocks: Any, method: str) -> None:
    server = new_packet_server(shadowsocks, method)
    with pytest.raises(ValueError, match="session"):
        server.seal(WEB, b"", NOW)


@each_method
def test_the_server_restarts(shadowsocks: Any, method: str) -> None:
    client, server = pair(shadowsocks, method)

    def answer(of: Any, now: int, number: int) -> bytes:
        session = session_of(of, client.seal(WEB, b"", now), now)
        packet: bytes = of.seal(WEB, bytes((number,)), now, session)
        return packet

    first = server
    assert client.open(answer(first, NOW, 1), NOW)[2] == b"\1"
    second = new_packet_server(shadowsocks, method)
    assert client.open(answer(second, NOW + 1, 2), NOW + 1)[2] == b"\2"
    # What the first one sent before it ended may still be on its way.
    assert client.open(answer(first, NOW + 2, 3), NOW + 2)[2] == b"\3"
    third = new_packet_server(shadowsocks, method)
    with pytest.raises(HeaderError, match="third"):
        client.open(answer(third, NOW + 61, 4), NOW + 61)
    assert client.open(answer(second, NOW + 61, 5), NOW + 61)[2] == b"\5"
    assert client.open(answer(third, NOW + 62, 6), NOW + 62)[2] == b"\6"
    with pytest.raises(HeaderError, match="third"):
        client.open(answer(first, NOW + 62, 7), NOW + 62)


@each_method
def test_a_failed_answer_begins_no_session(shadowsocks: Any, method: str) -> None:
    client, server = pair(shadowsocks, method)
    session = session_of(server, client.seal(WEB, b"", NOW))
    client.open(server.seal(WEB, b"", NOW, session), NOW)
    for _ in range(3):
        server.begin(session)
        with pytest.raises(TimestampError):
            client.open(server.seal(WEB, b"", NOW + 100, session), NOW)
    server.begin(session)
    client.open(server.seal(WEB, b"", NOW, session), NOW)


@each_method
def test_the_client_begins_another_session(shadowsocks: Any, method: str) -> None:
    client, server = pair(shadowsocks, method)
    before = session_of(server, client.seal(WEB, b"", NOW))
    old_answer = server.seal(WEB, b"", NOW, before)
    client.begin()
    after = session_of(server, client.seal(WEB, b"", NOW))
    assert after is not before
    assert len(server) == 2
    client.open(server.seal(WEB, b"", NOW, after), NOW)
    with pytest.raises(HeaderError):
        client.open(old_answer, NOW)


@each_method
def test_the_packet_ids_end(shadowsocks: Any, method: str) -> None:
    client, server = pair(shadowsocks, method)
    client.begin(b"12345678", LAST_ID - 1)
    before = session_of(server, client.seal(WEB, b"", NOW))
    assert (before.client_session_id, client.packet_id) == (b"12345678", LAST_ID)
    after = session_of(server, client.seal(WEB, b"", NOW))
    assert after.client_session_id == client.session_id != b"12345678"
    assert client.packet_id == 1
    server.begin(after, b"abcdefgh", LAST_ID - 1)
    client.open(server.seal(WEB, b"", NOW, after), NOW)
    assert (after.server_session_id, after.packet_id) == (b"abcdefgh", LAST_ID)
    client.open(server.seal(WEB, b"", NOW, after), NOW)
    assert after.server_session_id != b"abcdefgh"
    assert after.packet_id == 1


@each_method
def test_wrong_ids(shadowsocks: Any, method: str) -> None:
    client, server = pair(shadowsocks, method)
    session = session_of(server, client.seal(WEB, b"", NOW))
    with pytest.raises(ValueError, match="session ID"):
        client.begin(b"1234567")
    with pytest.raises(ValueError, match="session ID"):
        server.begin(session, b"123456789")


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


def server_with_users(shadowsocks: Any, method: str) -> Any:
    users = {"alice": psk(method, 1), "bob": psk(method, 2)}
    return new_packet_server(shadowsocks, method, users=users)


def user_key(method: str, which: int) -> str:
    return f"{psk(method)}:{psk(method, which)}"


@each_with_users
def test_users(shadowsocks: Any, method: str) -> None:
    server = server_with_users(shadowsocks, method)
    for which, name in ((1, "alice"), (2, "bob"), (1, "alice")):
        client = new_packet_client(shadowsocks, method, user_key(method, which))
        other = new_packet_client(shadowsocks, method, user_key(method, 3 - which))
        session = session_of(server, client.seal(WEB, b"", NOW))
        assert session.user == name
        answer = server.seal(WEB, b"payload", NOW, session)
        with pytest.raises(TagError):
            other.open(answer, NOW)
        assert client.open(answer, NOW)[2] == b"payload"
    assert len(server) == 3


@each_with_users
def test_an_unknown_user(shadowsocks: Any, method: str) -> None:
    server = server_with_users(shadowsocks, method)
    stranger = new_packet_client(shadowsocks, method, user_key(method, 3))
    with pytest.raises(UserError):
        server.open(stranger.seal(WEB, b"", NOW), NOW)
    # Without an identity header the body stands in its place.
    with pytest.raises(UserError):
        server.open(new_packet_client(shadowsocks, method).seal(WEB, b"", NOW), NOW)
    assert len(server) == 0


@each_with_users
def test_a_session_belongs_to_its_user(shadowsocks: Any, method: str) -> None:
    server = server_with_users(shadowsocks, method)
    alice, bob = (
        [
            forge(method, ids(7, packet), request_body(WEB.wire), user_key(method, which))
            for packet in range(3)
        ]
        for which in (1, 2)
    )
    session = session_of(server, alice[0])
    for packet in bob:
        with pytest.raises(UserError):
            server.open(packet, NOW)
    # The right name with another user's key.
    mixed = alice[1][:32] + bob[1][32:]
    with pytest.raises(TagError):
        server.open(mixed, NOW)
    assert session_of(server, alice[1]) is session
    assert len(server) == 1


@each_with_users
def test_an_identity_header_for_a_server_without_users(shadowsocks: Any, method: str) -> None:
    client = new_packet_client(shadowsocks, method, user_key(method, 1))
    with pytest.raises(TagError):
        new_packet_server(shadowsocks, method).open(client.seal(WEB, b"", NOW), NOW)


@each_with_users
def test_truncated_with_users(shadowsocks: Any, method: str) -> None:
    server = server_with_users(shadowsocks, method)
    packet = new_packet_client(shadowsocks, method, user_key(method, 1)).seal(WEB, b"", NOW)
    for size in range(len(packet)):
        with pytest.raises(TruncatedError if size < 48 else TagError):
            server.open(packet[:size], NOW)
    assert session_of(server, packet).user == "alice"


def padded(ends: tuple[Any, Any], address: Address, size: int) -> tuple[int, int]:
    """Return how much padding a packet and its answer have."""
    client, server = ends
    packet = client.seal(address, bytes(size), NOW)
    session = session_of(server, packet)
    answer = server.seal(address, bytes(size), NOW, session)
    client.open(answer, NOW)
    # What `overhead` allows for: the longest address, and the most padding.
    shorter = 259 - len(address.wire) + 900 - size
    return len(packet) - client.overhead + shorter, len(answer) - server.overhead + shorter


@each_method
def test_dns_is_padded(shadowsocks: Any, method: str) -> None:
    ends = pair(shadowsocks, method)
    found = [padded(ends, DNS, 40) for _ in range(60)]
    for direction in zip(*found, strict=True):
        assert all(1 <= size <= 900 for size in direction)
        assert len(set(direction)) > 20
    assert padded(ends, WEB, 40) == (0, 0)
    assert padded(ends, Address.of("192.0.2.1", 0x3500), 40) == (0, 0)
    assert padded(ends, WEB, 0) == (0, 0)


@each_method
def test_padding_keeps_to_the_mtu(shadowsocks: Any, method: str) -> None:
    for mtu in (1280, 1500):
        client = new_packet_client(shadowsocks, method, mtu=mtu)
        server = new_packet_server(shadowsocks, method, mtu=mtu)
        room = mtu - 48
        for size in (*range(1100, 1500, 7), 3000):
            packet = client.seal(DNS, bytes(size), NOW)
            session = session_of(server, packet)
            answer = server.seal(DNS, bytes(size), NOW, session)
            assert len(packet) <= max(room, size + client.overhead - 900 - 259 + 7)
            assert len(answer) <= max(room, size + server.overhead - 900 - 259 + 7)
            client.open(answer, NOW)
