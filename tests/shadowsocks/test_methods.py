"""The method table."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

import fastsocks
from fastsocks.errors import MethodError
from fastsocks.shadowsocks.methods import METHODS, Family, lookup

_VECTORS = Path(__file__).parent.parent / "vectors"

FAMILIES = {
    Family.AEAD_2022: [
        "2022-blake3-aes-128-gcm",
        "2022-blake3-aes-256-gcm",
        "2022-blake3-chacha20-poly1305",
    ],
    Family.AEAD: [
        "aes-128-gcm",
        "aes-192-gcm",
        "aes-256-gcm",
        "chacha20-ietf-poly1305",
        "xchacha20-ietf-poly1305",
    ],
    Family.STREAM: [
        "aes-128-cfb",
        "aes-192-cfb",
        "aes-256-cfb",
        "aes-128-ctr",
        "aes-192-ctr",
        "aes-256-ctr",
        "chacha20-ietf",
        "camellia-128-cfb",
        "camellia-192-cfb",
        "camellia-256-cfb",
        "rc4-md5",
    ],
    Family.PLAIN: ["none"],
}


def test_methods_and_their_families() -> None:
    assert {
        family: [m.name for m in METHODS.values() if m.family is family] for family in Family
    } == FAMILIES
    assert all(name == method.name for name, method in METHODS.items())


def test_sizes_are_those_of_the_vectors() -> None:
    seen = set()
    for file in ("aead.json", "stream.json"):
        for vector in json.loads((_VECTORS / file).read_text())["vectors"]:
            method = METHODS.get(vector["method"])
            if method is None:
                continue
            seen.add(method.name)
            assert method.key_size == vector["key_len"]
            assert method.salt_size == vector.get("salt_len", vector.get("iv_len"))
            assert method.nonce_size == vector.get("nonce_len", 0)
    assert seen == {m.name for m in METHODS.values() if m.family is not Family.AEAD_2022}


@pytest.mark.parametrize(
    ("name", "key_size"), list(zip(FAMILIES[Family.AEAD_2022], (16, 32, 32), strict=True))
)
def test_sizes_of_2022(name: str, key_size: int) -> None:
    """PROTOCOLS section 5.1: the salt is as long as the PSK."""
    method = METHODS[name]
    assert (method.key_size, method.salt_size, method.nonce_size) == (key_size, key_size, 12)


def test_authenticated() -> None:
    for family, names in FAMILIES.items():
        for name in names:
            wanted = family in (Family.AEAD, Family.AEAD_2022)
            assert METHODS[name].authenticated is wanted


def test_identity_headers() -> None:
    """SIP023 is for the AES methods of 2022 only."""
    having = [method.name for method in METHODS.values() if method.identity_headers]
    assert having == ["2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"]


def test_lookup() -> None:
    for name, method in METHODS.items():
        assert lookup(name) is method
    assert lookup("AES-256-GCM") is METHODS["aes-256-gcm"]
    assert lookup("plain") is METHODS["none"]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("AEAD_AES_128_GCM", "aes-128-gcm"),
        ("AEAD_AES_192_GCM", "aes-192-gcm"),
        ("aead_aes_256_gcm", "aes-256-gcm"),
        ("AEAD_CHACHA20_POLY1305", "chacha20-ietf-poly1305"),
        ("chacha20-poly1305", "chacha20-ietf-poly1305"),
        ("AEAD_XCHACHA20_POLY1305", "xchacha20-ietf-poly1305"),
        ("xchacha20-poly1305", "xchacha20-ietf-poly1305"),
    ],
)
def test_names_of_other_programs(name: str, known: str) -> None:
    assert lookup(name) is METHODS[known]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("aes-256-gmc", "did you mean aes-256-gcm?"),
        ("chacha20-poly135", "chacha20-ietf-poly1305"),
        ("2022-blake3-aes-256", "2022-blake3-aes-256-gcm"),
        ("plian", "did you mean plain?"),
        ("", "known are 2022-blake3-aes-128-gcm, "),
        ("?", "none"),
    ],
)
def test_lookup_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(MethodError, match="there is no method") as caught:
        lookup(name)
    assert hint in str(caught.value)


def test_lookup_does_not_repeat_what_may_be_a_key() -> None:
    with pytest.raises(MethodError) as caught:
        lookup("YctPZ6U7xPPcU+gp3u+0tx/tRizJN9K8y+uKlW2qjlI=")
    assert "YctP" not in str(caught.value)


def test_methods_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        METHODS["none"].key_size = 1  # type: ignore[misc]


def test_nobody_asks_for_the_name_of_an_edition() -> None:
    """What editions differ in stands in one place: who needs it asks for that."""
    names = re.compile(r"\bFamily\.[A-Z]|\.family\.(?:name|value)\b")
    source = Path(fastsocks.__path__[0])
    asking = {
        str(path.relative_to(source))
        for path in source.glob("**/*")
        if path.suffix in {".py", ".pyx", ".pxi", ".pxd"}
        and names.search(path.read_text(encoding="utf-8"))
    }
    assert asking == {"shadowsocks/methods.py"}
