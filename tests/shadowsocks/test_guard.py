"""Which salts are refused, by the rule of each edition."""

from __future__ import annotations

import os
from typing import Any

import pytest

from fastsocks.errors import ReplayError
from fastsocks.shadowsocks.keys import ServerKey
from fastsocks.shadowsocks.methods import METHODS, Family, Method
from shadowsocks_ends import AEAD, AEAD_2022, NOW, PASSWORD, STREAM, new_guard, psk

#: What Outline's clients begin their salts with, to look like something else.
PREFIXES = (
    b"POST ",
    b"HTTP/1.1 ",
    b"\x05\xdc\x5f\xe0\x01\x20",
    b"\x16\x03\x01\x00\xa8\x01\x01",
    b"\x13\x03\x03\x3f",
    b"\x16\x03\x03\x40\x00\x02",
    b"SSH-2.0\r\n",
)


@pytest.mark.parametrize("method", [*AEAD, *STREAM])
def test_looks_before_and_after(shadowsocks: Any, method: str) -> None:
    guard, salt = new_guard(shadowsocks, method), bytes(METHODS[method].salt_size)
    for _ in range(3):
        guard.check(salt)  # to look is not to remember
    guard.add(salt)
    for refused in (guard.check, guard.add):
        with pytest.raises(ReplayError):
            refused(salt)
    guard.check(b"\1" + salt[1:])


@pytest.mark.parametrize("method", AEAD_2022)
def test_2022_looks_when_it_adds(shadowsocks: Any, method: str) -> None:
    guard, salt = new_guard(shadowsocks, method), bytes(METHODS[method].salt_size)
    guard.add(salt, NOW)
    guard.check(salt)
    with pytest.raises(ReplayError):
        guard.add(salt, NOW)
    guard.add(b"\1" + salt[1:], NOW)


@pytest.mark.parametrize("method", [*AEAD, *AEAD_2022])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_all_of_a_salt_counts(shadowsocks: Any, method: str, prefix: bytes) -> None:
    """Salts that begin alike, as Outline's do, are as good as any; so are those that end alike."""
    guard, size = new_guard(shadowsocks, method), METHODS[method].salt_size
    for number in range(100):
        tail = os.urandom(size - len(prefix) - 1) + bytes((number,))
        for salt in (prefix + tail, tail[::-1] + prefix):
            guard.check(salt)
            guard.add(salt, NOW)
            with pytest.raises(ReplayError):
                guard.add(salt, NOW)


@pytest.mark.parametrize("method", [*AEAD, *AEAD_2022])
def test_each_byte_of_a_salt_counts(shadowsocks: Any, method: str) -> None:
    guard, salt = new_guard(shadowsocks, method), os.urandom(METHODS[method].salt_size)
    guard.add(salt, NOW)
    for place in range(len(salt)):
        guard.add(salt[:place] + bytes((salt[place] ^ 1,)) + salt[place + 1 :], NOW)


def test_2022_forgets_by_time_the_others_by_number(shadowsocks: Any) -> None:
    """What SIP022 promises is kept, at the price of a refusal; elsewhere nobody is refused."""
    for name, method in METHODS.items():
        guard = new_guard(
            shadowsocks,
            name,
            psk(name) if name in AEAD_2022 else PASSWORD,
            shadowsocks.ReplayMemory(64, 63),
        )
        for number in range(64):
            guard.add(bytes((number,)) * method.salt_size, NOW)
        if name in AEAD_2022:
            with pytest.raises(ReplayError, match="too many"):
                guard.add(b"\xff" * method.salt_size, NOW)
        else:
            guard.add(b"\xff" * method.salt_size)


@pytest.mark.parametrize("size", [0, 6, 7, 8])
def test_short_ivs_are_not_remembered(shadowsocks: Any, size: int) -> None:
    key = ServerKey(Method("short", Family.STREAM, "RC4", 16, size, 0), bytes(16))
    guard = shadowsocks.ReplayGuard(key)
    iv = bytes(size)
    guard.add(iv)
    if size < 8:
        guard.check(iv)
        guard.add(iv)
    else:
        with pytest.raises(ReplayError):
            guard.check(iv)


def test_guards_share_nothing_unless_they_share_a_memory(shadowsocks: Any) -> None:
    memory = shadowsocks.ReplayMemory()
    one, other = (new_guard(shadowsocks, "aes-128-gcm", memory=memory) for _ in range(2))
    alone = new_guard(shadowsocks, "aes-128-gcm")
    one.add(bytes(16))
    alone.check(bytes(16))
    with pytest.raises(ReplayError):
        other.check(bytes(16))


def test_in_one_memory_keys_and_methods_are_apart(shadowsocks: Any) -> None:
    """A salt that others chose, too, by chance or on purpose, refuses nobody."""
    memory = shadowsocks.ReplayMemory()
    salt = bytes(32)
    for method in ("aes-256-gcm", "chacha20-ietf-poly1305"):
        for key in ("one", "two"):
            new_guard(shadowsocks, method, key, memory).add(salt)
    for which in range(2):
        method = "2022-blake3-aes-256-gcm"
        new_guard(shadowsocks, method, psk(method, which), memory).add(salt, NOW)


def test_a_users_key_counts_and_not_the_servers(shadowsocks: Any) -> None:
    """What a user sealed at one server is a replay where the user's key is the server's own."""
    memory = shadowsocks.ReplayMemory()
    method = AEAD_2022[0]
    made = shadowsocks.server_key(method, psk(method, 1))
    new_guard(shadowsocks, method, psk(method), memory).add(bytes(16), NOW, made.key)
    with pytest.raises(ReplayError):
        shadowsocks.ReplayGuard(made, memory).add(bytes(16), NOW)


def test_memory_is_not_copied(shadowsocks: Any) -> None:
    import copy

    with pytest.raises(TypeError):
        copy.copy(shadowsocks.ReplayMemory(64, 63))
