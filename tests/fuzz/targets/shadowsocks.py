"""Shadowsocks over TCP: what either side's codec makes of bytes of the other.

Bytes that nobody sealed end at the first tag. So half of the inputs are plaintext, which is sealed
here record by record; the fuzzer then reaches what is behind the tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from fastsocks.address import Address
from fastsocks.shadowsocks.headers import IDENTITY_HEADER_SIZE, build_identity_headers
from fastsocks.shadowsocks.keys import ClientKey, client_key
from fastsocks.shadowsocks.methods import METHODS, Family
from fastsocks.shadowsocks.session_ciphers import session_aead, session_stream
from shadowsocks_ends import (
    NAMES,
    NOW,
    Clock,
    import_shadowsocks,
    new_client,
    new_guard,
    new_server,
    password,
    psk,
)
from shadowsocks_ends import outcome as trace_of
from twins import IMPLEMENTATIONS, import_twin

from ..oracle import Input, agree, pieces_of

TWINS = {one: import_shadowsocks(one) for one in IMPLEMENTATIONS}

_LAYERED = {
    one: import_twin("fastsocks.shadowsocks", "_layers", one).LayeredCodec
    for one in IMPLEMENTATIONS
}

_SALT = bytes(range(32))
_TARGET = Address.of("192.0.2.1", 80)
_USERS = {"alice": 1, "bob": 2}


def server(data: bytes) -> None:
    """Bytes of a client."""
    chosen = Input(data)
    name, options = NAMES[chosen.byte() % len(NAMES)], chosen.byte()
    size = chosen.byte()
    method = METHODS[name]
    with_users = bool(options & 2) and method.identity_headers
    key = _key(name, user=with_users)
    salt = _SALT[: method.salt_size]
    wire = _sealed(chosen, key, salt, identity=with_users) if options & 1 else chosen.rest()
    users = {user: psk(name, which) for user, which in _USERS.items()} if with_users else None

    def feed(twin: Any) -> object:
        guard = new_guard(twin, name, memory=twin.ReplayMemory(64, 63))
        strict = bool(options & 4)
        codec = new_server(twin, name, users=users, guard=guard, strict=strict)
        return trace_of(codec, "receive", pieces_of(wire, size))

    agree((one, feed(TWINS[one])) for one in IMPLEMENTATIONS)


def client(data: bytes) -> None:
    """Bytes of a server, in answer to a request."""
    chosen = Input(data)
    name, options = NAMES[chosen.byte() % len(NAMES)], chosen.byte()
    size = chosen.byte()
    method = METHODS[name]
    salt = bytes(reversed(_SALT))[: method.salt_size]
    wire = _sealed(chosen, _key(name), salt, identity=False) if options & 1 else chosen.rest()

    def feed(twin: Any) -> object:
        codec = new_client(twin, name, strict=bool(options & 4))
        codec.request(_TARGET, b"payload", salt=_SALT[: method.salt_size])
        return trace_of(codec, "open", pieces_of(wire, size))

    agree((one, feed(TWINS[one])) for one in IMPLEMENTATIONS)


def layers(data: bytes) -> None:
    """The answer of a chain of two or three servers, which may have lost a bit on its way."""
    chosen = Input(data)
    names = [NAMES[chosen.byte() % len(NAMES)] for _ in range(2 + (chosen.byte() & 1))]
    size, flipped, place = chosen.byte(), chosen.byte(), chosen.number()
    answer = _answer_of_all(names, chosen.rest())
    if place < len(answer):
        answer = answer[:place] + bytes((answer[place] ^ flipped,)) + answer[place + 1 :]

    def feed(one: str) -> object:
        codec = _chain(one, names)
        return codec.request(_TARGET, b"payload"), trace_of(codec, "open", pieces_of(answer, size))

    agree((one, feed(one)) for one in IMPLEMENTATIONS)


def _chain(implementation: str, names: list[str]) -> Any:
    """Return the client's codec of a chain, whose salts are always the same."""
    codec = None
    for number, name in enumerate(names):
        key = TWINS[implementation].client_key(name, password(name))
        client = _CLIENTS[implementation](key, strict=False, clock=Clock())
        client.given = bytes((number,)) * METHODS[name].salt_size
        codec = client if codec is None else _LAYERED[implementation](codec, client, _TARGET)
    return codec


def _answer_of_all(names: list[str], payload: bytes) -> bytes:
    """Seal what the last server answers, by way of the others."""
    data = _chain("python", names).request(_TARGET, b"payload")
    servers = []
    for name in names:
        server = new_server(TWINS["python"], name, answer_salt=_SALT[: METHODS[name].salt_size])
        data = server.receive(data).early_data
        servers.append(server)
    for server in reversed(servers):
        payload = bytes(server.seal(payload))
    return payload


def _with_given_salt(codec: Any) -> Any:
    class Salted(codec):  # type: ignore[misc]
        given = b""

        def request(self, address: Address, payload: bytes = b"") -> Any:
            return super().request(address, payload, salt=self.given, padding=b"")

    return Salted


_CLIENTS = {one: _with_given_salt(TWINS[one].ClientCodec) for one in IMPLEMENTATIONS}


@cache
def _key(name: str, *, user: bool = False) -> ClientKey:
    return client_key(name, f"{psk(name)}:{psk(name, 1)}" if user else password(name))


def _sealed(chosen: Input, key: ClientKey, salt: bytes, *, identity: bool) -> bytes:
    """Seal the rest of an input.

    With AEAD each record is taken as its length, which is sealed whatever it is, and as many
    bytes; the two headers of the 2022 edition as a length, which is not sent, and as many.
    """
    method = key.method
    if method.family is Family.PLAIN:
        return chosen.rest()
    if method.family is Family.STREAM:
        return salt + session_stream(method, key.key, salt, encrypt=True).update(chosen.rest())
    aead = session_aead(method, key.key, salt)
    parts = [salt]
    if identity:
        headers = build_identity_headers(key.identity_keys, key.identity_hashes, salt)
        parts.append(headers[:IDENTITY_HEADER_SIZE])
    plaintexts = _records(chosen, headers=2 if method.family is Family.AEAD_2022 else 0)
    for counter, plaintext in enumerate(plaintexts):
        parts.append(aead.seal(counter.to_bytes(method.nonce_size, "little"), plaintext))
    return b"".join(parts)


def _records(chosen: Input, *, headers: int) -> Iterator[bytes]:
    for _ in range(headers):
        kind = chosen.byte()
        body = chosen.take(chosen.number() % 0x400)
        # A first byte of 254 or 255 begins what every header has: type and time.
        yield bytes((kind & 1,)) + NOW.to_bytes(8, "big") + body if kind > 253 else body
    while chosen:
        length = chosen.number()
        yield length.to_bytes(2, "big")
        yield chosen.take(length)
