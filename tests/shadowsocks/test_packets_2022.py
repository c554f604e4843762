"""Sessions, packet IDs, clocks, users and padding of 2022 packets (SIP022 3.2, SIP023)."""

from __future__ import annotations

import random
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
)
from packet_ends import (
    WINDOW,
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
DNS = Address.of("192.0.2.1", 53)
LAST_ID = 2**64 - 1

each_method = pytest.mark.parametrize("method", AEAD_2022)


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
