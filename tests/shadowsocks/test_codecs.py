"""Client and server with each other, of the same twin and of different ones."""

from __future__ import annotations

import base64
import copy
import pickle
import random
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.errors import ProtocolError
from fastsocks.shadowsocks.methods import METHODS
from shadowsocks_ends import (
    AUTHENTICATED,
    NAMES,
    WITH_USERS,
    new_client,
    new_server,
    outcome,
    password,
    pieces_of,
    psk,
    random_pieces,
    serve,
)

TARGETS = [
    Address.of("192.0.2.1", 80),
    Address.of("2001:db8::1", 443),
    Address.of("a", 1),
    Address.of("a" * 255, 65535),
]

SPLITS = st.lists(st.integers(1, 60) | st.integers(1, 400), max_size=12)


def pair(client_twin: Any, server_twin: Any, method: str) -> tuple[Any, Any]:
    return (
        new_client(client_twin, method, strict=False),
        new_server(server_twin, method, strict=False),
    )


@pytest.mark.parametrize("client_twin", [0, 1])
@pytest.mark.parametrize("server_twin", [0, 1])
@pytest.mark.parametrize("method", NAMES)
def test_conversation(
    shadowsocks_twins: Any, client_twin: int, server_twin: int, method: str
) -> None:
    source = random.Random(f"{method} {client_twin} {server_twin}")
    for target in TARGETS:
        client, server = pair(
            shadowsocks_twins[client_twin], shadowsocks_twins[server_twin], method
        )
        sent = source.randbytes(source.choice([0, 1, 100, 20_000, 70_000]))
        request, received = serve(server, random_pieces(client.request(target, sent), source))
        assert request is not None
        assert request.address == target
        answered = returned = b""
        for _ in range(source.randint(1, 20)):
            payload = source.randbytes(int(10 ** source.uniform(0, 5.3)))
            if source.random() < 0.5:
                sent += payload
                for piece in random_pieces(client.seal(payload), source):
                    received += server.open(piece)
                assert received == sent
            else:
                answered += payload
                for piece in random_pieces(server.seal(payload), source):
                    returned += client.open(piece)
                assert returned == answered
        assert not client.incomplete
        assert not server.incomplete


@pytest.mark.parametrize("method", WITH_USERS)
def test_conversation_of_a_user(shadowsocks_twins: Any, method: str) -> None:
    source = random.Random(method)
    users = {f"user {i}": psk(method, i) for i in range(1, 20)}
    for client_twin in shadowsocks_twins:
        for server_twin in shadowsocks_twins:
            client = new_client(client_twin, method, f"{psk(method)}:{users['user 7']}")
            server = new_server(server_twin, method, users=users)
            request = server.receive(client.request(TARGETS[0], b"payload"))
            assert request.user == "user 7"
            payload = source.randbytes(100_000)
            assert client.open(server.seal(payload)) == payload
            assert server.open(client.seal(payload)) == payload


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_connections_of_one_key_in_turn(shadowsocks: Any, method: str) -> None:
    """They may work in one place; they come and go there."""
    source = random.Random(method)
    client_key = shadowsocks.client_key(method, password(method))
    server_key = shadowsocks.server_key(method, password(method))
    guard = shadowsocks.ReplayGuard(server_key)
    open_now: list[tuple[Any, Any]] = []
    for _ in range(200):
        if len(open_now) < 3 or (len(open_now) < 12 and source.random() < 0.2):
            client = shadowsocks.ClientCodec(client_key)
            server = shadowsocks.server_codec(server_key, guard)
            assert server.receive(client.request(TARGETS[0], b"early")).early_data == b"early"
            open_now.append((client, server))
        elif source.random() < 0.2:
            # Freed at once, and the next may lie where it lay.
            open_now.pop(source.randrange(len(open_now)))
            continue
        ends = source.choice(open_now)
        sealing, opening = ends if source.random() < 0.5 else reversed(ends)
        payload = source.randbytes(source.randrange(1, 40_000))
        assert opening.open(sealing.seal(payload)) == payload


