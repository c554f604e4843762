"""Dialing with more than an address: from where, which family first, and with the SYN."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import ConfigError
from fastsocks.net import Dialer, check_local_addresses, fast_open_obstacle
from net.hosts_file import resolver_of

NAME = "target.example"


def dialer(answer: list[str], **options: Any) -> Dialer:
    loop = asyncio.get_running_loop()
    return Dialer(loop, resolver_of({NAME: answer}), timeout=10, **options)


def listening(host: str, port: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.bind((host, port))
    sock.listen()
    return sock


def test_targets_see_the_address_that_was_chosen(run: Any) -> None:
    async def scenario(four: int, six: int) -> None:
        dialing = dialer(["127.0.0.1"], local_addresses=("127.0.0.5",))
        for target in (Address.of("127.0.0.1", four), Address.of(NAME, four)):
            assert dialing.literal(target) is None
            with await dialing.dial(target) as sock:
                assert sock.getsockname()[0] == "127.0.0.5"
        # The system chooses for a family that has none.
        with await dialing.dial(Address.of("::1", six)) as sock:
            assert sock.getsockname()[0] == "::1"

    with listening("127.0.0.1") as four, listening("::1") as six:
        run(scenario(four.getsockname()[1], six.getsockname()[1]))


@pytest.mark.skipif(sys.platform != "linux", reason="every other system takes a port at bind")
def test_a_port_is_taken_for_one_target_only(run: Any) -> None:
    """Otherwise the ports of one address, some 28000, would bound the connections to all."""

    async def scenario(port: int) -> None:
        dialing = dialer([], local_addresses=("127.0.0.5",))
        with await dialing.dial(Address.of("127.0.0.1", port)) as sock:
            assert sock.getsockopt(socket.IPPROTO_IP, 24)  # IP_BIND_ADDRESS_NO_PORT

    with listening("127.0.0.1") as target:
        run(scenario(target.getsockname()[1]))


def test_an_address_that_is_not_here_is_told_at_once() -> None:
    check_local_addresses(["127.0.0.1", "::1"])
    with pytest.raises(ConfigError, match=r"cannot dial from 192\.0\.2\.1: .*requested address"):
        check_local_addresses(["192.0.2.1"])


@pytest.mark.parametrize(
    ("first", "host"),
    [(0, "::1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")],
)
def test_the_family_that_is_tried_first(run: Any, first: int, host: str) -> None:
    async def scenario(port: int) -> None:
        resolver = resolver_of({NAME: ["127.0.0.1", "::1"]}, first=first)
        dialing = Dialer(asyncio.get_running_loop(), resolver, timeout=10)
        for _ in range(2):  # by look-up, then from memory
            with await dialing.dial(Address.of(NAME, port)) as sock:
                assert sock.getpeername()[0] == host

    with listening("127.0.0.1") as four, listening("::1", four.getsockname()[1]):
        run(scenario(four.getsockname()[1]))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux knows TCP_FASTOPEN_CONNECT")
@pytest.mark.parametrize("fast_open", [False, True])
def test_fast_open_is_asked_for_one_address_only(run: Any, fast_open: bool) -> None:
    async def scenario(port: int) -> None:
        dialing = dialer(["127.0.0.1", "127.0.0.2"], fast_open=fast_open)
        assert (dialing.literal(Address.of("127.0.0.1", port)) is None) == fast_open
        for target, wanted in (("127.0.0.1", fast_open), (NAME, False)):
            with await dialing.dial(Address.of(target, port)) as sock:
                assert bool(sock.getsockopt(socket.IPPROTO_TCP, 30)) == wanted
                await asyncio.get_running_loop().sock_sendall(sock, b"x")

    with listening("127.0.0.1") as target:
        run(scenario(target.getsockname()[1]))


@pytest.mark.parametrize(
    ("value", "dialing", "advice"),
    [
        ("0", False, "tcp_fastopen=2"),
        ("1", False, "tcp_fastopen=3"),
        ("1", True, "tcp_fastopen=3"),
        ("2", True, "tcp_fastopen=3"),
        ("3", True, None),
        ("2", False, None),
        ("", True, None),
    ],
)
def test_a_switch_that_is_off_is_named(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    value: str,
    dialing: bool,
    advice: str | None,
) -> None:
    file = tmp_path / "tcp_fastopen"
    file.write_text(value, encoding="ascii")
    monkeypatch.setattr("fastsocks.net.tcp._FAST_OPEN_SWITCH", str(file))
    obstacle = fast_open_obstacle(dialing=dialing)
    if advice is None:
        assert obstacle is None
    else:
        assert obstacle is not None
        assert obstacle.endswith(advice)
