"""From passwords to keys."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsocks.crypto import blake3_hash16
from fastsocks.errors import ConfigError, MethodError
from fastsocks.shadowsocks.keys import (
    User,
    Users,
    client_key,
    generate_key,
    password_to_key,
    server_key,
)
from fastsocks.shadowsocks.methods import METHODS, Family, Method, lookup

AES_128, AES_256 = "2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"
CHACHA = "2022-blake3-chacha20-poly1305"


def psk(fill: int, size: int = 16) -> str:
    return base64.b64encode(bytes([fill]) * size).decode()


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """All that a traceback of `error` would show."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def kdf_vectors() -> list[dict[str, Any]]:
    text = (Path(__file__).parent.parent / "vectors" / "kdf.json").read_text()
    vectors: list[dict[str, Any]] = json.loads(text)["evp_bytes_to_key"]
    return vectors


@pytest.mark.parametrize("vector", kdf_vectors(), ids=lambda v: f"{v['password']}-{v['key_len']}")
def test_keys_of_passwords(vector: dict[str, Any]) -> None:
    password = bytes.fromhex(vector["password_utf8_hex"])
    assert password_to_key(password, vector["key_len"]).hex() == vector["key_hex"]
    assert password.decode() == vector["password"]
    for method in METHODS.values():
        family, size = method.family, method.key_size
        if family is not Family.AEAD_2022 and size == vector["key_len"] and password:
            assert client_key(method, vector["password"]).key.hex() == vector["key_hex"]
            assert server_key(method, vector["password"]).key.hex() == vector["key_hex"]


@pytest.mark.parametrize("name", [m.name for m in METHODS.values()])
def test_generated_keys_fit(name: str) -> None:
    text = generate_key(name)
    client, server = client_key(name, text), server_key(METHODS[name], text)
    assert client.key == server.key
    assert client.method is server.method is METHODS[name]
    assert len(client.key) == METHODS[name].key_size
    assert client.identity_keys == client.identity_hashes == ()
    assert server.users is None
    if METHODS[name].family is Family.AEAD_2022:
        assert base64.b64decode(text, validate=True) == client.key
    if text:
        assert generate_key(name) != text
        assert not text.startswith("-")


def test_generated_passwords_never_look_like_options() -> None:
    assert all(generate_key("aes-128-gcm")[0] != "-" for _ in range(1_000))


def test_psk_with_and_without_padding() -> None:
    assert psk(0).endswith("==")
    for text in (psk(0), psk(0).rstrip("=")):
        assert client_key(AES_128, text).key == bytes(16)
        assert server_key(AES_128, text).key == bytes(16)
    assert client_key(AES_256, psk(0, 32).rstrip("=")).key == bytes(32)


REFUSED_PSKS = {
    "empty": "",
    "too short": psk(0x53, 15),
    "too long": psk(0x53, 17),
    "of the other method": psk(0x53, 32),
    "a password": "correct horse battery staple",
    "URL-safe alphabet": base64.urlsafe_b64encode(b"\xfb\xff" * 8).decode(),
    "half the padding": psk(0x53)[:-1],
    "padding inside": "U1M=" + psk(0x53),
    "trailing newline": psk(0x53) + "\n",
    "not ASCII": psk(0x53)[:-3] + "ß==",
    "one character too many": psk(0x53).rstrip("=") + "AAA",
}


def refusals(text: str) -> list[Callable[[], object]]:
    return [
        lambda: client_key(AES_128, text),
        lambda: client_key(AES_128, f"{psk(1)}:{text}"),
        lambda: client_key(AES_128, f"{text}:{psk(1)}"),
        lambda: server_key(AES_128, text),
        lambda: server_key(AES_128, psk(1), {"alice": text}),
    ]


@pytest.mark.parametrize("what", REFUSED_PSKS)
def test_bad_psks(what: str) -> None:
    text = REFUSED_PSKS[what]
    for call in refusals(text):
        with pytest.raises(ConfigError) as caught:
            call()
        message = str(caught.value)
        assert f"a key for {AES_128} is 16 bytes in base64" in message
        assert f"fastsocks genkey {AES_128}" in message
        assert not text or text not in "".join(map(str, chain(caught.value)))


def test_bad_psk_of_a_user_names_the_user() -> None:
    with pytest.raises(ConfigError, match=r"^user 'alice': a key for .* this has 3;"):
        server_key(AES_128, psk(1), {"alice": "AAAA"})


@pytest.mark.parametrize(
    "name", [m.name for m in METHODS.values() if m.family in (Family.AEAD, Family.STREAM)]
)
def test_empty_passwords_are_refused(name: str) -> None:
    for make in (client_key, server_key):
        with pytest.raises(ConfigError, match=f"the password is empty; .* genkey {name}"):
            make(name, "")


@pytest.mark.parametrize("password", ["", "anything"])
def test_none_needs_no_password(password: str) -> None:
    assert client_key("plain", password).key == b""
    assert server_key("none", password).key == b""


