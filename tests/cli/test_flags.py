"""What flags do to a running service."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from fastsocks.shadowsocks import client_key, server_key
from harness.deadline import DEADLINE
from harness.services import Implementation, start_fastsocks, start_local, start_proxy
from harness.socks import ReplyError, open_connection
from harness.targets import Target

KEY = "AAECAwQFBgcICQoLDA0ODw=="


def warnings(output: str) -> list[str]:
    return [line for line in output.splitlines() if " WARNING " in line]


def test_flags_of_libev_that_need_nothing_done() -> None:
    with start_fastsocks(
        *("server", "-s", "127.0.0.1", "-p", "0", "-l", "1080", "-m", "aes-128-gcm"),
        *("--key", KEY, "--no-delay", "-6", "-n", "512", "--reuse-port"),
    ) as service:
        assert not [line for line in warnings(service.process.output) if "open files" not in line]


@pytest.mark.parametrize("flag", ["-u", "-U", "--mtu=1400", "--udp-mtu=1400"])
def test_flags_of_udp_that_libev_has(flag: str) -> None:
    with start_proxy(flag) as service:
        assert warnings(service.process.output) == []


def test_reuse_port_lets_two_share_one() -> None:
    with start_proxy("--reuse-port") as first:
        second = start_fastsocks("proxy", "-l", str(first.address.port), "--reuse-port")
        with second:
            assert second.address.port == first.address.port


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_limit_of_open_files_is_set_and_too_low_is_told() -> None:
    with start_proxy("-n", "128", "--max-connections", "100") as service:
        assert "room for 14 connections, not for the 100" in service.process.output
        with open(f"/proc/{service.process.pid}/limits", encoding="ascii") as limits:  # noqa: PTH123
            (line,) = (line for line in limits if line.startswith("Max open files"))
        assert line.split()[3] == "128"


@pytest.mark.root
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_root_becomes_the_user_once_it_listens() -> None:
    with start_proxy("-a", "nobody") as service:
        status = Path(f"/proc/{service.process.pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("Uid:"))
        assert "0" not in line.split()[1:]


def test_lines_are_json_where_asked_for() -> None:
    with start_fastsocks("proxy", "-l", "0", "--log-format", "json", "-v") as service:
        with socket.create_connection(service.address, timeout=DEADLINE) as client:
            client.sendall(b"\x16\x03\x01")
            assert client.recv(1) == b""
        service.process.wait_for_line("version")
        found = [json.loads(line) for line in service.process.output.splitlines()]
    (failed,) = (one for one in found if one.get("status") == "version")
    assert failed["level"] == "warning"
    assert failed["peer"].startswith("127.0.0.1:")
    assert "--protocols" in failed["advice"]


def test_a_proxy_beyond_loopback_refuses_private_targets_with_02() -> None:
    with Target() as target, start_fastsocks("proxy", "-b", "0.0.0.0", "-l", "0") as service:
        entrance = service.address._replace(host="127.0.0.1")
        for host in ("127.0.0.1", "127.1", "localhost"):
            with pytest.raises(ReplyError) as caught:
                open_connection(entrance, target.address._replace(host=host))
            assert caught.value.code == 2
        service.process.wait_for_line(r"-> 127\.1:.*stands for 127\.0\.0\.1.*--allow-private")
        assert "has no accounts" in warnings(service.process.output)[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "localhost"])
def test_a_server_resets_who_asks_for_private_targets(
    implementation: Implementation, host: str
) -> None:
    key = ("-m", "aes-128-gcm", "-k", "x")
    with (
        Target() as target,
        start_fastsocks(
            *("server", "-s", "127.0.0.1", "-p", "0", *key), implementation=implementation
        ) as server,
        start_local(server.address, "aes-128-gcm", "x", implementation=implementation) as local,
        open_connection(local.address, target.address._replace(host=host)) as client,
    ):
        client.send(b"x")
        with pytest.raises(ConnectionResetError):
            client.read(1)
        server.process.wait_for_line(r"--allow-private")
        assert not target.was_dialed


def test_a_proxy_beyond_loopback_that_allows_private_targets() -> None:
    with (
        Target() as target,
        start_fastsocks("proxy", "-b", "0.0.0.0", "-l", "0", "--allow-private") as service,
    ):
        open_connection(
            service.address._replace(host="127.0.0.1"), target.address
        ).connection.close()


def test_a_raw_key_is_used_as_it_is() -> None:
    raw = bytes(range(16))
    assert client_key("aes-128-gcm", "", KEY).key == raw
    assert server_key("aes-128-gcm", "", None, KEY.rstrip("=")).key == raw
    # shadowsocks-libev takes a longer one, and its URL-safe letters.
    assert client_key("aes-128-gcm", "", "-_" * 20).key == bytes.fromhex("fbf" * 10 + "fb")[:16]