@pytest.mark.parametrize("method", NAMES)
def test_directions_share_nothing(shadowsocks_twins: Any, method: str) -> None:
    """Each has a salt and a count of its own, so that neither waits for the other."""
    one, other = shadowsocks_twins
    client, server = pair(one, other, method)
    serve(server, [client.request(TARGETS[0], b"x")])
    up = [bytes([i]) * 1000 for i in range(20)]
    down = [bytes([i]) * 100 for i in range(30)]
    to_server = b"".join(client.seal(payload) for payload in up)
    to_client = b"".join(server.seal(payload) for payload in down)
    assert client.open(to_client) == b"".join(down)
    assert server.open(to_server) == b"".join(up)


@pytest.mark.parametrize("method", NAMES)
def test_same_bytes(shadowsocks_twins: Any, method: str) -> None:
    """With chance taken out, the twins put the same bytes on the wire."""
    source = random.Random(method)
    size = METHODS[method].salt_size
    salt, answer_salt = source.randbytes(size), source.randbytes(size)
    payloads = [source.randbytes(n) for n in (1, 40_000, 0, 70_000, 5)]
    wires = []
    for twin in shadowsocks_twins:
        client = new_client(twin, method)
        server = new_server(twin, method, answer_salt=answer_salt)
        first = client.request(TARGETS[0], payloads[1], salt=salt)
        serve(server, [first])
        wires.append(
            (
                first,
                [bytes(client.seal(payload)) for payload in payloads],
                [bytes(server.seal(payload)) for payload in payloads],
            )
        )
    assert wires[0] == wires[1]


# Anything at all may come from the wire.


@given(method=st.sampled_from(NAMES), wire=st.binary(max_size=400), splits=SPLITS)
def test_garbage_for_a_server(
    shadowsocks_twins: Any, method: str, wire: bytes, splits: list[int]
) -> None:
    pieces = list(pieces_of(wire, splits))
    users = {"user": psk(method, 1)} if method in WITH_USERS else None
    for strict, known in ((True, None), (False, users)):
        told = [
            outcome(new_server(twin, method, users=known, strict=strict), "receive", pieces)
            for twin in shadowsocks_twins
        ]
        assert told[0] == told[1]
        if method in AUTHENTICATED:
            # Nothing but errors and waiting.
            assert all(step in {(None, False), (None, True)} for step in told[0][:-1])


@given(method=st.sampled_from(NAMES), wire=st.binary(max_size=400), splits=SPLITS)
def test_garbage_for_a_client(
    shadowsocks_twins: Any, method: str, wire: bytes, splits: list[int]
) -> None:
    pieces = list(pieces_of(wire, splits))
    salt = bytes(METHODS[method].salt_size)
    for strict in (True, False):
        told = []
        for twin in shadowsocks_twins:
            client = new_client(twin, method, strict=strict)
            client.request(TARGETS[0], b"payload", salt=salt)
            told.append(outcome(client, "open", pieces))
        assert told[0] == told[1]


@st.composite
def changes(draw: st.DrawFn) -> Any:
    """Draw a way to spoil bytes that were good."""
    kind = draw(st.sampled_from(["nothing", "cut", "flip", "insert", "repeat"]))
    return kind, draw(st.integers(0, 5000)), draw(st.binary(min_size=1, max_size=40))


def changed(wire: bytes, change: tuple[str, int, bytes]) -> bytes:
    kind, place, extra = change
    place %= len(wire)
    if kind == "cut":
        return wire[:place]
    if kind == "flip":
        return wire[:place] + bytes([wire[place] ^ extra[0]]) + wire[place + 1 :]
    if kind == "insert":
        return wire[:place] + extra + wire[place:]
    if kind == "repeat":
        return wire[:place] + wire
    return wire


@given(
    method=st.sampled_from(NAMES),
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=4),
    change=changes(),
    splits=SPLITS,
)
def test_spoiled_requests(
    shadowsocks_twins: Any,
    method: str,
    sizes: list[int],
    change: tuple[str, int, bytes],
    splits: list[int],
) -> None:
    source = random.Random(sizes[0])
    first, *more = [source.randbytes(size) for size in sizes]
    client = new_client(shadowsocks_twins[0], method)
    wire = client.request(TARGETS[0], first, salt=source.randbytes(METHODS[method].salt_size))
    wire += b"".join(client.seal(payload) for payload in more)
    pieces = list(pieces_of(changed(wire, change), splits))
    told = [
        outcome(new_server(twin, method, strict=False), "receive", pieces)
        for twin in shadowsocks_twins
    ]
    assert told[0] == told[1]


