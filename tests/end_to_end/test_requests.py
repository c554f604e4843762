"""From the greeting to the first payload, however the client splits it."""

from __future__ import annotations

import pytest

from end_to_end.entrances import Entrance
from harness.listener import SocketAddress
from harness.pattern import SendingThread, Verifier, pattern
from harness.socks import (
    NO_AUTHENTICATION,
    SUCCEEDED,
    Socks5Client,
    greeting,
    open_connection,
    request,
)
from harness.targets import ServingTarget, Target, echo, source

_BANNER = b"220 the target speaks first\r\n"


def _read_success(client: Socks5Client) -> SocketAddress:
    assert client.read_choice() == NO_AUTHENTICATION
    reply = client.read_reply()
    assert reply.code == SUCCEEDED
    return reply.bound


def test_one_byte_at_a_time(entrance: Entrance) -> None:
    with ServingTarget(echo) as target, Socks5Client(entrance.address) as client:
        client.send_bytewise(greeting(NO_AUTHENTICATION) + request(target.address) + b"data")
        _read_success(client)
        client.finish()
        assert client.read_to_end() == b"data"


@pytest.mark.parametrize("size", [1, 1000, 65536, 1_000_000])
def test_pipelined_with_early_data(entrance: Entrance, size: int) -> None:
    with Target() as target, Socks5Client(entrance.address) as client:
        client.send(greeting(NO_AUTHENTICATION) + request(target.address) + pattern(1))
        accepted = target.accept()
        verifier = Verifier()
        verifier.read(accepted, 1)
        _read_success(client)
        rest = pattern(size, start=1)
        client.send(rest[: size // 2])
        client.send(rest[size // 2 :])
        client.finish()
        assert verifier.read_to_end(accepted) == size + 1
        accepted.sendall(b"seen")
        assert client.read(4) == b"seen"


def test_everything_before_any_answer(entrance: Entrance) -> None:
    with ServingTarget(echo) as target, Socks5Client(entrance.address) as client:
        data = pattern(100_000)
        client.send(greeting(NO_AUTHENTICATION) + request(target.address) + data)
        client.finish()
        _read_success(client)
        assert client.read_to_end() == data


def test_data_close_behind_the_request(entrance: Entrance) -> None:
    with ServingTarget(echo) as target:
        for _ in range(50):
            with Socks5Client(entrance.address) as client:
                client.negotiate()
                client.send(request(target.address))
                client.send(pattern(1000))
                client.send(pattern(1000, start=1000))
                assert client.read_reply().code == SUCCEEDED
                verifier = Verifier()
                verifier.read(client.connection, 2000)


def test_target_speaks_first(entrance: Entrance) -> None:
    with Target() as target, open_connection(entrance.address, target.address) as client:
        accepted = target.accept()
        accepted.sendall(_BANNER)
        assert client.read(len(_BANNER)) == _BANNER
        client.send(b"EHLO\r\n")
        assert accepted.recv(100) == b"EHLO\r\n"


def test_target_closes_at_once(entrance: Entrance) -> None:
    with Target() as target, open_connection(entrance.address, target.address) as client:
        target.accept().close()
        assert client.read_to_end() == b""


def test_target_closes_after_its_data(entrance: Entrance) -> None:
    with Target() as target, open_connection(entrance.address, target.address) as client:
        accepted = target.accept()
        sender = SendingThread(accepted, 100_000)
        assert Verifier().read_to_end(client.connection) == 100_000
        sender.join()


def test_ipv6_target(entrance: Entrance) -> None:
    with (
        ServingTarget(echo, "::1") as target,
        open_connection(entrance.address, target.address) as client,
    ):
        client.send(b"six")
        assert client.read(3) == b"six"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "::ffff:127.0.0.1"])
def test_spellings_of_a_target(entrance: Entrance, host: str) -> None:
    with ServingTarget(echo) as target:
        address = SocketAddress(host, target.address.port)
        with open_connection(entrance.address, address) as client:
            client.send(b"named")
            assert client.read(5) == b"named"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]"])
def test_ip_literal_as_a_name(entrance: Entrance, host: str) -> None:
    literal = host.encode()
    with (
        ServingTarget(source(1), host.strip("[]")) as target,
        Socks5Client(entrance.address) as client,
    ):
        client.negotiate()
        port = target.address.port.to_bytes(2, "big")
        client.send(bytes((5, 1, 0, 3, len(literal))) + literal + port)
        assert client.read_reply().code == SUCCEEDED
        client.send(b"?")
        assert client.read_to_end() == pattern(1)


def test_bound_address_is_the_one_the_target_sees(proxy: Entrance) -> None:
    with Target() as target, Socks5Client(proxy.address) as client:
        bound = client.connect(target.address)
        assert bound == target.accept().getpeername()


def test_one_client_at_a_time_does_not_hold_up_another(entrance: Entrance) -> None:
    with Target() as target, open_connection(entrance.address, target.address) as silent:
        target.accept()
        with open_connection(entrance.address, target.address) as busy:
            accepted = target.accept()
            busy.send(b"x")
            assert accepted.recv(1) == b"x"
        assert accepted.recv(1) == b""
        silent.finish()
