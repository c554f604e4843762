"""What services allow."""

from __future__ import annotations

import pytest

from fastsocks.address import Address
from fastsocks.errors import MethodError, PolicyError
from fastsocks.policy import check_request, encode_accounts, weakness_of
from fastsocks.request import Request
from fastsocks.shadowsocks import METHODS, Family


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "example.com"])
def test_port_0_is_refused(host: str) -> None:
    check_request(Request(Address.of(host, 1)))
    with pytest.raises(PolicyError) as caught:
        check_request(Request(Address.of(host, 0)))
    assert caught.value.reply == 2


def test_methods_without_tags_have_a_weakness() -> None:
    weak = {name for name in METHODS if weakness_of(name) is not None}
    assert weak == {
        name for name, method in METHODS.items() if method.family in (Family.PLAIN, Family.STREAM)
    }
    assert "none" in weak
    assert "aes-256-cfb" in weak
    assert weakness_of("PLAIN") == weakness_of("none")
    with pytest.raises(MethodError):
        weakness_of("rot13")


def test_accounts_are_encoded_as_they_travel() -> None:
    assert encode_accounts({}) is None
    assert encode_accounts({"é": "\udcff"}) == {b"\xc3\xa9": b"\xff"}