@given(
    method=st.sampled_from(NAMES),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4),
    change=changes(),
    splits=SPLITS,
    strict=st.booleans(),
)
def test_spoiled_answers(
    shadowsocks_twins: Any,
    method: str,
    sizes: list[int],
    change: tuple[str, int, bytes],
    splits: list[int],
    strict: bool,
) -> None:
    source = random.Random(sizes[0])
    size = METHODS[method].salt_size
    salt, answer_salt = source.randbytes(size), source.randbytes(size)
    clients = []
    for twin in shadowsocks_twins:
        client = new_client(twin, method, strict=strict)
        request = client.request(TARGETS[0], b"payload", salt=salt)
        clients.append(client)
    server = new_server(shadowsocks_twins[1], method, answer_salt=answer_salt)
    serve(server, [request])
    wire = b"".join(server.seal(source.randbytes(n)) for n in sizes)
    pieces = list(pieces_of(changed(wire, change), splits))
    told = [outcome(client, "open", pieces) for client in clients]
    assert told[0] == told[1]


# Secrets stay secret.


def texts_of(thing: Any) -> Iterator[str]:
    yield from (repr(thing), str(thing), f"{thing}")
    if isinstance(thing, BaseException):
        # Locals are not in it; what was formatted into a message is.
        yield "".join(traceback.format_exception(thing))
        yield repr(thing.args)


def leaks(secret: bytes, text: str) -> bool:
    """Whether `text` holds 8 bytes of `secret` in any common spelling."""
    for start in range(len(secret) - 7):
        part = secret[start : start + 8]
        if part.hex() in text.lower() or repr(part)[2:-1] in text:
            return True
    return base64.b64encode(secret).decode().rstrip("=") in text


def test_the_leak_detector_works() -> None:
    secret = b"CANARY\x00\x01-canary-CANARY"
    for text in (secret.hex(), f"key {secret!r}", base64.b64encode(secret).decode(), str([secret])):
        assert leaks(secret, text)
    assert not leaks(secret, "<ServerKey aes-128-gcm>")


@pytest.mark.parametrize("method", [name for name in NAMES if name != "none"])
def test_secrets_are_not_shown(shadowsocks: Any, method: str) -> None:
    users = {"user": psk(method, 1)} if method in WITH_USERS else {}
    chain = f"{psk(method)}:{psk(method, 1)}" if users else None
    client, stranger = (new_client(shadowsocks, method, key) for key in (chain, psk(method, 2)))
    server = new_server(shadowsocks, method, users=users, strict=False)
    wire = client.request(TARGETS[0], b"payload")
    secrets = {client._key.key, *client._key.identity_keys, server._key.key}
    known = () if server._key.users is None else tuple(server._key.users.by_hash.values())
    secrets |= {user.key for user in known}
    things = [client, server, client._key, server._key, server._guard, *known]
    if method in AUTHENTICATED:
        for fresh in (stranger.request(TARGETS[0], b"x" * 9), b"\2" * 500):
            with pytest.raises(ProtocolError) as caught:
                new_server(shadowsocks, method, users=users).receive(fresh)
            things.append(caught.value)
    request = server.receive(wire)
    client.open(server.seal(b"answer"))
    things += [request, client.sealer, client.opener, server.sealer, server.opener]
    for aead_or_cipher in ("_aead", "_cipher"):
        things += [
            getattr(end, aead_or_cipher)
            for end in (client.sealer, client.opener)
            if hasattr(end, aead_or_cipher)
        ]
    for thing in things:
        for text in texts_of(thing):
            for secret in secrets:
                assert not leaks(secret, text), text


@pytest.mark.parametrize("method", NAMES)
def test_neither_copied_nor_pickled(shadowsocks: Any, method: str) -> None:
    """A copy would use nonces a second time."""
    client, server = pair(shadowsocks, shadowsocks, method)
    serve(server, [client.request(TARGETS[0], b"payload")])
    for codec in (client, server, shadowsocks.Codec()):
        for forbidden in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="neither copied nor pickled"):
                forbidden(codec)
