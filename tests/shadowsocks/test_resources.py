"""Codecs give back their memory, however a connection ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import ProtocolError
from harness.memory import check_rounds
from packet_ends import new_packet_client, new_packet_server
from shadowsocks_ends import NOW, import_shadowsocks, new_client, new_server
from twins import import_twin

METHODS = ("2022-blake3-aes-128-gcm", "2022-blake3-chacha20-poly1305", "aes-256-gcm", "aes-256-cfb")
TARGET = Address.of("192.0.2.1", 80)
PAYLOAD = bytes(3000)


class Ends:
    """Codecs of one twin and one method."""

    def __init__(self, implementation: str, method: str) -> None:
        self.shadowsocks = import_shadowsocks(implementation)
        self.layered: Any = import_twin(
            "fastsocks.shadowsocks", "_layers", implementation
        ).LayeredCodec
        self.method = method

    def client(self) -> Any:
        return new_client(self.shadowsocks, self.method, strict=False)

    def server(self) -> Any:
        return new_server(self.shadowsocks, self.method, strict=False)

    def pair(self) -> tuple[Any, Any]:
        client, server = self.client(), self.server()
        assert server.receive(client.request(TARGET, PAYLOAD)).early_data == PAYLOAD
        return client, server


def amid_the_request(ends: Ends) -> None:
    request = ends.client().request(TARGET, PAYLOAD)
    for size in (3, 40, 200):
        ends.server().receive(request[:size])


def a_request_that_was_changed(ends: Ends) -> None:
    request = ends.client().request(TARGET, PAYLOAD)
    for place in (0, 20, 60):
        changed = request[:place] + bytes((request[place] ^ 1,)) + request[place + 1 :]
        with contextlib.suppress(ProtocolError):
            ends.server().receive(changed)


def amid_a_record(ends: Ends) -> None:
    client, server = ends.pair()
    answer = bytes(server.seal(PAYLOAD))
    client.open(answer[:1000])
    client.open(answer[1000:2900])
    server.open(bytes(client.seal(PAYLOAD))[:2900])


def a_record_that_was_changed(ends: Ends) -> None:
    client, server = ends.pair()
    client.open(bytes(server.seal(PAYLOAD)))
    answer = bytearray(server.seal(PAYLOAD))
    answer[2000] ^= 1
    with contextlib.suppress(ProtocolError):
        client.open(bytes(answer[:1500]))
        client.open(bytes(answer[1500:]))


def a_chain(ends: Ends) -> None:
    codec = ends.layered(ends.client(), ends.client(), TARGET)
    first, second = ends.server(), ends.server()
    second.receive(first.receive(codec.request(TARGET, PAYLOAD)).early_data)
    answer = bytearray(first.seal(second.seal(PAYLOAD)))
    codec.open(bytes(answer[:2000]))
    answer[-1] ^= 1
    with contextlib.suppress(ProtocolError):
        codec.open(bytes(answer[2000:]))


def datagrams(ends: Ends) -> None:
    client = new_packet_client(ends.shadowsocks, ends.method)
    server = new_packet_server(ends.shadowsocks, ends.method)
    packet = bytes(client.seal(TARGET, PAYLOAD, NOW))
    session, _, _ = server.open(packet, NOW)
    answer = bytes(server.seal(TARGET, PAYLOAD, NOW, session))
    client.open(answer, NOW)
    for size in (0, 10, 50, 1000):
        for codec, data in ((server, packet), (client, answer)):
            with contextlib.suppress(ProtocolError):
                codec.open(data[:size], NOW)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "ending",
    [
        *(amid_the_request, a_request_that_was_changed, amid_a_record),
        *(a_record_that_was_changed, a_chain, datagrams),
    ],
    ids=lambda ending: ending.__name__,
)
def test_nothing_is_kept(implementation: str, method: str, ending: Callable[[Ends], None]) -> None:
    ends = Ends(implementation, method)
    check_rounds(lambda: ending(ends))