def test_passwords_that_are_not_unicode() -> None:
    """A command line hands on foreign bytes as lone surrogates; other lone ones are an error."""
    assert client_key("aes-128-gcm", "\udcff").key.hex() == "00594fd4f42ba43fc1ca0427a0576295"
    with pytest.raises(ConfigError, match="UTF-8") as caught:
        client_key("aes-128-gcm", "\ud800")
    assert "d800" not in "".join(map(str, chain(caught.value)))


@pytest.mark.parametrize(("name", "size"), [(AES_128, 16), (AES_256, 32)])
def test_identity_keys(name: str, size: int) -> None:
    key = client_key(name, ":".join(psk(fill, size) for fill in (1, 2, 3)))
    first, second, user = (bytes([fill]) * size for fill in (1, 2, 3))
    assert key.key == user
    assert key.identity_keys == (first, second)
    assert key.identity_hashes == (blake3_hash16(second), blake3_hash16(user))


def test_users() -> None:
    key = server_key(AES_128, psk(1), {"alice": psk(2), "bob": psk(3)})
    alice, bob = bytes([2]) * 16, bytes([3]) * 16
    assert key.key == bytes([1]) * 16
    assert key.users is not None
    assert key.users.by_hash == {
        blake3_hash16(alice): User("alice", alice),
        blake3_hash16(bob): User("bob", bob),
    }


def test_users_change() -> None:
    users = Users(lookup(AES_128), {"alice": psk(2), "bob": psk(3)})
    table = users.by_hash
    users.add("carol", psk(4))
    users.remove("alice")
    assert list(users) == ["bob", "carol"]
    assert "alice" not in users
    assert [user.name for user in table.values()] == ["bob", "carol"]
    # With the key of another one of before, and a new one.
    users.replace({"dave": psk(3), "carol": psk(5)})
    assert users.by_hash is table
    assert {user.name: user.key for user in table.values()} == {
        "dave": bytes([3]) * 16,
        "carol": bytes([5]) * 16,
    }
    wrongs: tuple[tuple[Callable[[], None], str], ...] = (
        (lambda: users.add("carol", psk(6)), "there is a user 'carol' already"),
        (lambda: users.add("erin", psk(5)), "'carol' and 'erin' have the same key"),
        (lambda: users.add("erin", "x"), "user 'erin': a key for"),
        (lambda: users.remove("erin"), "there is no user 'erin'"),
        (lambda: users.replace({"a": psk(1), "b": psk(1)}), "'a' and 'b' have the same key"),
        (lambda: users.replace({"a": psk(1), "b": ""}), "user 'b': a key for"),
    )
    for wrong, match in wrongs:
        with pytest.raises(ConfigError, match=match):
            wrong()
        assert sorted(users) == ["carol", "dave"]
    users.replace({})
    assert len(users) == len(table) == 0


def test_users_with_the_same_key() -> None:
    with pytest.raises(ConfigError, match="'alice' and 'bob' have the same key"):
        server_key(AES_128, psk(1), {"alice": psk(2), "bob": psk(2).rstrip("=")})


@pytest.mark.parametrize("name", [CHACHA, "aes-256-gcm", "aes-256-cfb", "none"])
def test_methods_without_users(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} has no users"):
        server_key(name, generate_key(name), {"alice": generate_key(name)})


def test_colons() -> None:
    keys = f"{psk(1, 32)}:{psk(2, 32)}"
    with pytest.raises(ConfigError, match=f"{CHACHA} has no identity headers"):
        client_key(CHACHA, keys)
    for name in (AES_256, CHACHA):
        with pytest.raises(ConfigError, match="without a colon"):
            server_key(name, keys)
    assert len(client_key("aes-256-gcm", "a:b").key) == 32


def test_unknown_methods() -> None:
    for call in (
        lambda: client_key("aes-255-gcm", "x"),
        lambda: server_key("aes-255-gcm", "x"),
        lambda: generate_key("aes-255-gcm"),
    ):
        with pytest.raises(MethodError, match="aes-256-gcm"):
            call()


def test_a_cipher_that_libcrypto_lacks() -> None:
    method = Method("des-cfb", Family.STREAM, "DES-CFB", 8, 8, 0)
    for make in (client_key, server_key):
        with pytest.raises(MethodError, match="DES-CFB"):
            make(method, "password")


def test_keys_stay_out_of_sight() -> None:
    keys = f"{psk(0x61)}:{psk(0x62)}"
    shown = [
        repr(client_key(AES_128, keys)),
        repr(server_key(AES_128, psk(0x61), {"alice": psk(0x62)})),
        repr(Users(lookup(AES_128), {"alice": psk(0x62)}).by_hash),
        repr(client_key("aes-128-gcm", "password")),
    ]
    assert shown[0] == f"<ClientKey {AES_128}>"
    assert shown[1] == f"<ServerKey {AES_128}>"
    assert "<User 'alice'>" in shown[2]
    assert "bbbb" not in shown[2]
    assert shown[3] == "<ClientKey aes-128-gcm>"
    assert not hasattr(client_key(AES_128, keys), "__dict__")
    assert lookup(AES_128).name in shown[0]
