"""What leads to this host: asked for, followed, and where nobody tells."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from typing import Any

import pytest

from fastsocks.net import own_addresses
from fastsocks.net.own_addresses import (
    Network,
    follow_own_networks,
    is_of_this_host,
    own_networks,
)
from harness.services import find_program

linux = pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux's")

_CLONE_NEWNET = 0x40000000


def networks(*texts: str) -> set[Network]:
    return set(map(ip_network, texts))


def leads_here(found: frozenset[Network] | None, host: str) -> bool:
    return found is not None and any(
        one.supernet_of(ip_network(host))  # type: ignore[arg-type]
        for one in found
        if one.version == ip_network(host).version
    )


@linux
def test_loopback_is_of_this_host() -> None:
    found = own_networks()
    assert found is not None
    assert networks("127.0.0.0/8", "127.0.0.1/32") <= found
    assert not leads_here(found, "192.0.2.77")


def test_single_addresses_can_be_asked_for() -> None:
    assert is_of_this_host("127.0.0.1")
    assert not is_of_this_host("192.0.2.77")


def test_what_cannot_be_asked_for_counts_as_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socket", fail)
    assert is_of_this_host("192.0.2.77")


def test_all_on_one_loop_share_one_socket(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    real = own_addresses._open

    def noting(groups: int = 0) -> socket.socket:
        opened.append(groups)
        return real(groups)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        told: list[Any] = []
        leaves = [follow_own_networks(loop, told.append) for _ in range(3)]
        assert len(told) == 3
        assert told[0] == told[1] == told[2]
        assert len([groups for groups in opened if groups]) <= 1
        for leave in leaves:
            leave()
            leave()
        assert own_addresses._followers == {}

    monkeypatch.setattr(own_addresses, "_open", noting)
    run(scenario())


def test_without_netlink_answers_are_good_for_a_while(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int = 0) -> None:
        raise OSError("not allowed")

    async def scenario() -> None:
        told: asyncio.Queue[Any] = asyncio.Queue()
        leave = follow_own_networks(asyncio.get_running_loop(), told.put_nowait)
        for _ in range(3):
            assert await told.get() is None
        leave()
        assert own_addresses._followers == {}

    monkeypatch.setattr(own_addresses, "_open", fail)
    monkeypatch.setattr(own_addresses, "_ASK_AGAIN", 0.001)
    run(scenario())


@linux
def test_a_look_that_fails_is_tried_again(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [
        frozenset(networks("192.0.2.1/32")),
        None,
        frozenset(networks("192.0.2.2/32")),
    ]

    async def scenario() -> None:
        told: asyncio.Queue[Any] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        leave = follow_own_networks(loop, told.put_nowait)
        assert await told.get() == networks("192.0.2.1/32")
        own_addresses._followers[loop]._look()
        assert told.empty()
        assert await told.get() == networks("192.0.2.2/32")
        leave()

    monkeypatch.setattr(own_addresses, "own_networks", lambda: answers.pop(0))
    monkeypatch.setattr(own_addresses, "_LOOK_AGAIN", 0.001)
    run(scenario())


@linux
@pytest.mark.root
def test_changes_are_followed(run: Any) -> None:
    """In a network namespace of this thread."""
    ip = find_program("ip")

    def command(*arguments: str) -> None:
        subprocess.run([ip, *arguments], check=True, capture_output=True)

    async def until(told: asyncio.Queue[Any], holds: Callable[[Any], bool]) -> None:
        while not holds(await told.get()):
            pass

    async def scenario() -> None:
        told: asyncio.Queue[Any] = asyncio.Queue()
        leave = follow_own_networks(asyncio.get_running_loop(), told.put_nowait)
        assert not leads_here(told.get_nowait(), "8.8.4.4")
        for host, kind in (("8.8.4.4", "-4"), ("2606:4700::77", "-6")):
            there = _holds(host)
            options = ["nodad"] if kind == "-6" else []
            command("address", "add", host, "dev", "lo", *options)
            await until(told, there)
            command("address", "delete", host, "dev", "lo")
            await until(told, lambda found, there=there: not there(found))  # type: ignore[misc]
            # Whatever lies in there is answered by this host.
            wide = f"{host}/{28 if kind == '-4' else 64}"
            network = str(ip_network(wide, strict=False))
            command(kind, "route", "add", "local", network, "dev", "lo")
            await until(told, _holds(str(ip_network(network)[5])))
            command(kind, "route", "delete", "local", network, "dev", "lo")
            await until(told, lambda found, there=there: not there(found))  # type: ignore[misc]
        # What is marked for a transparent proxy is not this host's.
        command("route", "add", "local", "0.0.0.0/0", "dev", "lo", "table", "100")
        assert not leads_here(own_networks(), "8.8.4.4")
        leave()

    def in_namespace() -> None:
        assert ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) == 0, ctypes.get_errno()
        command("link", "set", "lo", "up")
        run(scenario())

    with ThreadPoolExecutor(1) as pool:
        pool.submit(in_namespace).result()


def _holds(host: str) -> Callable[[Iterable[Network]], bool]:
    return lambda found: leads_here(frozenset(found), host)
