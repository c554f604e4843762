"""Files as users of shadowsocks-libev and shadowsocks-rust have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configured import configure_local, configure_proxy, configure_server
from fastsocks.config import Configuration
from fastsocks.errors import ConfigError
from harness.real_files import (
    DEBIAN,
    LIBEV_CLIENT,
    LIBEV_OBFS,
    LIBEV_SERVER,
    LIBEV_SHARED,
    RUST_ACL,
    RUST_CLIENT,
    RUST_REDIR,
    RUST_SERVER,
    RUST_USERS,
    SERVER_KEY,
    SIP008,
    TOML,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text("X2bWAN3LLHYhqddEHcovrg==\n", "utf-8")
    (tmp_path / "key").chmod(0o600)
    file = tmp_path / "config"
    file.touch(0o600)
    return file


def server(file: Path, text: str, **environ: str) -> Configuration[Any]:
    file.write_text(text, "utf-8")
    return configure_server(file=file, environ=environ)


def local(file: Path, text: str) -> Configuration[Any]:
    file.write_text(text, "utf-8")
    return configure_local(file=file, environ={})


def keys_warned_about(configuration: Configuration[Any]) -> list[str]:
    return [text.split(": ")[1] for text in configuration.warnings]


def test_debian_server(file: Path) -> None:
    found = server(file, DEBIAN)
    (service,) = found.services
    options = service.options
    assert options.addresses == ("::1", "127.0.0.1")
    assert (options.port, options.method) == (8388, "chacha20-ietf-poly1305")
    assert (options.password, options.mode) == ("cNlnUivfi4ed", "tcp_and_udp")
    assert options.outbound_addresses == ()
    assert keys_warned_about(found) == ["timeout"]


def test_debian_local(file: Path) -> None:
    found = local(file, DEBIAN)
    options = found.services[0].options
    assert (options.addresses, options.port) == (("127.0.0.1", "::1"), 1080)
    assert (options.server, options.server_port) == ("::1", 8388)


def test_libev_server(file: Path) -> None:
    found = server(file, LIBEV_SERVER)
    (service,) = found.services
    options = service.options
    assert (options.addresses, options.port) == (("::0", "0.0.0.0"), 443)
    assert (options.timeout, options.fast_open, options.reuse_port) == (60, True, True)
    assert options.outbound_addresses == ("10.0.0.2", "2620:129:35::33")
    assert (found.process.user, found.process.nofile) == ("nobody", 32768)
    assert options.resolver == ("1.1.1.1",)
    assert keys_warned_about(found) == []


def test_libev_client(file: Path) -> None:
    found = local(file, LIBEV_CLIENT)
    options = found.services[0].options
    assert (options.addresses, options.port) == (("0.0.0.0",), 4321)
    assert (options.server, options.server_port) == ("first.example.com", 8388)
    assert keys_warned_about(found) == ["server"]


def test_a_file_shared_by_both_ends(file: Path) -> None:
    found = server(file, LIBEV_SHARED)
    options = found.services[0].options
    assert (options.addresses, options.port) == (("my.example.com",), 8388)
    assert options.outbound_addresses == ()
    assert keys_warned_about(found) == ["local_address"]
    assert keys_warned_about(local(file, LIBEV_SHARED)) == []


def test_rust_server(file: Path) -> None:
    found = server(file, RUST_SERVER, SERVER_KEY=SERVER_KEY)
    options = found.services[0].options
    assert (options.addresses, options.port) == (("",), 8388)
    assert (options.password, options.no_delay) == (SERVER_KEY, False)
    assert keys_warned_about(found) == ["timeout", "keep_alive", "log", "runtime"]


def test_rust_servers_with_users(file: Path) -> None:
    found = server(file, RUST_USERS)
    assert [service.name for service in found.services] == ["servers[0]", "servers[2]"]
    first, second = (service.options for service in found.services)
    assert (first.addresses, first.port, first.mode) == (("0.0.0.0",), 8389, "tcp_only")
    assert (second.addresses, second.port, second.mode) == (("",), 8390, "tcp_and_udp")
    assert (first.timeout, second.timeout) == (60, 60)
    assert second.users == {"username": "4w0GKJ9U3Ox7CIXGU4A3LDQAqP6qrp/tUi/ilpOR9p4="}
    assert not first.users


def test_rust_client(file: Path) -> None:
    found = local(file, RUST_CLIENT)
    assert [service.name for service in found.services] == ["locals[0]", "locals[1]"]
    listening = [(s.options.addresses, s.options.port) for s in found.services]
    assert listening == [(("127.0.0.1",), 1080), (("::1",), 1081)]
    assert {s.options.server for s in found.services} == {"2001:db8::1"}
    assert found.warnings == ()


def test_sip008(file: Path) -> None:
    found = local(file, SIP008)
    options = found.services[0].options
    assert (options.server, options.password) == ("example.com", "example")
    assert options.servers
    assert found.warnings == ()


def test_toml(file: Path) -> None:
    first, second = (service.options for service in server(file, TOML).services)
    assert first.addresses == ("192.0.2.1", "2001:db8::1")
    assert first.users == {"alice": "X2bWAN3LLHYhqddEHcovrg=="}
    assert (second.addresses, second.port) == (("",), 8389)
    assert second.password == "X2bWAN3LLHYhqddEHcovrg=="
    assert {(o.method, o.timeout, o.allow_private) for o in (first, second)} == {
        ("2022-blake3-aes-128-gcm", 15, True)
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LIBEV_OBFS, "config: plugin: not supported yet: SIP003 plugins; remove it"),
        (RUST_REDIR, r"config: locals\[1\]\.protocol: not supported yet: redir"),
        (RUST_ACL, r"config: acl: /etc/shadowsocks-rust/server\.acl: No such file"),
        (RUST_SERVER, "config: password: the environment has no variable SERVER_KEY"),
    ],
    ids=["plugin", "redir", "acl", "environment"],
)
def test_what_decides_who_connects_where_stops_it(file: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        local(file, text)


@pytest.mark.parametrize("text", [DEBIAN, LIBEV_CLIENT, RUST_USERS], ids=["1", "2", "3"])
def test_a_proxy_is_none_of_these(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="or run `fastsocks local`"):
        configure_proxy(file=file, environ={})


@pytest.mark.parametrize(
    ("listening", "expected"),
    [
        ('"server": "::"', ("",)),
        ('"server": "::0"', ("",)),
        ('"server": "[::]:9000"', ("",)),
        ('"server": ["::"]', ("::",)),
        ('"server": ["::", "0.0.0.0"]', ("::", "0.0.0.0")),
        ('"server": "::", "ipv6_only": true', ("::",)),
        ('"server": "0.0.0.0"', ("0.0.0.0",)),
        ('"server": "::1"', ("::1",)),
        ('"server": ""', ("",)),
        ('"mode": "tcp_only"', ("",)),
    ],
)
def test_which_families_a_server_listens_on(
    file: Path, listening: str, expected: tuple[str, ...]
) -> None:
    found = server(file, f'{{{listening}, "password": "p", "method": "aes-256-gcm"}}')
    assert found.services[0].options.addresses == expected


def test_none_beyond_loopback_has_to_be_insisted_on(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"config: method: none encrypts nothing"):
        server(file, '{"method": "none"}')
    server(file, '{"method": "none", "server": "127.0.0.1"}')
    server(file, '{"method": "plain", "server": ["::1", "localhost"]}')
    server(file, '{"method": "none", "allow_unencrypted": true}')


@pytest.mark.parametrize(
    ("address", "more", "expected"),
    [
        ("192.0.2.1", "", ("192.0.2.1",)),
        ("2001:db8::1", "", ("2001:db8::1",)),
        ("192.0.2.1", ', "local_ipv6_address": "2001:db8::1"', ("192.0.2.1", "2001:db8::1")),
        ("192.0.2.1", ', "local_ipv4_address": "192.0.2.2"', ("192.0.2.2",)),
        ("0.0.0.0", "", ()),
        ("::", "", ()),
        ("127.0.0.1", "", ()),
        ("127.0.0.2", ', "allow_private": true', ("127.0.0.2",)),
    ],
)
def test_what_a_server_dials_from(
    file: Path, address: str, more: str, expected: tuple[str, ...]
) -> None:
    text = f'{{"local_address": "{address}"{more}, "password": "p", "method": "aes-256-gcm"}}'
    assert server(file, text).services[0].options.outbound_addresses == expected


@pytest.mark.parametrize("key", ["local_address", "local_ipv4_address"])
def test_a_server_dials_from_one_address_of_a_family(file: Path, key: str) -> None:
    text = f'{{"{key}": ["192.0.2.1", "192.0.2.2"], "password": "p", "method": "aes-256-gcm"}}'
    with pytest.raises(ConfigError, match=f"config: {key}: one IPv4 and one IPv6 address"):
        server(file, text)


def test_an_open_proxy_is_warned_about(file: Path) -> None:
    def warnings(text: str) -> tuple[str, ...]:
        file.write_text(text, "utf-8")
        return configure_proxy(file=file, environ={}).warnings

    assert warnings("{}") == ()
    assert warnings('{"local_address": "::1"}') == ()
    assert warnings('{"local_address": "0.0.0.0", "accounts": {"a": "b"}}') == ()
    (warning,) = warnings('{"local_address": "0.0.0.0"}')
    assert warning.startswith("anyone who can reach this proxy can use it")
