"""What a server takes for a request and what it refuses, on both twins."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import (
    AddressTypeError,
    HeaderError,
    ProtocolError,
    ReplayError,
    TagError,
    TimestampError,
    UserError,
)
from forged_requests import sealed, sealed_2022
from shadowsocks_ends import (
    AEAD,
    AEAD_2022,
    AUTHENTICATED,
    NAMES,
    NOW,
    STREAM,
    WITH_USERS,
    Clock,
    new_client,
    new_guard,
    new_server,
    open_all,
    psk,
    serve,
)

NAME = Address.of("example.com", 443)


TARGET = Address.of("127.0.0.1", 18080)


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_wrong_key(shadowsocks: Any, method: str) -> None:
    wire = new_client(shadowsocks, method, psk(method, 7)).request(TARGET, b"payload")
    with pytest.raises(TagError):
        new_server(shadowsocks, method).receive(wire)


@pytest.mark.parametrize("method", WITH_USERS)
def test_users_change(shadowsocks: Any, method: str) -> None:
    key = shadowsocks.server_key(method, psk(method), {"first": psk(method, 1)})
    guard = shadowsocks.ReplayGuard(key)

    def serve(client_key: str) -> str | None:
        server = type(shadowsocks.server_codec(key, guard))(key, guard, clock=Clock())
        wire = new_client(shadowsocks, method, client_key).request(TARGET, b"payload")
        request = server.receive(wire)
        assert request is not None
        user: str | None = request.user
        return user

    first, second = (f"{psk(method)}:{psk(method, which)}" for which in (1, 2))
    assert serve(first) == "first"
    key.users.add("second", psk(method, 2))
    key.users.remove("first")
    assert serve(second) == "second"
    key.users.remove("second")
    # Nobody is left, and it is no server without users for that.
    for client_key in (first, second, psk(method)):
        with pytest.raises(UserError):
            serve(client_key)


@pytest.mark.parametrize("method", WITH_USERS)
def test_users(shadowsocks: Any, method: str) -> None:
    users = {"first": psk(method, 1), "second": psk(method, 2)}
    for name, key in users.items():
        client = new_client(shadowsocks, method, f"{psk(method)}:{key}")
        server = new_server(shadowsocks, method, users=users)
        request = server.receive(client.request(TARGET, b"payload"))
        assert (request.user, request.early_data) == (name, b"payload")
        assert client.open(server.seal(b"answer")) == b"answer"
    stranger = new_client(shadowsocks, method, f"{psk(method)}:{psk(method, 3)}")
    with pytest.raises(UserError):
        new_server(shadowsocks, method, users=users).receive(stranger.request(TARGET, b"x"))
    # Neither the server's own key nor another server's lets anybody in.
    for key in (psk(method), f"{psk(method, 4)}:{psk(method, 1)}"):
        client = new_client(shadowsocks, method, key)
        with pytest.raises(UserError):
            new_server(shadowsocks, method, users=users).receive(client.request(TARGET, b"x" * 60))
    # Without users there is no identity header to be read.
    client = new_client(shadowsocks, method, f"{psk(method)}:{psk(method, 1)}")
    with pytest.raises(TagError):
        new_server(shadowsocks, method).receive(client.request(TARGET, b"x"))
    # A user's name says nothing about the key of another.
    client = new_client(shadowsocks, method, f"{psk(method)}:{psk(method, 1)}")
    own = client._key
    forged = type(own)(own.method, own.key, own.identity_keys)
    forged.identity_hashes = new_client(
        shadowsocks, method, f"{psk(method)}:{psk(method, 2)}"
    )._key.identity_hashes
    client = shadowsocks.ClientCodec(forged, clock=Clock())
    server = new_server(shadowsocks, method, users=users)
    with pytest.raises(TagError):
        server.receive(client.request(TARGET, b"x"))
    assert server.user is None


@pytest.mark.parametrize("method", WITH_USERS)
def test_whose_request_it_was_is_known_where_it_comes_too_late(
    shadowsocks: Any, method: str
) -> None:
    client = new_client(shadowsocks, method, f"{psk(method)}:{psk(method, 1)}", now=NOW - 31)
    server = new_server(shadowsocks, method, users={"first": psk(method, 1)})
    with pytest.raises(TimestampError):
        server.receive(client.request(TARGET, b"x"))
    assert server.user == "first"


@pytest.mark.parametrize("method", AEAD_2022)
@pytest.mark.parametrize("skew", [-31, -30, 0, 30, 31])
def test_request_timestamp(shadowsocks: Any, method: str, skew: int) -> None:
    wire = new_client(shadowsocks, method, now=NOW + skew).request(TARGET, b"x")
    # The clock's fraction of a second does not matter.
    for fraction in (0, 0.999):
        server = new_server(shadowsocks, method, clock=Clock(NOW + fraction))
        if abs(skew) > 30:
            with pytest.raises(TimestampError, match=f"31 s {'behind' if skew < 0 else 'ahead'}"):
                server.receive(wire)
        else:
            assert server.receive(wire) is not None


@pytest.mark.parametrize("method", AEAD_2022)
def test_timestamps_at_the_ends(shadowsocks: Any, method: str) -> None:
    for stamp in (0, 2**63, 2**64 - 1):
        wire = sealed_2022(shadowsocks, method, TARGET.wire + b"\0\0x", now=stamp)
        with pytest.raises(TimestampError):
            new_server(shadowsocks, method).receive(wire)


@pytest.mark.parametrize("method", AEAD_2022)
def test_reflected_answer_2022(shadowsocks: Any, method: str) -> None:
    """With another type byte nothing passes for a request; nor does an answer as it is."""
    server = new_server(shadowsocks, method)
    serve(server, [new_client(shadowsocks, method).request(TARGET, b"x")])
    with pytest.raises(TagError):
        new_server(shadowsocks, method).receive(server.seal(TARGET.wire * 20))
    for kind in (1, 2, 255):
        fixed = bytes([kind]) + NOW.to_bytes(8, "big") + b"\0\x0a"
        wire = sealed_2022(shadowsocks, method, TARGET.wire + b"\0\0x", fixed=fixed)
        with pytest.raises(HeaderError, match=f"type {kind} where 0"):
            new_server(shadowsocks, method).receive(wire)


@pytest.mark.parametrize("method", [*AEAD, *STREAM])
def test_reflected_answer(shadowsocks: Any, method: str) -> None:
    """An answer that reads like a request is none where its salt is known as our own."""
    guard = new_guard(shadowsocks, method)
    server = new_server(shadowsocks, method, guard=guard)
    serve(server, [new_client(shadowsocks, method).request(TARGET, b"x")])
    answer = server.seal(NAME.wire + b"payload")
    assert new_server(shadowsocks, method).receive(answer).address == NAME
    with pytest.raises(ReplayError):
        new_server(shadowsocks, method, guard=guard).receive(answer)


@pytest.mark.parametrize("method", [name for name in NAMES if name != "none"])
def test_replay(shadowsocks: Any, method: str) -> None:
    own = shadowsocks.METHODS[method]
    guard = new_guard(shadowsocks, method)
    wire = new_client(shadowsocks, method).request(TARGET, b"payload")
    assert new_server(shadowsocks, method, guard=guard).receive(wire) is not None
    for replay in (wire, wire + b"more"):
        with pytest.raises(ReplayError):
            new_server(shadowsocks, method, guard=guard).receive(replay)
    if method not in AEAD_2022:
        # Seen by its salt alone, before anything is decrypted.
        with pytest.raises(ReplayError):
            new_server(shadowsocks, method, guard=guard).receive(wire[: own.salt_size])
    other = new_client(shadowsocks, method).request(TARGET, b"payload")
    assert new_server(shadowsocks, method, guard=guard).receive(other) is not None


def test_none_remembers_nothing(shadowsocks: Any) -> None:
    guard = new_guard(shadowsocks, "none")
    for _ in range(3):
        wire = new_client(shadowsocks, "none").request(TARGET, b"payload")
        assert new_server(shadowsocks, "none", guard=guard).receive(wire) is not None


@pytest.mark.parametrize("method", [name for name in NAMES if name != "none"])
def test_what_did_not_open_is_not_remembered(shadowsocks: Any, method: str) -> None:
    """Or anybody could fill the memory, and spoil an honest request by its salt."""
    own = shadowsocks.METHODS[method]
    guard = new_guard(shadowsocks, method)
    wire = new_client(shadowsocks, method).request(TARGET, b"payload")
    server = new_server(shadowsocks, method, guard=guard)
    if method in AEAD:
        # The record's length has opened, but not yet its payload.
        assert server.receive(wire[:-1]) is None
        assert server.incomplete
    elif method in STREAM:
        assert server.receive(wire[: own.salt_size + 6]) is None
    spoiled = bytearray(wire)
    spoiled[own.salt_size] ^= 0xFF  # ATYP of the stream ciphers, ciphertext of the others
    with pytest.raises(ProtocolError):
        new_server(shadowsocks, method, guard=guard).receive(spoiled)
    if method in AEAD_2022:
        late = new_server(shadowsocks, method, guard=guard, clock=Clock(NOW + 31))
        with pytest.raises(TimestampError):
            late.receive(wire)
    assert new_server(shadowsocks, method, guard=guard).receive(wire) is not None
    if method not in AEAD_2022:
        # Two at once: the one that comes to its end first has it.
        with pytest.raises(ReplayError):
            server.receive(wire[-1:] if method in AEAD else wire[own.salt_size + 6 :])


@pytest.mark.parametrize("method", AEAD)
def test_remembered_from_the_first_record_on(shadowsocks: Any, method: str) -> None:
    """Even where the address is not complete, or wrong: the key is known to be right."""
    for first in (TARGET.wire[:3], b"\2bad"):
        guard = new_guard(shadowsocks, method)
        wire = sealed(shadowsocks, method, [first])
        server = new_server(shadowsocks, method, guard=guard)
        if first[0] == 2:
            with pytest.raises(AddressTypeError):
                server.receive(wire)
        else:
            assert server.receive(wire) is None
        with pytest.raises(ReplayError):
            new_server(shadowsocks, method, guard=guard).receive(wire)


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("answer", [b"", b"an answer"])
def test_an_answer_that_is_cut(shadowsocks: Any, method: str, answer: bytes) -> None:
    server, client = new_server(shadowsocks, method), new_client(shadowsocks, method)
    assert server.cut_answer() == b""
    server.receive(client.request(TARGET, b"x"))
    sealed = bytes(server.seal(answer))
    assert server.cuts_answers is (method in AUTHENTICATED)
    assert client.open(sealed + server.cut_answer()) == answer
    assert client.incomplete is server.cuts_answers


@pytest.mark.parametrize("method", NAMES)
def test_silent_until_the_target_speaks(shadowsocks: Any, method: str) -> None:
    server = new_server(shadowsocks, method)
    assert server.silent
    assert server.codec is server
    if method != "none":
        with pytest.raises(HeaderError):
            server.seal(b"too early")
    request = server.receive(new_client(shadowsocks, method).request(TARGET))
    assert request.early_data == b""
    assert server.take_outgoing() == server.connected(TARGET) == server.seal(b"") == b""


@pytest.mark.parametrize("method", NAMES)
def test_every_cut_waits(shadowsocks: Any, method: str) -> None:
    """Whatever its length, the start of a request is neither refused nor taken for one."""
    wire = new_client(shadowsocks, method).request(NAME, b"")
    for cut in range(1, len(wire)):
        server = new_server(shadowsocks, method, strict=False)
        assert server.receive(wire[:cut]) is None
        request = server.receive(wire[cut:])
        assert request.address == NAME


@pytest.mark.parametrize("method", NAMES)
def test_incomplete_at_every_cut_behind_the_request(shadowsocks: Any, method: str) -> None:
    client = new_client(shadowsocks, method)
    first, records = client.request(NAME, b"payload"), [client.seal(b"one"), client.seal(b"two")]
    wire = b"".join(records)
    ends = {0, len(records[0]), len(wire)} if method in AUTHENTICATED else set(range(len(wire) + 1))
    for cut in range(len(wire) + 1):
        # The cut may fall into the very read that completes the request, too.
        for pieces in ((first, wire[:cut]), (first + wire[:cut],)):
            server = new_server(shadowsocks, method)
            _, received = serve(server, pieces)
            assert server.incomplete == (cut not in ends)
            assert received + server.open(wire[cut:]) == b"payloadonetwo"
            assert not server.incomplete


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_every_flipped_byte_of_a_request_is_noticed(shadowsocks: Any, method: str) -> None:
    users = {"user": psk(method, 1)} if method in WITH_USERS else {}
    key = f"{psk(method)}:{psk(method, 1)}" if users else None
    client = new_client(shadowsocks, method, key)
    wire = client.request(TARGET, b"payload") + client.seal(b"more")
    for place in range(len(wire)):
        tampered = bytearray(wire)
        tampered[place] ^= 1 << place % 8
        with pytest.raises((TagError, UserError)):
            new_server(shadowsocks, method, users=users).receive(tampered)
    assert new_server(shadowsocks, method, users=users).receive(wire) is not None


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("answers", [False, True])
def test_goes_with_its_connection(shadowsocks: Any, method: str, answers: bool) -> None:
    """Reference counting alone frees a codec, also one that never answered."""
    server = new_server(shadowsocks, method)
    watched = type("Watched", (type(server),), {"__slots__": ("__weakref__",)})
    options = {"clock": Clock()} if method in AEAD_2022 else {}
    server = watched(server._key, server._guard, **options)
    server.receive(new_client(shadowsocks, method).request(TARGET, b"x"))
    if answers:
        server.seal(b"answer")
    watch = weakref.ref(server)
    gc.disable()
    try:
        del server
        assert watch() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("method", [name for name in NAMES if name != "none"])
def test_unusable_answer_salt(shadowsocks: Any, method: str) -> None:
    server = new_server(shadowsocks, method, answer_salt=bytes(1000))
    with pytest.raises(ValueError, match="a salt of 1000 bytes"):
        server.receive(new_client(shadowsocks, method).request(TARGET, b"x"))


def test_client_and_server_both_open_all(shadowsocks: Any) -> None:
    """The largest requests there are go through in one read."""
    for method in NAMES:
        client, payload = new_client(shadowsocks, method), bytes(1 << 20)
        server = new_server(shadowsocks, method)
        request, received = serve(server, [client.request(TARGET, payload)])
        assert request is not None
        assert received == payload
        assert open_all(client, [server.seal(payload)]) == payload
