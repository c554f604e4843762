"""Both twins of the packet codecs on the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.shadowsocks.methods import METHODS
from packet_ends import (
    forge,
    ids,
    new_packet_client,
    new_packet_server,
    outcome_of,
    request_body,
)
from shadowsocks_ends import AEAD_2022, NAMES, NOW, WITH_USERS, psk

SESSIONS = [1, 2, 3, 0xFFFF_FFFF_FFFF_FFFF]

names = st.binary(max_size=9) | st.just(b"example.com")
wires = st.one_of(
    st.builds(
        lambda ip, port: b"\x01" + ip + port,
        st.binary(min_size=4, max_size=4),
        ports := st.binary(min_size=2, max_size=2),
    ),
    st.builds(lambda ip, port: b"\x04" + ip + port, st.binary(min_size=16, max_size=16), ports),
    st.builds(
        lambda ip, port: b"\x04" + bytes(10) + b"\xff\xff" + ip + port,
        st.binary(min_size=4, max_size=4),
        ports,
    ),
    st.builds(lambda name, port: b"\x03" + bytes((len(name),)) + name + port, names, ports),
    st.just(b"\x03\x0910.0.0.80\x00\x50"),
    st.binary(max_size=12),
)
contents = st.builds(lambda wire, payload: wire + payload, wires, st.binary(max_size=20))
bodies = st.builds(
    lambda body, kind, stamp, padding, said: request_body(
        body, kind=kind, stamp=stamp, padding=padding, said=said
    ),
    contents,
    st.sampled_from([0, 0, 0, 0, 1, 2, 255]),
    st.sampled_from([NOW] * 6 + [NOW - 31, NOW - 30, NOW + 30, NOW + 31, 0, 2**63, 2**64 - 1]),
    st.integers(0, 5),
    st.sampled_from([None] * 6 + [0, 1, 20, 0xFFFF]),
) | st.binary(max_size=30)
packet_ids = st.integers(0, 12) | st.sampled_from([1984, 1985, 1986, 5000, 2**64 - 2, 2**64 - 1])
later = st.sampled_from([0] * 8 + [1, 31, 59, 60, 61, -40, 1000])

relaxed = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def both(twins: Iterable[Any], make: Any, *arguments: Any, **options: Any) -> tuple[Any, Any]:
    cython, python = (make(twin, *arguments, **options) for twin in twins)
    return cython, python


@relaxed
@given(data=st.data())
@pytest.mark.parametrize("method", AEAD_2022)
def test_servers(shadowsocks_twins: Any, method: str, data: st.DataObject) -> None:
    users = {}
    keys = [psk(method)]
    if method in WITH_USERS and data.draw(st.booleans()):
        users = {"alice": psk(method, 1), "bob": psk(method, 2)}
        keys = [f"{psk(method)}:{psk(method, which)}" for which in (1, 2, 3)]
    cython, python = both(
        shadowsocks_twins, new_packet_server, method, users=users, max_sessions=2, retention=60
    )
    now = NOW
    for _ in range(data.draw(st.integers(1, 12))):
        numbers = ids(data.draw(st.sampled_from(SESSIONS)), data.draw(packet_ids))
        packet = forge(method, numbers, data.draw(bodies), data.draw(st.sampled_from(keys)))
        packet = packet[: data.draw(st.sampled_from([None] * 9 + [-1, 16, 32, 33, 48]))]
        now += data.draw(later)
        assert outcome_of(cython, packet, now) == outcome_of(python, packet, now)
        assert len(cython) == len(python)


@relaxed
@given(data=st.data())
@pytest.mark.parametrize("method", AEAD_2022)
def test_clients(shadowsocks_twins: Any, method: str, data: st.DataObject) -> None:
    cython, python = both(shadowsocks_twins, new_packet_client, method)
    session = bytes(range(8))
    for client in (cython, python):
        client.begin(session)
    now = NOW
    for _ in range(data.draw(st.integers(1, 12))):
        numbers = ids(data.draw(st.sampled_from(SESSIONS)), data.draw(packet_ids))
        body = bytearray(data.draw(bodies))
        if data.draw(st.integers(0, 5)):
            body[:1] = b"\1"
            body[9:9] = data.draw(st.sampled_from([session, session, session, bytes(8)]))
        packet = forge(method, numbers, bytes(body))
        now += data.draw(later)
        assert outcome_of(cython, packet, now) == outcome_of(python, packet, now)


@relaxed
@given(body=contents, salt=st.binary(min_size=32, max_size=32), flipped=st.integers(0, 200))
@pytest.mark.parametrize("method", [name for name in NAMES if name not in AEAD_2022])
def test_without_sessions(
    shadowsocks_twins: Any, method: str, body: bytes, salt: bytes, flipped: int
) -> None:
    salt = salt[: METHODS[method].salt_size]
    sealed = [
        client.seal(Address(body), b"payload", NOW, salt=salt)
        for client in both(shadowsocks_twins, new_packet_client, method)
    ]
    assert sealed[0] == sealed[1]
    packet = bytearray(sealed[0])
    if flipped < len(packet):
        packet[flipped] ^= 1
    cython, python = both(shadowsocks_twins, new_packet_server, method)
    for _ in range(2):
        assert outcome_of(cython, bytes(packet)) == outcome_of(python, bytes(packet))


@relaxed
@given(
    host=st.sampled_from(["192.0.2.1", "2001:db8::1", "example.com", "a" * 255]),
    payload=st.binary(max_size=200),
    padding=st.binary(max_size=900),
    numbers=st.tuples(packet_ids, packet_ids),
)
@pytest.mark.parametrize("method", AEAD_2022)
def test_sealing(
    shadowsocks_twins: Any,
    method: str,
    host: str,
    payload: bytes,
    padding: bytes,
    numbers: tuple[int, int],
) -> None:
    keys = [psk(method)]
    if method in WITH_USERS:
        keys += [
            f"{psk(method, 1)}:{psk(method)}",
            f"{psk(method, 2)}:{psk(method, 1)}:{psk(method)}",
        ]
    address = Address.of(host, 443)
    salt = None if method in WITH_USERS else bytes(range(24))
    requests = []
    for key in keys:
        clients = both(shadowsocks_twins, new_packet_client, method, key)
        for client in clients:
            # The last packet ID is never used: what follows it would be at random.
            client.begin(b"12345678", min(numbers[0], 2**64 - 2))
        sealed = [
            client.seal(address, payload, NOW, salt=salt, padding=padding) for client in clients
        ]
        assert sealed[0] == sealed[1]
        requests.append(sealed[0])
    answers = []
    for server in both(shadowsocks_twins, new_packet_server, method):
        session, _, opened = server.open(requests[0], NOW)
        assert opened == payload
        server.begin(session, b"abcdefgh", min(numbers[1], 2**64 - 2))
        answers.append(server.seal(address, payload, NOW, session, salt=salt, padding=padding))
    assert answers[0] == answers[1]


@relaxed
@given(garbage=st.binary(max_size=300))
@pytest.mark.parametrize("method", NAMES)
def test_garbage(shadowsocks_twins: Any, method: str, garbage: bytes) -> None:
    for make in (new_packet_server, new_packet_client):
        cython, python = both(shadowsocks_twins, make, method)
        assert outcome_of(cython, garbage) == outcome_of(python, garbage)
