"""The one form of a host name, on both twins."""

from __future__ import annotations

import socket
from typing import Any

import idna
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.errors import HostNameError
from twins import IMPLEMENTATIONS, import_twin

SAME = {
    "Example.COM": "example.com",
    "example.com.": "example.com",
    "straße.de": "xn--strae-oqa.de",
    "XN--STRAE-OQA.de": "xn--strae-oqa.de",
    "STRASSE.de": "strasse.de",
    "_dmarc.bücher.example": "_dmarc.xn--bcher-kva.example",
    "r3---sn-4g5e.example": "r3---sn-4g5e.example",
    "denied.test\u3002": "denied.test",
    "denied.test\uff0e": "denied.test",
    "denied\uff61test": "denied.test",
    "\uff44enied.test": "denied.test",
    "den\u00adied.test": "denied.test",
    "\u212aelvin.test": "kelvin.test",
    "3com.example": "3com.example",
    "example.4you": "example.4you",
    "-": "-",
    "127.1": "127.0.0.1",
    "127.0.0.1.": "127.0.0.1",
    "2130706433": "127.0.0.1",
    "0x7f.1": "127.0.0.1",
    "0X7F.0.0.1": "127.0.0.1",
    "017700000001": "127.0.0.1",
    "0": "0.0.0.0",
    "\u2460\u2461\u2466.1": "127.0.0.1",
    "xn--i-7iq.ws": "xn--i-7iq.ws",
    "a" * 63 + ".example": "a" * 63 + ".example",
    ".".join(["a" * 63] * 3 + ["a" * 61]): ".".join(["a" * 63] * 3 + ["a" * 61]),
}

NONE = [
    *("", ".", "..", "a..b", ".a", "a..", "a b", "a\tb", "a/b", "a\uff0fb", "a*b", "a%b", "a:b"),
    *("denied\\.test", "\\100enied.test", "\udcff.example", "::1", "fe80::1%lo", "[::1]"),
    *("1.2.3.4.5", "256.1.1.1", "08.1.1.1", "example.0", "example.0x", "a.0x1f", "4294967296"),
    *("xn--denied-.test", "xn--.test", "xn--a.test", "xn--\xfc.test", "xn--strass-oqa9.de"),
    *("a" * 64 + ".example", ".".join(["a" * 63] * 4), "i\u2764.ws", "\u3002"),
]


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def names(request: pytest.FixtureRequest) -> Any:
    """The Cython module and the Python one in turn."""
    return import_twin("fastsocks.address", "_host_name", request.param)


@pytest.fixture(scope="module")
def twins() -> tuple[Any, ...]:
    """Both at once, for tests that compare them."""
    return tuple(import_twin("fastsocks.address", "_host_name", one) for one in IMPLEMENTATIONS)


@pytest.mark.parametrize(("written", "expected"), SAME.items())
def test_one_name_has_one_form(names: Any, written: str, expected: str) -> None:
    assert names.host_name(written) == expected
    assert names.canonical(Address.of(written, 443)) == Address.of(expected, 443)


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_host_name_is_refused(names: Any, text: str) -> None:
    with pytest.raises(HostNameError) as caught:
        names.host_name(text)
    assert caught.value.reply == 2


def test_what_has_its_form_stays_the_same_object(names: Any) -> None:
    name = "www.example.com"
    assert names.host_name(name) is name
    for host in (name, "192.0.2.1", "2001:db8::1"):
        address = Address.of(host, 443)
        assert names.canonical(address) is address


LETTERS = st.text(
    st.sampled_from("aB0-_.xn\xdf\xfc\u3002\uff0e\u2024\uff44\u00ad\u4e2d\u0661 \\%/\udc80"),
    min_size=1,
    max_size=40,
)
NUMBERS = st.text(st.sampled_from("0x179af."), min_size=1, max_size=20)
A_LABELS = st.text("abz09-", max_size=20).map(lambda text: f"a.xn--{text}.de")


@given(st.one_of(LETTERS, NUMBERS, A_LABELS, st.text(max_size=60)))
@example("xn--\x80")
@example("a" * 254)
def test_twins_agree_and_the_form_is_final(twins: tuple[Any, ...], host: str) -> None:
    found = set()
    for twin in twins:
        try:
            found.add(twin.host_name(host))
        except HostNameError:
            found.add(None)
    assert len(found) == 1
    name = found.pop()
    if name is None:
        return
    assert {twin.host_name(name) for twin in twins} == {name}
    assert name == name.lower()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert not name.endswith(".")


@given(NUMBERS)
def test_numbers_are_read_as_the_system_reads_them(twins: tuple[Any, ...], text: str) -> None:
    try:
        expected = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        return
    for twin in twins:
        assert twin.host_name(text) == expected


@given(st.text(st.characters(categories=["Ll", "Lo"]), min_size=1, max_size=20))
def test_labels_that_idna_takes_are_its_a_labels(twins: tuple[Any, ...], label: str) -> None:
    try:
        expected = idna.encode(label, uts46=True).decode("ascii")
    except idna.IDNAError:
        return
    for twin in twins:
        assert twin.host_name(label) == expected
