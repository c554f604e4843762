"""Dialing through other servers: one, or a chain of several."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import socks
from harness.deadline import DEADLINE
from harness.listener import SocketAddress, refusing_address
from harness.services import (
    Implementation,
    Service,
    environment,
    fastsocks_command,
    find_program,
    start_fastsocks,
    start_local,
    start_peer_server,
    start_proxy,
    start_server,
    wait_until_listening,
)
from harness.shadowsocks import generate_key
from harness.socks import ReplyError, Socks5Client, open_connection
from harness.targets import ServingTarget, Target, echo, exchange, exchange_patterns, http_page
from harness.udp import Echo, UdpAssociation, UdpTarget, localhost

METHOD = "2022-blake3-aes-128-gcm"
KEY = generate_key(METHOD)
OTHERS = ("chacha20-ietf-poly1305", "aes-256-cfb", "none")


class Hops:
    """Servers that chains go through."""

    def __init__(self, stack: ExitStack, implementation: Implementation) -> None:
        self._stack = stack
        self._implementation = implementation
        self._started: dict[str, tuple[Service, str]] = {}

    def url(self, name: str) -> str:
        """Return the URL of a server, which is started at the first call."""
        if name not in self._started:
            service, url = self._start(name)
            self._started[name] = self._stack.enter_context(service), url
        return self._started[name][1]

    def _start(self, name: str) -> tuple[Service, str]:
        if name == "socks":
            service = start_proxy("--user", "al:p w", implementation=self._implementation)
            return service, f"socks5://al:p%20w@{service.address}"
        if name == "rust":
            service = start_peer_server("rust", METHOD, KEY)
            return service, f"ss://{METHOD}:{KEY.replace('/', '%2F')}@{service.address}"
        if name in OTHERS:
            flags = ("--allow-unencrypted",) if name == "none" else ()
            key = "" if name == "none" else "secret"
            service = start_server(name, key, *flags, implementation=self._implementation)
            return service, f"ss://{name}:{key}@{service.address}"
        assert name == "ss"
        service = start_server(METHOD, KEY, implementation=self._implementation)
        return service, f"ss://{METHOD}:{KEY.replace('/', '%2F')}@{service.address}"

    def through(self, *names: str) -> Service:
        """Start a proxy that goes through servers, in their order."""
        flags = [flag for name in names for flag in ("--upstream", self.url(name))]
        service = start_proxy(*flags, implementation=self._implementation)
        return self._stack.enter_context(service)


@pytest.fixture(scope="module")
def hops(implementation: Implementation) -> Iterator[Hops]:
    """Servers that are started when a test asks for them."""
    with ExitStack() as stack:
        yield Hops(stack, implementation)


CHAINS = [
    ("ss",),
    ("socks",),
    ("rust",),
    ("none",),
    ("socks", "ss"),
    ("ss", "socks"),
    ("ss", "rust"),
    ("none", "ss"),
    ("ss", "none"),
    ("aes-256-cfb", "chacha20-ietf-poly1305"),
    ("ss", "socks", "rust"),
    ("socks", "ss", "chacha20-ietf-poly1305"),
    ("rust", "ss", "aes-256-cfb", "chacha20-ietf-poly1305"),
]


@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_a_transfer_both_ways(hops: Hops, chain: tuple[str, ...]) -> None:
    size = 3_000_000
    with ServingTarget(exchange(size)) as target:
        service = hops.through(*chain)
        with open_connection(service.address, target.address) as client:
            exchange_patterns(client.connection, size)


@pytest.mark.parametrize("chain", [("ss", "socks"), ("socks",)], ids="-".join)
def test_a_target_that_speaks_first(hops: Hops, chain: tuple[str, ...]) -> None:
    def speak(connection: object) -> None:
        connection.sendall(b"220 welcome")  # type: ignore[attr-defined]

    with ServingTarget(speak) as target:
        service = hops.through(*chain)
        with open_connection(service.address, target.address) as client:
            assert client.read_to_end() == b"220 welcome"


@pytest.mark.parametrize("chain", [("socks", "ss"), ("ss", "socks")], ids="-".join)
def test_curl(hops: Hops, chain: tuple[str, ...]) -> None:
    with ServingTarget(http_page(b"a page")) as target:
        service = hops.through(*chain)
        command = (find_program("curl"), "-sS", "--socks5-hostname", str(service.address))
        page = subprocess.run(
            [*command, f"http://localhost:{target.address.port}/"],
            capture_output=True,
            check=True,
            timeout=DEADLINE,
        )
        assert page.stdout == b"a page"


def test_a_server_goes_through_another(hops: Hops, implementation: Implementation) -> None:
    with (
        ServingTarget(echo) as target,
        start_server(
            METHOD, KEY, "--upstream", hops.url("socks"), implementation=implementation
        ) as server,
        start_local(server.address, METHOD, KEY, implementation=implementation) as local,
        open_connection(local.address, target.address) as client,
    ):
        client.send(b"ping")
        assert client.read(4) == b"ping"


@pytest.mark.parametrize("chain", [("socks",), ("ss", "socks")], ids="-".join)
def test_replies_of_the_upstream_are_ours(hops: Hops, chain: tuple[str, ...]) -> None:
    service = hops.through(*chain)
    with refusing_address() as address, pytest.raises(ReplyError) as caught:
        open_connection(service.address, address)
    assert caught.value.code == socks.CONNECTION_REFUSED
    service.process.wait_for_line(
        r"upstream socks5://127\.0\.0\.1:\d+: the SOCKS server answered 0x05.*\(upstream\)"
    )


def test_an_upstream_that_is_down(implementation: Implementation) -> None:
    with (
        refusing_address() as nobody,
        start_proxy(
            "--upstream", f"socks5://al:canary@{nobody}", implementation=implementation
        ) as service,
    ):
        with pytest.raises(ReplyError) as caught:
            open_connection(service.address, SocketAddress("127.0.0.1", 80))
        assert caught.value.code == socks.CONNECTION_REFUSED
        service.process.wait_for_line(f"upstream socks5://{nobody}: Connection refused")
        assert "canary" not in service.process.output


def test_wrong_credentials(hops: Hops, implementation: Implementation) -> None:
    url = hops.url("socks").replace("al:", "eve:")
    with start_proxy("--upstream", url, implementation=implementation) as service:
        with pytest.raises(ReplyError) as caught:
            open_connection(service.address, SocketAddress("127.0.0.1", 80))
        assert caught.value.code == socks.GENERAL_FAILURE
        service.process.wait_for_line("the SOCKS server refuses these credentials")


def test_an_upstream_that_says_nothing(implementation: Implementation) -> None:
    with (
        Target() as silent,
        start_proxy(
            "-t", "1", "--upstream", f"socks5://{silent.address}", implementation=implementation
        ) as service,
    ):
        with pytest.raises(ReplyError) as caught:
            open_connection(service.address, SocketAddress("127.0.0.1", 80))
        assert caught.value.code == socks.TTL_EXPIRED
        service.process.wait_for_line("did not answer in time")


def test_rules_choose_who_goes_directly(implementation: Implementation) -> None:
    with refusing_address() as nobody, ServingTarget(echo) as target:
        port = target.address.port
        flags = ("--upstream", f"socks5://{nobody}", "--rule", f"direct to localhost port {port}")
        with start_proxy(*flags, implementation=implementation) as service:
            with open_connection(service.address, SocketAddress("localhost", port)) as client:
                client.send(b"ping")
                assert client.read(4) == b"ping"
            with pytest.raises(ReplyError):
                open_connection(service.address, target.address)


def test_names_that_every_host_has_are_not_sent_on(
    hops: Hops, implementation: Implementation
) -> None:
    with (
        ServingTarget(echo) as target,
        start_fastsocks(
            *("server", "-s", "127.0.0.1", "-p", "0", "-k", KEY, "-m", METHOD),
            *("--upstream", hops.url("ss")),
            implementation=implementation,
        ) as server,
        start_local(server.address, METHOD, KEY, implementation=implementation) as local,
    ):
        for name in ("localhost", "DB.localhost."):
            # The client is told at once that it is connected, and sends then.
            with open_connection(local.address, SocketAddress(name, target.address.port)) as client:
                client.send(b"ping")
                one_form = name.lower().removesuffix(".")
                server.process.wait_for_line(f" {one_form}:.* this is no public address")
        assert target.served == 0
        with UdpTarget() as other, UdpAssociation(local.address) as association:
            association.send(b"x", SocketAddress("db.localhost", other.address.port))
            server.process.wait_for_line("dropped: the target is no public address")
            assert not other.was_reached


def test_an_association_ends_with_that_of_the_upstream(implementation: Implementation) -> None:
    with start_proxy(implementation=implementation) as upstream:
        url = f"socks5://{upstream.address}"
        with (
            start_proxy("--upstream", url, implementation=implementation) as service,
            UdpAssociation(service.address) as client,
        ):
            upstream.process.kill()
            assert client.control.read_to_end() == b""


DATAGRAM_CHAINS = [
    ("ss",),
    ("rust",),
    ("chacha20-ietf-poly1305",),
    ("socks",),
    ("ss", "rust"),
    ("rust", "ss"),
    ("none", "aes-256-cfb"),
    ("ss", "socks"),
    ("socks", "ss"),
    ("socks", "rust", "ss"),
]


@pytest.mark.parametrize("chain", DATAGRAM_CHAINS, ids="-".join)
def test_datagrams(hops: Hops, chain: tuple[str, ...]) -> None:
    with Echo() as target:
        service = hops.through(*chain)
        with UdpAssociation(service.address) as client:
            for size in (1, 512, 1400, 20000):
                assert client.exchange(bytes(size), target.address) == bytes(size)


@pytest.mark.parametrize("chain", [("rust",), ("socks",), ("ss", "socks")], ids="-".join)
def test_datagrams_of_a_server(
    hops: Hops, implementation: Implementation, chain: tuple[str, ...]
) -> None:
    flags = [flag for name in chain for flag in ("--upstream", hops.url(name))]
    with (
        Echo() as target,
        start_server(METHOD, KEY, *flags, implementation=implementation) as server,
        start_local(server.address, METHOD, KEY, implementation=implementation) as local,
        UdpAssociation(local.address) as client,
        UdpAssociation(local.address) as other,
    ):
        for size in (1, 512, 1400):
            assert client.exchange(bytes(size), target.address) == bytes(size)
            assert other.exchange(bytes(size), target.address) == bytes(size)


def test_datagrams_of_a_server_whose_upstream_is_down(implementation: Implementation) -> None:
    with (
        UdpTarget() as target,
        refusing_address() as nobody,
        start_server(
            *(METHOD, KEY, "--upstream", f"socks5://{nobody}"), implementation=implementation
        ) as server,
        start_local(server.address, METHOD, KEY, implementation=implementation) as local,
        UdpAssociation(local.address) as client,
    ):
        client.send(b"x", target.address)
        server.process.wait_for_line(
            f"127.0.0.1: upstream socks5://{nobody}: Connection refused .*upstream"
        )
        assert not target.was_reached


def test_rules_choose_which_datagrams_go_directly(implementation: Implementation) -> None:
    """Past an upstream that takes none: what is not direct goes nowhere."""
    with Echo() as direct, UdpTarget() as other, refusing_address() as nobody:
        rules = ("--rule", f"direct to 127.0.0.1 port {direct.address.port}")
        flags = ("--upstream", f"http://{nobody}", *rules)
        with (
            start_proxy(*flags, implementation=implementation) as proxy,
            start_server(METHOD, KEY, *flags, implementation=implementation) as server,
            start_local(server.address, METHOD, KEY, implementation=implementation) as local,
        ):
            for service in (proxy, server):
                service.process.wait_for_line("UDP goes where a rule says `direct` only")
            for address in (proxy.address, local.address):
                with UdpAssociation(address) as client:
                    client.send(b"x", other.address)
                    assert client.exchange(b"y", direct.address) == b"y"
                    assert not other.was_reached


def test_rules_lead_datagrams_of_local_past_its_server(implementation: Implementation) -> None:
    with Echo(localhost()) as direct, UdpTarget() as other, refusing_address() as nobody:
        rule = f"direct to localhost, {direct.address.host} port {direct.address.port}"
        with (
            start_local(
                nobody, METHOD, KEY, "--rule", rule, implementation=implementation
            ) as local,
            UdpAssociation(local.address) as client,
        ):
            client.send(b"x", other.address)
            assert client.exchange(b"y", direct.address) == b"y"
            by_name = SocketAddress("localhost", direct.address.port)
            assert client.exchange(b"z", by_name) == b"z"
            assert not other.was_reached


def test_a_server_of_datagrams_alone_wants_a_way_for_them(implementation: Implementation) -> None:
    flags = ("-m", METHOD, "-k", KEY, "-p", "0", "-U", "--upstream", "http://127.0.0.1:9")
    done = subprocess.run(
        fastsocks_command("server", *flags),
        env=environment(implementation),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "UDP cannot go through http://127.0.0.1:9; write tcp_only" in done.stderr


def test_an_http_proxy_offers_no_udp_and_no_upstream_bind(
    hops: Hops, implementation: Implementation
) -> None:
    flags = ("--upstream", hops.url("ss"), "--upstream", "http://127.0.0.1:9")
    with start_proxy(*flags, implementation=implementation) as service:
        service.process.wait_for_line("UDP is not offered: it cannot go through ss://")
        for command in (socks.BIND, socks.UDP_ASSOCIATE):
            with Socks5Client(service.address) as client:
                client.negotiate()
                client.send(socks.request(SocketAddress("127.0.0.1", 80), command))
                assert client.read_reply().code == socks.COMMAND_NOT_SUPPORTED


@pytest.mark.interop
@pytest.mark.parametrize("chain", [(), ("ss",), ("rust", "socks")], ids="-".join)
def test_http_proxy(
    hops: Hops, tmp_path: Path, implementation: Implementation, chain: tuple[str, ...]
) -> None:
    """Tinyproxy, which lets nobody in without a login, and answers 403 for other ports."""
    program = shutil.which("tinyproxy")
    if program is None:
        pytest.skip("tinyproxy is missing")
    with ServingTarget(echo) as target, ExitStack() as stack:
        url = stack.enter_context(_tinyproxy(program, tmp_path, target.address.port))
        flags = [flag for name in chain for flag in ("--upstream", hops.url(name))]
        service = stack.enter_context(
            start_proxy(
                *flags,
                *("--upstream", f"http://al:canary@{url.address}"),
                implementation=implementation,
            )
        )
        with open_connection(service.address, target.address) as client:
            client.send(b"ping")
            assert client.read(4) == b"ping"
        with pytest.raises(ReplyError) as caught:
            open_connection(service.address, SocketAddress("127.0.0.1", 9))
        assert caught.value.code == socks.NOT_ALLOWED
        service.process.wait_for_line(r"upstream http://.*: the HTTP proxy answered 403")


def _tinyproxy(program: str, folder: Path, port: int) -> Service:
    def command(listening: int) -> list[str]:
        file = folder / "tinyproxy.conf"
        file.write_text(
            f"Port {listening}\nListen 127.0.0.1\nAllow 127.0.0.1\nBasicAuth al canary\n"
            f"ConnectPort {port}\n",
            "utf-8",
        )
        return [program, "-d", "-c", str(file)]

    return wait_until_listening("tinyproxy", command)


@pytest.mark.interop
@pytest.mark.parametrize("chain", [(), ("ss",)], ids="-".join)
def test_microsocks(hops: Hops, implementation: Implementation, chain: tuple[str, ...]) -> None:
    program = shutil.which("microsocks")
    if program is None:
        pytest.skip("microsocks is missing")

    def command(port: int) -> list[str]:
        return [program, "-i", "127.0.0.1", "-p", str(port), "-u", "al", "-P", "canary"]

    with (
        ServingTarget(echo) as target,
        wait_until_listening("microsocks", command) as upstream,
        start_proxy(
            *(flag for name in chain for flag in ("--upstream", hops.url(name))),
            *("--upstream", f"socks5://al:canary@{upstream.address}"),
            implementation=implementation,
        ) as service,
        open_connection(service.address, target.address) as client,
    ):
        client.send(b"ping")
        assert client.read(4) == b"ping"
