"""Hashes of passwords, against RFC 7914 and passlib."""

from __future__ import annotations

import base64

import pytest

from fastsocks.crypto.passwords import ScryptHash

#: RFC 7914 section 12, the third vector.
RFC_KEY = bytes.fromhex(
    "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
)
#: The example of passlib's documentation; its password is "password".
PASSLIB = "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"
CHEAP = "$scrypt$ln=4,r=1,p=1$c29tZXNhbHQ$"


def unpadded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def test_the_vector_of_the_rfc() -> None:
    text = f"$scrypt$ln=14,r=8,p=1${unpadded(b'SodiumChloride')}${unpadded(RFC_KEY)}"
    assert ScryptHash(text).matches(b"pleaseletmein")
    assert not ScryptHash(text).matches(b"pleaseletmeout")


def test_what_they_cost() -> None:
    # Logarithm of N, r and p: what costs less comes first.
    sizes = ((10, 8, 1), (14, 8, 1), (14, 8, 5), (16, 8, 2))
    ends = f"${unpadded(bytes(16))}${unpadded(bytes(32))}"
    costs = [ScryptHash(f"$scrypt$ln={n},r={r},p={p}{ends}").cost for n, r, p in sizes]
    assert costs == sorted(set(costs))


def test_a_hash_of_passlib() -> None:
    assert ScryptHash(PASSLIB).matches(b"password")


def test_a_hash_of_our_own() -> None:
    made = ScryptHash.of(b"hunter\xff")
    assert made.text.startswith("$scrypt$ln=14,r=8,p=1$")
    assert ScryptHash(made.text).matches(b"hunter\xff")
    assert ScryptHash.of(b"hunter\xff").text != made.text
    assert made.text not in repr(made)


def test_zeros_at_its_end_make_another_password() -> None:
    assert not ScryptHash(PASSLIB).matches(b"password\0")
    with pytest.raises(ValueError, match="NUL"):
        ScryptHash.of(b"password\0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "password",
        "$2b$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        CHEAP,
        CHEAP + "short",
        CHEAP + "A" * 87,
        f"{CHEAP}{'A' * 22}\n",
        CHEAP.replace("ln=4", "ln=0") + "A" * 43,
        CHEAP.replace("ln=4", "ln=40") + "A" * 43,
        CHEAP.replace("r=1", "r=0") + "A" * 43,
        CHEAP.replace("p=1", "p=33") + "A" * 43,
        CHEAP + "A" * 45,
        "$scrypt$ln=22,r=8,p=1$c29tZXNhbHQ$" + "A" * 43,
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(it|its) ") as caught:
        ScryptHash(text)
    assert "c29tZXNhbHQ" not in str(caught.value)
