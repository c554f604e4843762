"""Rules at work: TCP and UDP, by literal and by name, in all three services."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness import socks
from harness.deadline import wait_until
from harness.listener import SocketAddress
from harness.services import (
    Implementation,
    Service,
    environment,
    fastsocks_command,
    start_local,
    start_proxy,
    start_server,
)
from harness.shadowsocks import generate_key
from harness.socks import ReplyError, open_connection
from harness.targets import ServingTarget, Target, echo
from harness.udp import Echo, UdpAssociation, localhost

METHOD = "2022-blake3-aes-128-gcm"


def refused(service: Service, address: SocketAddress) -> None:
    with pytest.raises(ReplyError) as caught:
        open_connection(service.address, address)
    assert caught.value.code == socks.NOT_ALLOWED


def echoes(service: Service, address: SocketAddress) -> None:
    with open_connection(service.address, address) as client:
        client.send(b"ping")
        assert client.read(4) == b"ping"


@pytest.mark.parametrize(
    ("rule", "host"),
    [
        ("deny to 127.0.0.0/8", "127.0.0.1"),
        ("deny to 127.0.0.0/8, ::1", "localhost"),
        ("deny to localhost", "LocalHost."),
        ("deny from 127.0.0.1", "127.0.0.1"),
        ("deny command connect", "127.0.0.1"),
    ],
)
def test_what_a_proxy_denies(implementation: Implementation, rule: str, host: str) -> None:
    with (
        Target() as target,
        start_proxy("--rule", rule, implementation=implementation) as service,
    ):
        refused(service, SocketAddress(host, target.address.port))
        service.process.wait_for_line(f'denied by --rule: rules\\[0\\] "{rule}".*not-allowed')
        assert not target.was_dialed


def test_what_a_proxy_allows(implementation: Implementation) -> None:
    with ServingTarget(echo) as target:
        port = target.address.port
        rules = ("--rule", f"allow to 127.0.0.1 port {port}", "--rule", "deny")
        with start_proxy(*rules, implementation=implementation) as service:
            echoes(service, target.address)
            echoes(service, SocketAddress("localhost", port))
            refused(service, SocketAddress("127.0.0.1", port - 1))


def test_users(implementation: Implementation) -> None:
    with (
        ServingTarget(echo) as target,
        start_proxy(
            *("--user", "alice:a", "--user", "bob:b", "--rule", "deny user bob"),
            implementation=implementation,
        ) as service,
    ):
        for name, code in ((b"alice", socks.SUCCEEDED), (b"bob", socks.NOT_ALLOWED)):
            with socks.Socks5Client(service.address) as client:
                client.send(socks.greeting(socks.USER_PASSWORD))
                assert client.read_choice() == socks.USER_PASSWORD
                client.send(socks.credentials(name, name[:1]))
                assert client.read(2) == b"\x01\x00"
                client.send(socks.request(target.address))
                assert client.read_reply().code == code


def test_a_server_resets(implementation: Implementation) -> None:
    key = generate_key(METHOD)
    with (
        Target() as target,
        start_server(
            METHOD, key, "--rule", "deny to 127.0.0.0/8", implementation=implementation
        ) as server,
        start_local(server.address, METHOD, key, implementation=implementation) as local,
    ):
        with open_connection(local.address, target.address) as client:
            client.send(b"ping")
            with pytest.raises(ConnectionResetError):
                client.read_to_end()
        server.process.wait_for_line("denied by --rule")
        assert not target.was_dialed


def test_local_denies_by_name_and_goes_direct(
    implementation: Implementation, tmp_path: Path
) -> None:
    acl = tmp_path / "list.acl"
    acl.write_text("[bypass_list]\n127.0.0.0/8\n[outbound_block_list]\n||localhost\n", "utf-8")
    key = generate_key(METHOD)
    # Nobody listens there: what is reached is reached directly.
    nobody = SocketAddress("127.0.0.1", 9)
    with (
        ServingTarget(echo) as target,
        start_local(
            nobody, METHOD, key, "--acl", str(acl), implementation=implementation
        ) as service,
    ):
        echoes(service, target.address)
        refused(service, SocketAddress("localhost", target.address.port))
        service.process.wait_for_line(r'denied by .*list\.acl: line 4 "\|\|localhost"')


def test_local_asks_for_the_addresses_of_what_goes_direct(implementation: Implementation) -> None:
    rules = ("--rule", "deny to 127.0.0.0/8, ::1", "--rule", "direct to localhost")
    nobody = SocketAddress("127.0.0.1", 9)
    with (
        Target() as target,
        start_local(
            nobody, METHOD, generate_key(METHOD), *rules, implementation=implementation
        ) as service,
    ):
        refused(service, SocketAddress("localhost", target.address.port))
        service.process.wait_for_line("denied by --rule.*the name stands for")
        assert not target.was_dialed


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_datagrams(implementation: Implementation, host: str) -> None:
    address = localhost() if host == "localhost" else host
    with Echo(address) as allowed, Echo(address) as denied:
        rules = ("--rule", f"deny to {address} port {denied.address.port}")
        with (
            start_proxy(*rules, implementation=implementation) as service,
            UdpAssociation(service.address) as client,
        ):
            for _ in range(3):
                client.send(b"no", SocketAddress(host, denied.address.port))
            target = SocketAddress(host, allowed.address.port)
            assert client.exchange(b"yes", target) == b"yes"
            assert client.exchange(b"yes", target) == b"yes"
            service.process.wait_for_line("denied by --rule")
            wait_until(lambda: allowed.count == 2, "both came")
            assert denied.count == 0


def test_datagrams_through_a_server(implementation: Implementation) -> None:
    key = generate_key(METHOD)
    with Echo() as allowed, Echo() as denied, Echo() as denied_near:
        far = ("--rule", f"deny to 127.0.0.1 port {denied.address.port}")
        near = ("--rule", f"deny to 127.0.0.1 port {denied_near.address.port}")
        with (
            start_server(METHOD, key, *far, implementation=implementation) as server,
            start_local(server.address, METHOD, key, *near, implementation=implementation) as local,
            UdpAssociation(local.address) as client,
        ):
            client.send(b"no", denied.address)
            client.send(b"no", denied_near.address)
            assert client.exchange(b"yes", allowed.address) == b"yes"
            server.process.wait_for_line("denied by --rule")
            local.process.wait_for_line("denied by --rule")
            assert denied.count == denied_near.count == 0


def test_associations_are_refused(implementation: Implementation) -> None:
    with start_proxy("--rule", "deny command udp", implementation=implementation) as service:
        with pytest.raises(ReplyError) as caught:
            UdpAssociation(service.address)
        assert caught.value.code == socks.NOT_ALLOWED


def test_check_tells_which_rule(tmp_path: Path) -> None:

    file = tmp_path / "proxy.toml"
    file.write_text('rules = ["deny to example.com", "deny to 10.0.0.0/8", "allow"]', "utf-8")

    def told(*arguments: str) -> str:
        command = fastsocks_command("check", "proxy", "-c", str(file), *arguments)
        found = subprocess.run(
            command, env=environment(), capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stderr
        return found.stdout

    assert f'denied: {file}: rules[0] "deny to example.com"' in told(
        "--target", "www.example.com:80"
    )
    assert "to be resolved first" in told("--target", "x.org:443", "--client", "192.0.2.1")
    assert f"denied: {file}: rules[1]" in told("--target=10.1.1.1:80", "--command", "udp")


def test_check_knows_what_is_sent_on() -> None:
    rules = ("--rule", "direct to near.example", "--rule", "deny to 192.168.0.0/16")
    for target, said in (
        ("10.0.0.1:80", "refused all the same"),
        ("far.example:80", "resolved elsewhere"),
        ("near.example:80", "resolved here"),
    ):
        command = fastsocks_command(
            *("check", "proxy", "-b", "::", "--upstream", "socks5://192.0.2.1", *rules),
            *("--target", target),
        )
        found = subprocess.run(
            command, env=environment(), capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stderr
        assert said in found.stdout
