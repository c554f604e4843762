"""Codecs within codecs: what each server of a chain takes off."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsocks.address import Address
from shadowsocks_ends import import_shadowsocks, new_client, new_server
from twins import import_twin

METHODS = ("2022-blake3-aes-128-gcm", "chacha20-ietf-poly1305", "aes-256-cfb", "none")
TARGET = Address.of("example.com", 443)
NEXT = Address.of("192.0.2.2", 8388)


class Ends:
    """Codecs and servers of one twin."""

    def __init__(self, implementation: str) -> None:
        self.shadowsocks = import_shadowsocks(implementation)
        self.layered: Any = import_twin(
            "fastsocks.shadowsocks", "_layers", implementation
        ).LayeredCodec

    def client(self, method: str) -> Any:
        return new_client(self.shadowsocks, method, strict=False)

    def server(self, method: str) -> Any:
        return new_server(self.shadowsocks, method, strict=False)


@pytest.fixture(scope="module", params=["cython", "python"])
def ends(request: pytest.FixtureRequest) -> Ends:
    return Ends(request.param)


@pytest.mark.parametrize("outer", METHODS)
@pytest.mark.parametrize("inner", METHODS)
def test_two_servers(ends: Ends, outer: str, inner: str) -> None:
    codec = ends.layered(ends.client(outer), ends.client(inner), NEXT)
    first, second = ends.server(outer), ends.server(inner)
    request = first.receive(codec.request(TARGET, b"hello"))
    assert request.address == NEXT
    request = second.receive(request.early_data)
    assert (request.address, request.early_data) == (TARGET, b"hello")
    data = bytes(range(256)) * 300
    assert second.open(first.open(codec.seal(data))) == data
    answer = first.seal(second.seal(data))
    assert b"".join(bytes(codec.open(answer[at : at + 1000])) for at in range(0, 80000, 1000)) == (
        data
    )
    assert not codec.incomplete


def test_what_was_requested_is_only_sealed(ends: Ends) -> None:
    outer, server = ends.client(METHODS[0]), ends.server(METHODS[0])
    assert server.receive(outer.request(NEXT, b"login")).early_data == b"login"
    codec = ends.layered(outer)
    assert server.open(codec.request(TARGET, b"payload")) == b"payload"
    assert server.open(codec.seal(b"more")) == b"more"


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=40_000), max_size=4), st.integers(1, 5000))
def test_cut_anywhere(ends: Ends, parts: list[bytes], step: int) -> None:
    names = METHODS[:3]
    codec = ends.layered(ends.client(names[0]), ends.client(names[1]), NEXT)
    codec = ends.layered(codec, ends.client(names[2]), NEXT)
    servers = [ends.server(name) for name in names]
    request = None
    data = codec.request(TARGET, b"x")
    for server in servers:
        request = server.receive(data)
        data = request.early_data
    assert request is not None
    assert request.address == TARGET
    answer = b""
    for part in parts:
        for server in reversed(servers):
            part = bytes(server.seal(part))  # noqa: PLW2901
        answer += part
    opened = [bytes(codec.open(answer[at : at + step])) for at in range(0, len(answer), step)]
    assert b"".join(opened) == b"".join(parts)
