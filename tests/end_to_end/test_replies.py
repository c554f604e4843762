"""What a SOCKS5 client is answered, from the real cause (RFC 1928 sections 3, 4 and 6)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from end_to_end.entrances import Entrance
from harness import socks
from harness.listener import SocketAddress, refusing_address, silent_address
from harness.services import Implementation, Service, start_local, start_proxy
from harness.shadowsocks import generate_key
from harness.socks import ReplyError, Socks5Client, greeting, open_connection, request
from harness.targets import ServingTarget, Target, echo

_USER, _PASSWORD = "alice", "canary-correct-horse"


def _code(server: SocketAddress, address: SocketAddress) -> int:
    with pytest.raises(ReplyError) as caught:
        open_connection(server, address)
    return caught.value.code


@pytest.fixture(scope="module")
def guarded(implementation: Implementation) -> Iterator[Service]:
    """A proxy for one user."""
    with start_proxy("--user", f"{_USER}:{_PASSWORD}", implementation=implementation) as service:
        yield service
    assert _PASSWORD not in service.process.output


@pytest.mark.parametrize(("flags", "told"), [((), "::1"), (("--short-replies",), "0.0.0.0")])
def test_the_address_that_an_ipv6_target_is_reached_from(
    implementation: Implementation, flags: tuple[str, ...], told: str
) -> None:
    with (
        ServingTarget(echo, host="::1") as target,
        start_proxy(*flags, implementation=implementation) as service,
        Socks5Client(service.address) as client,
    ):
        assert client.connect(target.address).host == told
        client.send(b"ping")
        assert client.read(4) == b"ping"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_refused(proxy: Entrance, host: str) -> None:
    with refusing_address(host) as address:
        assert _code(proxy.address, address) == socks.CONNECTION_REFUSED


def test_refused_by_name(proxy: Entrance) -> None:
    with refusing_address() as address:
        named = SocketAddress("localhost", address.port)
        assert _code(proxy.address, named) == socks.CONNECTION_REFUSED


@pytest.mark.parametrize("name", ["nothing.invalid", "a" * 64 + ".invalid", "two..dots", "x" * 255])
def test_name_without_address(proxy: Entrance, name: str) -> None:
    assert _code(proxy.address, SocketAddress(name, 80)) == socks.HOST_UNREACHABLE


def test_network_unreachable(proxy: Entrance) -> None:
    # Of loopback's broadcast address the kernel says ENETUNREACH, without sending anything.
    address = SocketAddress("127.255.255.255", 80)
    assert _code(proxy.address, address) == socks.NETWORK_UNREACHABLE


def test_connect_timeout(implementation: Implementation) -> None:
    with (
        start_proxy("-t", "1", implementation=implementation) as service,
        silent_address() as address,
    ):
        assert _code(service.address, address) == socks.TTL_EXPIRED


def test_local_whose_server_is_gone(implementation: Implementation) -> None:
    method = "aes-256-gcm"
    key = generate_key(method)
    with (
        refusing_address() as nobody,
        start_local(nobody, method, key, implementation=implementation) as service,
    ):
        target = SocketAddress("127.0.0.1", 80)
        assert _code(service.address, target) == socks.CONNECTION_REFUSED


@pytest.mark.parametrize("early_data", [b"", b"early"])
def test_refused_behind_a_server(tunnel: Entrance, early_data: bytes) -> None:
    assert tunnel.server is not None
    tunnel.server.process.mark_start()
    with refusing_address() as address, Socks5Client(tunnel.address) as client:
        client.negotiate()
        client.send(request(address) + early_data)
        # The link to the server stands, and no Shadowsocks edition can tell more than that.
        assert client.read_reply().code == socks.SUCCEEDED
        with pytest.raises(ConnectionResetError):
            client.read_to_end()
        tunnel.server.process.wait_for_line(f"{address}.*refused")


@pytest.mark.parametrize("command", [0, 4, 0xF0])
def test_command_not_supported(entrance: Entrance, command: int) -> None:
    with Socks5Client(entrance.address) as client:
        client.negotiate()
        client.send(request(SocketAddress("127.0.0.1", 80), command))
        assert client.read_reply().code == socks.COMMAND_NOT_SUPPORTED
        assert client.read_to_end() == b""


@pytest.mark.parametrize("kind", [0, 2, 5, 9, 255])
def test_address_type_not_supported(entrance: Entrance, kind: int) -> None:
    with Socks5Client(entrance.address) as client:
        client.negotiate()
        client.send(bytes((5, 1, 0, kind)) + bytes(6))
        assert client.read_reply().code == socks.ADDRESS_TYPE_NOT_SUPPORTED
        assert client.read_to_end() == b""


@pytest.mark.parametrize("name", [b"", b"nul\0byte"], ids=["empty name", "name with a NUL"])
def test_name_that_is_none(entrance: Entrance, name: bytes) -> None:
    with Socks5Client(entrance.address) as client:
        client.negotiate()
        client.send(bytes((5, 1, 0, 3, len(name))) + name + b"\0\x50")
        assert client.read_reply().code == socks.GENERAL_FAILURE
        assert client.read_to_end() == b""


@pytest.mark.parametrize(
    "methods",
    [(), (1,), (socks.USER_PASSWORD,), (1, 2, 0x80, 0xFE)],
    ids=lambda methods: bytes(methods).hex() or "none",
)
def test_no_acceptable_method(entrance: Entrance, methods: tuple[int, ...]) -> None:
    with Socks5Client(entrance.address) as client:
        client.send(greeting(*methods))
        assert client.read_choice() == socks.NONE_ACCEPTABLE
        assert client.read_to_end() == b""


def test_unknown_methods_beside_a_known_one(entrance: Entrance) -> None:
    with ServingTarget(echo) as target, Socks5Client(entrance.address) as client:
        client.send(greeting(*range(255, 0, -1)))
        assert client.read_choice() == socks.NONE_ACCEPTABLE
    with ServingTarget(echo) as target, Socks5Client(entrance.address) as client:
        client.send(greeting(1, 0x80, 0, 0))
        assert client.read_choice() == socks.NO_AUTHENTICATION
        client.send(request(target.address))
        assert client.read_reply().code == socks.SUCCEEDED


@pytest.mark.parametrize("first", [b"\0", b"\x16\x03\x01", b"\xff" * 600])
def test_what_is_no_protocol_gets_no_answer(entrance: Entrance, first: bytes) -> None:
    with Socks5Client(entrance.address) as client:
        client.send(first)
        assert client.read_to_end() == b""


def test_what_is_not_spoken_here_gets_no_answer(implementation: Implementation) -> None:
    with start_proxy("--protocols", "socks5", implementation=implementation) as service:
        for first in (b"GET / HTTP/1.1\r\n\r\n", b"\x04\x01\0\x50\x7f\0\0\x01\0"):
            with Socks5Client(service.address) as client:
                client.send(first)
                assert client.read_to_end() == b""


def test_credentials_accepted(guarded: Service) -> None:
    with ServingTarget(echo) as target, Socks5Client(guarded.address) as client:
        client.send(greeting(socks.NO_AUTHENTICATION, socks.USER_PASSWORD))
        assert client.read_choice() == socks.USER_PASSWORD
        client.send(socks.credentials(_USER.encode(), _PASSWORD.encode()))
        assert client.read(2) == b"\x01\x00"
        client.send(request(target.address) + b"hello")
        assert client.read_reply().code == socks.SUCCEEDED
        assert client.read(5) == b"hello"


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (_USER, _PASSWORD[:-1]),
        (_USER, _PASSWORD + "x"),
        ("Alice", _PASSWORD),
        (_USER, ""),
        ("", ""),
        ("x" * 255, "y" * 255),
    ],
    ids=["short", "long", "other user", "no password", "nothing", "longest"],
)
def test_credentials_rejected(guarded: Service, user: str, password: str) -> None:
    with Target() as target, Socks5Client(guarded.address) as client:
        client.send(greeting(socks.USER_PASSWORD))
        assert client.read_choice() == socks.USER_PASSWORD
        client.send(socks.credentials(user.encode(), password.encode()) + request(target.address))
        version, status = client.read(2)
        assert version == 1
        assert status != 0
        assert client.read_to_end() == b""
        assert not target.was_dialed


def test_user_who_does_not_authenticate(guarded: Service) -> None:
    with Target() as target, Socks5Client(guarded.address) as client:
        client.send(greeting(socks.NO_AUTHENTICATION) + request(target.address))
        assert client.read_choice() == socks.NONE_ACCEPTABLE
        assert client.read_to_end() == b""
        assert not target.was_dialed


def test_handshake_that_is_never_finished(implementation: Implementation) -> None:
    with (
        start_proxy("-t", "1", implementation=implementation) as service,
        Socks5Client(service.address) as client,
    ):
        client.negotiate()
        client.send(b"\x05\x01")
        assert client.read_to_end() == b""


def test_one_log_line_per_failure(proxy: Entrance) -> None:
    proxy.socks.process.mark_start()
    with refusing_address() as address, Socks5Client(proxy.address) as client:
        peer = SocketAddress(*client.connection.getsockname())
        with pytest.raises(ReplyError):
            client.connect(address)
        proxy.socks.process.wait_for_line(f"{peer}.*{address}|{address}.*{peer}")
        lines = [line for line in proxy.socks.process.lines_of_test if str(peer) in line]
        assert len(lines) == 1, lines
        assert "refused" in lines[0].lower()
