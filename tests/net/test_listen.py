"""Listening sockets."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from socket import getaddrinfo
from typing import Any

import pytest

from fastsocks.errors import ListenError
from fastsocks.net import defer_accept, is_name, listen, listen_datagrams, listen_together
from harness.deadline import DEADLINE

linux = pytest.mark.skipif(sys.platform != "linux", reason="TCP_DEFER_ACCEPT is of Linux")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def open_sockets(stack: ExitStack, host: str, port: int = 0) -> list[socket.socket]:
    return [stack.enter_context(sock) for sock in listen(host, port)]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_accepted_sockets_inherit_the_options(stack: ExitStack, host: str) -> None:
    (sock,) = open_sockets(stack, host)
    assert sock.gettimeout() == 0
    client = stack.enter_context(socket.create_connection(sock.getsockname()[:2], timeout=DEADLINE))
    client.sendall(b"x")
    sock.settimeout(10)
    accepted, _ = sock.accept()
    with accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 120


@linux
def test_accepting_waits_for_the_first_bytes(stack: ExitStack) -> None:
    (sock,) = open_sockets(stack, "127.0.0.1")
    defer_accept(sock, wanted=True)
    client = stack.enter_context(socket.create_connection(sock.getsockname(), timeout=DEADLINE))
    with pytest.raises(BlockingIOError):
        sock.accept()
    client.sendall(b"x")
    sock.settimeout(10)
    accepted, _ = sock.accept()
    with accepted:
        assert accepted.recv(1) == b"x"


@linux
def test_accepting_need_not_wait_for_bytes(stack: ExitStack) -> None:
    (sock,) = open_sockets(stack, "127.0.0.1")
    # As a service manager may have it.
    defer_accept(sock, wanted=True)
    defer_accept(sock, wanted=False)
    stack.enter_context(socket.create_connection(sock.getsockname(), timeout=DEADLINE))
    sock.settimeout(DEADLINE)
    sock.accept()[0].close()


def test_everywhere_is_both_families_at_one_port(stack: ExitStack) -> None:
    sockets = open_sockets(stack, "")
    assert [sock.family for sock in sockets] == [socket.AF_INET6, socket.AF_INET]
    assert sockets[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    ports = {sock.getsockname()[1] for sock in sockets}
    assert len(ports) == 1
    for host in ("127.0.0.1", "::1"):
        stack.enter_context(socket.create_connection((host, *ports), timeout=DEADLINE))


def test_a_name_is_all_its_addresses(stack: ExitStack) -> None:
    sockets = open_sockets(stack, "localhost")
    hosts = {sock.getsockname()[0] for sock in sockets}
    expected = {info[4][0] for info in socket.getaddrinfo("localhost", 0)}
    assert hosts == expected
    assert len({sock.getsockname()[1] for sock in sockets}) == 1


#: No host has it (RFC 5737).
ABSENT = "192.0.2.77"


@pytest.mark.parametrize("hosts", [(ABSENT, "127.0.0.1"), ("127.0.0.1", ABSENT), (ABSENT, "::1")])
@pytest.mark.parametrize("reuse_port", [False, True])
def test_an_absent_address_is_not_forgotten(
    stack: ExitStack, hosts: tuple[str, ...], reuse_port: bool
) -> None:
    with pytest.raises(ListenError, match=ABSENT):
        listen(hosts, 0)
    with pytest.raises(ListenError, match=ABSENT):
        listen_datagrams(hosts, 0)
    told: list[ListenError] = []
    streams, datagrams = listen_together(hosts, 0, reuse_port=reuse_port, missing=told.append)
    for sock in (*streams, *datagrams):
        stack.enter_context(sock)
        assert sock.getsockname()[0] in hosts
    assert (len(streams), len(datagrams)) == (1, 1)
    assert [(error.errno, ABSENT in str(error)) for error in told] == [(errno.EADDRNOTAVAIL, True)]
    stack.enter_context(listen_datagrams(hosts, 0, missing=told.append)[0])
    assert len(told) == 2


def test_a_name_without_an_address_here_is_not_forgotten(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", named(getaddrinfo, "away.test", ABSENT))
    told: list[ListenError] = []
    (sock,) = listen(("away.test", "127.0.0.1"), 0, missing=told.append)
    stack.enter_context(sock)
    assert [ABSENT in str(error) for error in told] == [True]
    told.clear()
    monkeypatch.setattr(socket, "getaddrinfo", named(getaddrinfo, "here.test", ABSENT, "127.0.0.1"))
    (sock,) = listen(("here.test",), 0)
    stack.enter_context(sock)
    assert sock.getsockname()[0] == "127.0.0.1"


def test_nothing_but_absent_addresses() -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.7"):
        listen((ABSENT, "192.0.2.78"), 0, missing=lambda _: None)


def named(real: Any, name: str, *hosts: str) -> Any:
    """Make a getaddrinfo that knows a name."""

    def look_up(host: Any, *rest: Any, **more: Any) -> list[Any]:
        found = hosts if host == name.encode() else (host,)
        return [info for one in found for info in real(one, *rest, **more)]

    return look_up


@pytest.mark.parametrize("host", ["localhost", "host.invalid", "münchen.invalid", "1.2.3.4.5"])
def test_names_are_told(host: str) -> None:
    assert is_name(host)


@pytest.mark.parametrize("host", ["", "127.0.0.1", "0.0.0.0", "::", "fe80::1%lo"])
def test_addresses_are_told(host: str) -> None:
    assert not is_name(host)


def test_several_addresses_are_at_one_port(stack: ExitStack) -> None:
    sockets = [stack.enter_context(sock) for sock in listen(("::1", "127.0.0.1", "::1"), 0)]
    assert [sock.getsockname()[0] for sock in sockets] == ["::1", "127.0.0.1"]
    assert len({sock.getsockname()[1] for sock in sockets}) == 1


def test_a_port_in_use(stack: ExitStack) -> None:
    (sock,) = open_sockets(stack, "127.0.0.1")
    port = sock.getsockname()[1]
    with pytest.raises(ListenError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*in use"):
        listen("127.0.0.1", port)
    # Everywhere includes it; the sockets that could be had are closed again.
    with pytest.raises(ListenError, match=rf"cannot listen on 0\.0\.0\.0:{port}: .*in use"):
        listen("", port)
    open_sockets(stack, "127.0.0.77", port)


def test_an_address_of_another_host() -> None:
    with pytest.raises(ListenError, match=r"cannot listen on \[2001:db8::1\]:1080: .*no such addr"):
        listen("2001:db8::1", 1080)


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "no such name", "\udcff"])
def test_a_name_that_does_not_resolve(host: str) -> None:
    with pytest.raises(ListenError, match="cannot listen on"):
        listen(host, 0)


@pytest.fixture
def many_files() -> Iterator[None]:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@linux
@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("talks", [True, False])
def test_a_burst_of_connections_fits_the_queue(stack: ExitStack, talks: bool) -> None:
    (sock,) = open_sockets(stack, "127.0.0.1")
    for _ in range(1000):
        client = stack.enter_context(socket.create_connection(sock.getsockname(), timeout=DEADLINE))
        # A full queue drops the SYN, and the client's kernel sends it again after a second.
        assert total_retransmissions(client) == 0
        if talks:
            client.sendall(b"x")
    if talks:
        sock.settimeout(10)
        for _ in range(1000):
            sock.accept()[0].close()


def total_retransmissions(sock: socket.socket) -> int:
    """Return tcpi_total_retrans of linux/tcp.h."""
    return int.from_bytes(
        sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[100:], sys.byteorder
    )


def test_processes_share_a_port_only_if_all_ask_for_it() -> None:
    (first,) = listen("127.0.0.1", 0, reuse_port=True)
    with first:
        port = first.getsockname()[1]
        (second,) = listen("127.0.0.1", port, reuse_port=True)
        second.close()
        with pytest.raises(ListenError):
            listen("127.0.0.1", port)


@pytest.mark.skipif(not hasattr(socket, "TCP_FASTOPEN"), reason="no TCP Fast Open here")
def test_fast_open_is_asked_for() -> None:
    for wanted in (False, True):
        (sock,) = listen("127.0.0.1", 0, fast_open=wanted)
        with sock:
            assert bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN)) == wanted
