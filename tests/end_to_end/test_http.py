"""HTTP as it goes over the wire: one request to one host, answers from the real cause."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from end_to_end.entrances import Entrance
from harness.deadline import DEADLINE
from harness.listener import SocketAddress, refusing_address, silent_address
from harness.pattern import pattern
from harness.services import Implementation, start_proxy
from harness.socks import Socks5Client
from harness.targets import ServingTarget, Target, echo

_BODY = pattern(200_000)


@contextmanager
def _client(entrance: Entrance) -> Iterator[Socks5Client]:
    # What it sends is up to the test; only its name says SOCKS.
    with Socks5Client(entrance.address) as client:
        yield client


def _read_head(target: Target) -> tuple[bytes, bytes]:
    connection = target.accept()
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


@pytest.mark.parametrize("bytewise", [False, True])
def test_connect_with_early_data(entrance: Entrance, bytewise: bool) -> None:
    with ServingTarget(echo) as target, _client(entrance) as client:
        request = f"CONNECT {target.address} HTTP/1.1\r\n\r\nhello".encode()
        (client.send_bytewise if bytewise else client.send)(request)
        answer = b"HTTP/1.1 200 Connection established\r\n\r\n"
        assert client.read(len(answer)) == answer
        assert client.read(5) == b"hello"
        client.finish()
        assert client.read_to_end() == b""


def test_a_request_and_no_more_reaches_the_target(entrance: Entrance) -> None:
    with Target() as target, Target() as other, _client(entrance) as client:
        size = len(_BODY)
        client.send(
            f"POST http://{target.address}/a HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
            "Connection: keep-alive\r\n\r\n".encode()
            + _BODY
            + f"GET http://{other.address}/b HTTP/1.1\r\nHost: {other.address}\r\n\r\n".encode()
        )
        head, body = _read_head(target)
        assert head.split(b"\r\n") == [
            b"POST /a HTTP/1.1",
            f"Host: {target.address}".encode(),
            f"Content-Length: {size}".encode(),
            b"Connection: close",
        ]
        connection = target.accepted[0]
        while len(body) < size:
            body += connection.recv(65536)
        assert body == _BODY
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n" + _BODY)
        # Bytes that the target did not ask for would be in front of this end.
        client.finish()
        assert connection.recv(1) == b""
        connection.close()
        expected = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + _BODY
        assert client.read_to_end() == expected
        assert not other.was_dialed


@pytest.mark.parametrize("bytewise", [False, True])
def test_a_head_as_large_as_cookies_are(entrance: Entrance, bytewise: bool) -> None:
    cookie = b"Cookie: a=" + b"x" * 60_000 + b"\r\n"
    with Target() as target, _client(entrance) as client:
        request = f"GET http://{target.address}/ HTTP/1.1\r\nHost: x\r\n".encode() + cookie
        if bytewise:
            # The end of it, that is; all of it would be 60,000 segments.
            client.send(request)
            client.send_bytewise(b"X: y\r\n\r\n")
        else:
            client.send(request + b"\r\n")
        head, _ = _read_head(target)
        assert cookie in head + b"\r\n"
        target.accepted[0].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        target.accepted[0].close()
        assert client.read_to_end().endswith(b"\r\nConnection: close\r\n\r\nok")


def test_a_path_as_users_write_it(entrance: Entrance) -> None:
    with Target() as target, _client(entrance) as client:
        client.send(f"GET http://{target.address}/é?ü HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _ = _read_head(target)
        assert head.startswith(b"GET /%C3%A9?%C3%BC HTTP/1.1\r\n")


@contextmanager
def _websocket(address: SocketAddress) -> Iterator[tuple[socket.socket, Socks5Client]]:
    """Ask a proxy for a WebSocket; yields its two ends, once the target has switched."""
    with Target() as target, Socks5Client(address) as client:
        client.send(
            f"GET ws://{target.address}/chat HTTP/1.1\r\nHost: {target.address}\r\n"
            "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        head, _ = _read_head(target)
        assert head.startswith(b"GET /chat HTTP/1.1\r\n")
        assert head.endswith(b"\r\nConnection: Upgrade\r\nUpgrade: websocket")
        assert b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" in head
        connection = target.accepted[0]
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi"
        )
        expected = (
            b"HTTP/1.1 101 Switching Protocols\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi"
        )
        assert client.read(len(expected)) == expected
        yield connection, client


def _exchange(connection: socket.socket, client: Socks5Client) -> None:
    """Carry what would be a request, and much in both directions."""
    frames = b"GET http://192.0.2.1/ HTTP/1.1\r\n\r\n" + _BODY
    with _in_background(client.send, frames):
        received = b""
        while len(received) < len(frames):
            received += connection.recv(65536)
    assert received == frames
    with _in_background(connection.sendall, _BODY):
        assert client.read(len(_BODY)) == _BODY
    connection.close()
    assert client.read_to_end() == b""


@contextmanager
def _in_background(send: Callable[[bytes], object], data: bytes) -> Iterator[None]:
    thread = threading.Thread(target=send, args=(data,))
    thread.start()
    yield
    thread.join(DEADLINE)


def test_websocket(entrance: Entrance) -> None:
    with _websocket(entrance.address) as (connection, client):
        _exchange(connection, client)


def test_a_websocket_client_that_does_not_wait(proxy: Entrance) -> None:
    proxy.socks.process.mark_start()
    with Target() as target, _client(proxy) as client:
        request = (
            f"GET http://{target.address}/ HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n"
            "Upgrade: websocket\r\n\r\n"
        ).encode()
        client.send(request)
        _read_head(target)
        client.send(b"GET http://192.0.2.1/ HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.read_to_end()
        proxy.socks.process.wait_for_line("a client that has to wait for its WebSocket")
        with pytest.raises(ConnectionResetError):
            target.accepted[0].recv(1)


def test_through_another_proxy(implementation: Implementation) -> None:
    with (
        start_proxy(implementation=implementation) as other,
        start_proxy(
            "--upstream", f"http://{other.address}", implementation=implementation
        ) as service,
    ):
        with _websocket(service.address) as (connection, client):
            _exchange(connection, client)
        cookie = b"Cookie: a=" + b"x" * 60_000
        with Target() as target, Socks5Client(service.address) as client:
            client.send(
                f"GET http://{target.address}/é HTTP/1.1\r\nHost: x\r\n".encode()
                + cookie
                + b"\r\n\r\n"
            )
            head, _ = _read_head(target)
            assert head.startswith(b"GET /%C3%A9 HTTP/1.1\r\n")
            assert cookie in head
            target.accepted[0].sendall(b"HTTP/1.1 204 No\r\n\r\n")
            target.accepted[0].close()
            assert client.read_to_end() == b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n"


def test_the_longest_head_is_chosen(implementation: Implementation) -> None:
    with (
        start_proxy("--max-request-head", "2000", implementation=implementation) as service,
        Socks5Client(service.address) as client,
    ):
        client.send(b"GET http://x/ HTTP/1.1\r\nX: " + b"x" * 2000)
        assert client.read_to_end().startswith(b"HTTP/1.1 431 ")


def test_a_body_in_chunks(entrance: Entrance) -> None:
    with Target() as target, _client(entrance) as client:
        client.send(
            f"PUT http://{target.address}/ HTTP/1.1\r\nHost: x\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        head, body = _read_head(target)
        assert b"\r\nTransfer-Encoding: chunked" in head
        client.send(b"5;extension\r\nhello\r\n0\r\nTrailer: x\r\n\r\nmore")
        client.finish()
        connection = target.accepted[0]
        while more := connection.recv(65536):
            body += more
        assert body == b"5\r\nhello\r\n0\r\n\r\n"


def test_chunks_that_are_none_end_the_relay(entrance: Entrance) -> None:
    entrance.socks.process.mark_start()
    with Target() as target, _client(entrance) as client:
        client.send(
            f"PUT http://{target.address}/ HTTP/1.1\r\nHost: x\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        _read_head(target)
        client.send(b"what?\r\n")
        with pytest.raises(ConnectionResetError):
            client.read_to_end()
        entrance.socks.process.wait_for_line(f"{target.address}: HTTP: the body of the request")


def test_refused(proxy: Entrance) -> None:
    proxy.socks.process.mark_start()
    with refusing_address() as address, _client(proxy) as client:
        client.send(f"GET http://{address}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = client.read_to_end()
        assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert answer.endswith(b"\r\n\r\nConnection refused\n")
        proxy.socks.process.wait_for_line(f"{address}: Connection refused")


def test_timeouts(implementation: Implementation) -> None:
    with (
        start_proxy("-t", "1", implementation=implementation) as service,
        silent_address() as address,
    ):
        with Socks5Client(service.address) as client:
            client.send(f"CONNECT {address} HTTP/1.1\r\n\r\n".encode())
            assert client.read_to_end().startswith(b"HTTP/1.1 504 ")
        with Socks5Client(service.address) as client:
            client.send(b"CONNECT ")
            assert client.read_to_end().startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "HTTP: this is a proxy"),
        (b"CONNECT x:0 HTTP/1.1\r\n\r\n", 403, "port 0 cannot be reached"),
        (b"BREW http://x/ HTTP/1.1\r\n\r\n", 501, "HTTP: an unknown method"),
        (b"GET http://x/ HTTP/1.1\r\nX: " + b"x" * 66_000, 431, "HTTP: a head of more than 65536"),
    ],
)
def test_refusals_have_a_code_and_a_reason(
    entrance: Entrance, request_: bytes, code: int, reason: str
) -> None:
    entrance.socks.process.mark_start()
    with _client(entrance) as client:
        client.send(request_)
        assert client.read_to_end().startswith(f"HTTP/1.1 {code} ".encode())
        entrance.socks.process.wait_for_line(reason)


def test_log_in(implementation: Implementation) -> None:
    with (
        start_proxy("--user", "alice:secret-canary", implementation=implementation) as service,
        ServingTarget(echo) as target,
    ):
        connect = f"CONNECT {target.address} HTTP/1.1\r\n".encode()
        for fields, code in (
            (b"", 407),
            (b"Proxy-Authorization: Basic YWxpY2U6d3Jvbmc=\r\n", 407),
            (b"Proxy-Authorization: Basic YWxpY2U6c2VjcmV0LWNhbmFyeQ==\r\n", 200),
        ):
            with Socks5Client(service.address) as client:
                client.send(connect + fields + b"\r\n")
                client.finish()
                assert client.read_to_end().startswith(f"HTTP/1.1 {code} ".encode())
        with Socks5Client(service.address) as client:
            client.send(bytes.fromhex("04010050c000020100"))
            assert client.read_to_end() == bytes.fromhex("005b000000000000")
        service.process.wait_for_line("SOCKS4 has no passwords")
        assert "canary" not in service.process.output
        assert "YWxp" not in service.process.output
