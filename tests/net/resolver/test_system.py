"""The files by which a system says how names are looked up."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from fastsocks.net import Resolver
from fastsocks.net.resolver import System, system_files
from fastsocks.net.resolver import system as system_module
from fastsocks.net.resolver.name_servers import of_resolv_conf, read_name_server
from fastsocks.net.resolver.system_files import (
    read_hosts,
    read_nsswitch_conf,
    read_resolv_conf,
)
from harness.name_server import NameServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems go by other files")


@pytest.fixture(autouse=True)
def _look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_files, "_UNCHANGED", 0.0)


def system(folder: Path, **texts: str) -> System:
    """Write files, and return the system that goes by them."""
    for name in ("resolv_conf", "nsswitch_conf", "hosts"):
        (folder / name).write_text(texts.get(name, ""))
    return System(*(str(folder / name) for name in ("resolv_conf", "nsswitch_conf", "hosts")))


@pytest.mark.parametrize(
    ("text", "servers", "waits"),
    [
        ("", ["127.0.0.1"], 3),
        ("# nameserver 192.0.2.9\nnameserver 192.0.2.1\n", ["192.0.2.1"], 3),
        ("nameserver 192.0.2.1\nnameserver nobody\nnameserver ::1", ["192.0.2.1", "::1"], 3),
        ("nameserver fe80::1%lo", ["fe80::1"], 3),
        (
            "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 6)),
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
            3,
        ),
        ("nameserver 192.0.2.1\noptions timeout:1 attempts:4", ["192.0.2.1"], 4),
        ("nameserver 192.0.2.1\noptions timeout:30", ["192.0.2.1"], 1),
        ("nameserver 192.0.2.1\noptions timeout:x attempts:99999", ["192.0.2.1"], 3),
    ],
)
def test_resolv_conf(text: str, servers: list[str], waits: int) -> None:
    found = of_resolv_conf(read_resolv_conf(text))
    assert [server.sockaddr[0] for server in found.servers] == servers
    assert {server.sockaddr[1] for server in found.servers} == {53}
    assert len(found.waits) == waits
    assert sum(found.waits) <= 10


def test_more_of_resolv_conf() -> None:
    found = read_resolv_conf("search a.example. B.example\noptions ndots:2 rotate use-vc\n")
    assert found.search == ("a.example", "b.example")
    assert (found.ndots, found.rotate, found.tcp) == (2, True, True)
    assert all(server.tcp for server in of_resolv_conf(found).servers)
    assert read_resolv_conf("search a\nsearch b c\n").search == ("b", "c")


@pytest.mark.parametrize(
    ("text", "host", "port", "tcp"),
    [
        ("192.0.2.1", "192.0.2.1", 53, False),
        ("192.0.2.1:5353", "192.0.2.1", 5353, False),
        ("2001:db8::1", "2001:db8::1", 53, False),
        ("[2001:db8::1]:5353", "2001:db8::1", 5353, False),
        ("[2001:db8::1]", "2001:db8::1", 53, False),
        ("tcp://192.0.2.1:5353", "192.0.2.1", 5353, True),
        ("udp://[2001:db8::1]", "2001:db8::1", 53, False),
    ],
)
def test_name_servers(text: str, host: str, port: int, tcp: bool) -> None:
    found = read_name_server(text)
    assert (*found.sockaddr[:2], found.tcp) == (host, port, tcp)


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("", ("files", "dns")),
        ("hosts: files dns\n", ("files", "dns")),
        ("passwd: files\nhosts:files  dns  # and no more: nis\n", ("files", "dns")),
        (
            "hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns",
            ("mymachines", "resolve", "files", "myhostname", "dns"),
        ),
        (
            "hosts: files mdns4_minimal [NOTFOUND=return SUCCESS=return]dns",
            ("files", "mdns4_minimal", "dns"),
        ),
    ],
)
def test_nsswitch_conf(text: str, sources: tuple[str, ...]) -> None:
    assert read_nsswitch_conf(text) == sources


@pytest.mark.parametrize(
    ("sources", "asked"),
    [
        ("files dns", []),
        ("resolve files myhostname dns", ["here"]),
        ("files mdns4_minimal dns", ["printer.local"]),
        ("files nis dns", ["here", "printer.local", "a.example"]),
        ("files winbind", ["here", "printer.local", "a.example"]),
    ],
)
def test_for_which_names_the_system_is_asked(
    tmp_path: Path, sources: str, asked: list[str]
) -> None:
    found = system(tmp_path, nsswitch_conf=f"hosts: {sources}\n")
    names = ["here", "printer.local", "a.example"]
    assert [name for name in names if found.has_to_be_asked(name)] == asked


@pytest.mark.parametrize(
    ("server", "runs", "asked"),
    [("127.0.0.53", True, False), ("192.0.2.1", True, True), ("192.0.2.1", False, False)],
)
def test_systemd_resolved_is_asked_where_it_alone_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, runs: bool, asked: bool
) -> None:
    socket_file = tmp_path / "io.systemd.Resolve"
    if runs:
        socket_file.touch()
    monkeypatch.setattr(system_module, "_RESOLVED", socket_file)
    sources = "hosts: resolve [!UNAVAIL=return] files dns\n"
    found = system(tmp_path, resolv_conf=f"nameserver {server}\n", nsswitch_conf=sources)
    assert found.has_to_be_asked("a.example") == asked


def test_hosts() -> None:
    text = """
    127.0.0.1 localhost   # this one
    ::1 localhost ip6-localhost
    192.0.2.1 Box.example. box
    192.0.2.2 box
    192.0.2.1 box
    nobody box
    192.0.2.3
    """
    assert read_hosts(text) == {
        "localhost": ("127.0.0.1", "::1"),
        "ip6-localhost": ("::1",),
        "box.example": ("192.0.2.1",),
        "box": ("192.0.2.1", "192.0.2.2"),
    }


@pytest.mark.parametrize("name", ["localhost", "LocalHost.", "deep.localhost"])
def test_localhost_is_never_asked_for(run: Any, tmp_path: Path, name: str) -> None:
    async def scenario() -> None:
        with NameServer() as server:
            found = Resolver(asyncio.get_running_loop(), (server.address,), system=system(tmp_path))
            for _ in range(2):
                hosts = {info[4][0] for info in await found.resolve(name, 80)}
                assert "127.0.0.1" in hosts
                assert hosts <= {"127.0.0.1", "::1"}
            assert found.cached(name) is not None
            assert not server.questions

    run(scenario())


def test_the_hosts_file_gives_what_the_system_does(run: Any) -> None:
    async def scenario() -> None:
        found = await Resolver(asyncio.get_running_loop()).resolve("localhost", 80)
        flags = socket.AI_ADDRCONFIG
        theirs = socket.getaddrinfo("localhost", 80, proto=socket.IPPROTO_TCP, flags=flags)
        assert {info[4][0] for info in found} >= {info[4][0] for info in theirs}

    run(scenario())


def test_changes_are_noticed(run: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        files = system(tmp_path, resolv_conf="nameserver 127.0.0.1\n", hosts="192.0.2.1 box\n")
        assert [str(one) for one in files.name_servers().servers] == ["127.0.0.1"]
        found = Resolver(loop, system=files, families=(socket.AF_INET,))
        assert (await found.resolve("box", 1))[0][4][0] == "192.0.2.1"
        (tmp_path / "resolv_conf").write_text("nameserver 127.0.0.2\n# a longer file\n")
        (tmp_path / "hosts").write_text("192.0.2.22 box\n")
        assert [str(one) for one in files.name_servers().servers] == ["127.0.0.2"]
        assert files.in_hosts("box") == ("192.0.2.22",)

    run(scenario())


def test_a_variable_adds_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RES_OPTIONS", "timeout:1 attempts:2")
    assert system(tmp_path, resolv_conf="options attempts:4").name_servers().waits == (1.0, 1.0)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    found = System(missing, missing, missing)
    assert [str(one) for one in found.name_servers().servers] == ["127.0.0.1"]
    assert found.in_hosts("box") == ()
    assert not found.has_to_be_asked("a.example")
