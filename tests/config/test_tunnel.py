"""Tunnels, as files of shadowsocks-libev, shadowsocks-rust and fastsocks name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from configured import configure_local, configure_proxy, configure_tunnel
from fastsocks.address import Address
from fastsocks.config import Configuration, LocalOptions, ProxyOptions, TunnelOptions
from fastsocks.errors import ConfigError

SERVER = {"server": "192.0.2.1", "server_port": 9, "method": "aes-256-gcm", "password": "p"}
SOCKS = {"local_port": 1080, "protocol": "socks"}
TUNNEL = {
    "protocol": "tunnel",
    "local_port": 5353,
    "forward_address": "2001:db8::53",
    "forward_port": 53,
    "mode": "udp_only",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config.json"
    file.touch(0o600)
    return file


def options_of(configuration: Configuration[Any]) -> list[Any]:
    return [service.options for service in configuration.services]


def test_listeners_of_several_protocols_run_together(file: Path) -> None:
    file.write_text(json.dumps({**SERVER, "locals": [SOCKS, TUNNEL]}), "utf-8")
    found = configure_local(file=file, environ={})
    socks, tunnel = options_of(found)
    assert isinstance(socks, LocalOptions)
    assert isinstance(tunnel, TunnelOptions)
    assert (tunnel.target, tunnel.port, tunnel.mode) == ("[2001:db8::53]:53", 5353, "udp_only")
    assert tunnel.target_address == Address.of("2001:db8::53", 53)
    assert (tunnel.server, tunnel.server_port, tunnel.password) == ("192.0.2.1", 9, "p")
    sources = found.services[1].sources
    assert sources["target"] == f"{file}: locals[1].forward_address"
    assert sources["server"] == f"{file}: server"
    assert found.warnings == ()


def test_one_leads_to_the_same_servers(file: Path) -> None:
    content = {"servers": [SERVER, {**SERVER, "server": "192.0.2.2"}], "locals": [TUNNEL]}
    file.write_text(json.dumps(content), "utf-8")
    (tunnel,) = options_of(configure_local(file=file, environ={}))
    assert (tunnel.server, [one.server for one in tunnel.servers]) == ("192.0.2.1", ["192.0.2.2"])


def test_a_proxy_runs_tunnels_without_a_server(file: Path) -> None:
    content = {"upstream": "socks5://192.0.2.7", "locals": [SOCKS, TUNNEL]}
    file.write_text(json.dumps(content), "utf-8")
    socks, tunnel = options_of(configure_proxy(file=file, environ={}))
    assert isinstance(socks, ProxyOptions)
    assert isinstance(tunnel, TunnelOptions)
    assert (tunnel.server, tunnel.upstream) == ("", ("socks5://192.0.2.7",))


@pytest.mark.parametrize("configure", [configure_local, configure_tunnel])
def test_the_top_level_can_be_one(file: Path, configure: Any) -> None:
    file.write_text(json.dumps({**SERVER, **TUNNEL, "payload_wait": 0}), "utf-8")
    (tunnel,) = options_of(configure(file=file, environ={}))
    assert isinstance(tunnel, TunnelOptions)
    assert (tunnel.target, tunnel.port, tunnel.payload_wait) == ("[2001:db8::53]:53", 5353, 0)


def test_ss_tunnel_has_its_target_at_the_top(file: Path) -> None:
    file.write_text(json.dumps({**SERVER, "tunnel_address": "h.example:80"}), "utf-8")
    (tunnel,) = options_of(configure_tunnel(file=file, environ={}))
    assert tunnel.target == "h.example:80"
    (tunnel,) = options_of(configure_tunnel({"target": "h.example:81"}, file, {}))
    assert tunnel.target == "h.example:81"
    (tunnel,) = options_of(
        configure_tunnel(file=file, environ={"FASTSOCKS_TUNNEL_ADDRESS": "h.example:82"})
    )
    assert tunnel.target == "h.example:82"
    with pytest.raises(ConfigError, match="tunnel_address: one target for all clients is for `f"):
        configure_local(file=file, environ={})


def test_who_may_log_in_is_not_asked_by_a_tunnel_among_others(file: Path) -> None:
    content = {**SERVER, "accounts": {"a": "b"}, "locals": [SOCKS, TUNNEL]}
    file.write_text(json.dumps(content), "utf-8")
    found = configure_local(file=file, environ={})
    socks, tunnel = options_of(found)
    assert socks.accounts == {"a": "b"}
    assert isinstance(tunnel, TunnelOptions)
    (warning,) = found.warnings
    assert warning.startswith(f"{file}: locals[1]: clients of a tunnel do not log in, whatever")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"locals": [{**TUNNEL, "accounts": {"a": "b"}}]}, r"locals\[0\]\.accounts: clients of a"),
        ({"locals": [{**TUNNEL, "forward_port": None}]}, "forward_address: without forward_port"),
        ({"locals": [{**TUNNEL, "forward_address": None}]}, "forward_port: without forward_addr"),
        ({"locals": [{**TUNNEL, "forward_port": 0}]}, r"locals\[0\]\.forward_address: write HOST"),
        ({"locals": [{**TUNNEL, "target": "h:1"}]}, r"forward_address: there is .*target too"),
        ({"locals": [{"protocol": "tunnel"}]}, r"locals\[0\]\.target: it is missing; write HOST"),
        ({"locals": [{**SOCKS, "target": "h:1"}]}, r"locals\[0\]\.target: one target for all"),
        ({"locals": [{**TUNNEL, "protocol": "redir"}]}, r"locals\[0\]\.protocol: not supported"),
        ({"locals": [{**TUNNEL, "protocol": "x"}]}, "protocol: it has to be socks, http or tunnel"),
        ({"upstream": "ss://x", "locals": [TUNNEL]}, "upstream: local leads to its Shadowsocks"),
    ],
)
def test_what_a_file_cannot_say(file: Path, content: dict[str, Any], message: str) -> None:
    file.write_text(json.dumps({**SERVER, **content}), "utf-8")
    with pytest.raises(ConfigError, match=f"^{file}: .*{message}"):
        configure_local(file=file, environ={})


def test_other_listeners_are_for_local(file: Path) -> None:
    file.write_text(json.dumps({**SERVER, "locals": [SOCKS, TUNNEL]}), "utf-8")
    with pytest.raises(ConfigError, match=r"locals\[0\]\.protocol: socks is for `fastsocks local`"):
        configure_tunnel(file=file, environ={})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "target: it is missing; write HOST:PORT, or -L HOST:PORT"),
        ({"target": "h"}, "--forward: write HOST:PORT"),
        ({"target": "h:0"}, "--forward: write HOST:PORT"),
        ({"target": "::1"}, "--forward: write HOST:PORT"),
        ({"target": "h:1", "method": "aes-256-gcm"}, "server: its address is missing"),
        ({"target": "h:1", "server": "h"}, "method: none given"),
        ({"target": "h:1", "payload_wait": -1}, r"--payload-wait: -1 is not in 0\.\.10000"),
        (
            {"target": "h:1", **SERVER, "upstream": ["ss://x"]},
            "--upstream: there is a server too; give one of the two",
        ),
    ],
)
def test_what_flags_cannot_say(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        configure_tunnel(flags, environ={})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": ""}, "target: write HOST:PORT"),
        ({"target": "h:1", "method": "aes-256-gcm"}, "server: its address is missing"),
        ({"target": "h:1", "server": "h"}, "method: none given"),
    ],
)
def test_options_are_checked(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        TunnelOptions(**given)


def test_it_can_do_without_a_server() -> None:
    options = TunnelOptions(target="h:1")
    assert (options.server, options.upstream, options.payload_wait) == ("", (), 10)
    assert options.target_address == Address.of("h", 1)
