"""Every key on every side: an option, nothing, a warning or an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastsocks.config import (
    Configuration,
    ServerEntry,
    configure_local,
    configure_proxy,
    configure_server,
)
from fastsocks.config.keys import KEYS, Place, Side, Use
from fastsocks.config.rules import read_rules
from fastsocks.errors import ConfigError

PSK = "29ub3TmJNnn3hMwNFRbGTw=="
CONFIGURE: dict[str, Callable[..., Configuration[Any]]] = {
    "server": configure_server,
    "local": configure_local,
    "proxy": configure_proxy,
}

#: What a file says besides the key of a test, by side and place.
TOP: dict[str, dict[str, Any]] = {
    "server": {
        "server": "127.0.0.1",
        "server_port": 8389,
        "method": "aes-256-gcm",
        "password": "p",
    },
    "local": {
        "server": "example.com",
        "server_port": 8389,
        "method": "aes-256-gcm",
        "password": "p",
    },
    "proxy": {},
}
SERVERS = TOP
LOCALS: dict[str, Any] = {"local_port": 1081}


class Sets(NamedTuple):
    """The key sets an option, of the service or the process."""

    option: str
    value: Any


IGNORED, WARNING, REFUSED = "ignored", "warning", "refused"
Outcome = Sets | str
#: The value of a key, and what comes of it on server, local and proxy.
Row = tuple[Any, Outcome, Outcome, Outcome]


def same(value: Any, option: str, read: Any = None) -> Row:
    sets = Sets(option, value if read is None else read)
    return value, sets, sets, sets


def everywhere(value: Any, outcome: str) -> Row:
    return value, outcome, outcome, outcome


EVERYWHERE: dict[str, Row] = {
    "server": ("::1", Sets("addresses", ("::1",)), Sets("server", "::1"), REFUSED),
    "server_port": (9000, Sets("port", 9000), Sets("server_port", 9000), REFUSED),
    "method": ("CHACHA20-IETF-POLY1305", Sets("method", "chacha20-ietf-poly1305"),
               Sets("method", "chacha20-ietf-poly1305"), REFUSED),
    "password": ("other", Sets("password", "other"), Sets("password", "other"), REFUSED),
    "key": ("A" * 43, Sets("key", "A" * 43), Sets("key", "A" * 43), REFUSED),
    "timeout": same(7.5, "timeout"),
    "mode": same("tcp_only", "mode"),
}  # fmt: skip
UDP = {
    "udp_timeout": same(90, "udp_timeout"),
    "udp_max_associations": same(512, "udp_max_associations"),
    "udp_mtu": same(1300, "mtu"),
    "inbound_udp_allow_fragmentation": everywhere(True, WARNING),
    "outbound_udp_allow_fragmentation": everywhere(True, WARNING),
}
PLUGIN = {
    "plugin": everywhere("v2ray-plugin", REFUSED),
    "plugin_opts": everywhere("server", WARNING),
    "plugin_args": everywhere(["--verbose"], WARNING),
    "plugin_mode": everywhere("tcp_only", WARNING),
}
OUTBOUND = {
    "outbound_bind_addr": everywhere("192.0.2.1", REFUSED),
    "outbound_bind_interface": everywhere("eth1", REFUSED),
    "outbound_fwmark": everywhere(255, REFUSED),
    "outbound_user_cookie": everywhere(255, REFUSED),
    "outbound_proxy": everywhere("socks5://127.0.0.1:1", REFUSED),
}
RULES = read_rules(["deny"])
FURTHER: dict[str, Any] = {
    "server": "192.0.2.8",
    "server_port": 8389,
    "method": "aes-128-gcm",
    "password": "q",
}

METADATA = {
    name: everywhere(value, IGNORED)
    for name, value in {
        "version": 1,
        "id": "27b8a625-4f4b-4428-9f0f-8a2317db7c79",
        "remarks": "mine",
        "bytes_used": 274877906944,
        "bytes_remaining": 824633720832,
    }.items()
}

ROWS: dict[Place, dict[str, Row]] = {
    Place.TOP: {
        **EVERYWHERE,
        **UDP,
        **PLUGIN,
        **OUTBOUND,
        **METADATA,
        "local_address": ("127.0.0.2", WARNING, Sets("addresses", ("127.0.0.2",)),
                          Sets("addresses", ("127.0.0.2",))),
        "local_port": (1081, IGNORED, Sets("port", 1081), Sets("port", 1081)),
        "local_ipv4_address": ("192.0.2.1", Sets("outbound_addresses", ("192.0.2.1",)),
                               WARNING, WARNING),
        "local_ipv6_address": ("2001:db8::1", Sets("outbound_addresses", ("2001:db8::1",)),
                               WARNING, WARNING),
        "password_file": ("secret", Sets("password", "from the file"),
                          Sets("password", "from the file"), REFUSED),
        "url": (f"ss://2022-blake3-aes-128-gcm:{PSK}@192.0.2.7:8390",
                REFUSED, Sets("server", "192.0.2.7"), REFUSED),
        "users": ([{"name": "a", "password": PSK}], Sets("users", {"a": PSK}), REFUSED, REFUSED),
        "accounts": ([{"name": "a", "password": "b"}], REFUSED, Sets("accounts", {"a": "b"}),
                     Sets("accounts", {"a": "b"})),
        "accounts_file": ("/etc/accounts", REFUSED, Sets("accounts_file", "/etc/accounts"),
                          Sets("accounts_file", "/etc/accounts")),
        "allow_private": (True, Sets("allow_private", True), WARNING, Sets("allow_private", True)),
        "allow_unencrypted": (True, Sets("allow_unencrypted", True), IGNORED, IGNORED),
        "tcp_idle_timeout": same(600, "tcp_idle_timeout"),
        "grace": same(0, "grace"),
        "fast_open": same(True, "fast_open"),
        "reuse_port": same(True, "reuse_port"),
        "no_delay": same(False, "no_delay"),
        "ipv6_first": same(True, "ipv6_first"),
        "ipv6_only": everywhere(True, IGNORED),
        "mtu": same(1492, "mtu"),
        "udp_address": ("192.0.2.9", IGNORED, Sets("udp_address", "192.0.2.9"),
                        Sets("udp_address", "192.0.2.9")),
        "bind_address": ("192.0.2.9", IGNORED, IGNORED, Sets("bind_addresses", ("192.0.2.9",))),
        "gssapi": (True, REFUSED, Sets("gssapi", True), Sets("gssapi", True)),
        "gssapi_keytab": ("f", REFUSED, Sets("gssapi_keytab", "f"), Sets("gssapi_keytab", "f")),
        "gssapi_protection": (["None"], REFUSED, Sets("gssapi_protection", ("none",)),
                              Sets("gssapi_protection", ("none",))),
        "bind_ports": ("4000-4100", IGNORED, IGNORED, Sets("bind_ports", (4000, 4100))),
        "bind_timeout": (7, IGNORED, IGNORED, Sets("bind_timeout", 7)),
        "udp_max_associations_per_user": same(3, "udp_max_associations_per_user"),
        "access_log": same(True, "access_log"),
        "max_connections": same(1000, "max_connections"),
        "max_connections_per_client": same(100, "max_connections_per_client"),
        "max_handshakes": same(50, "max_handshakes"),
        "max_handshakes_per_client": same(5, "max_handshakes_per_client"),
        "max_drains": same(40, "max_drains"),
        "max_drains_per_client": same(4, "max_drains_per_client"),
        "max_lookups_per_client": same(3, "max_lookups_per_client"),
        "user": same("nobody", "user"),
        "workers": same("auto", "workers", 0),
        "nofile": same("32768", "nofile", 32768),
        "log_level": same("DEBUG", "log_level", "debug"),
        "log_format": same("json", "log_format"),
        "public_address": same("vpn.example.com", "public_address"),
        "servers": ([FURTHER], IGNORED, Sets("servers", (ServerEntry(**FURTHER),)), REFUSED),
        "locals": ([LOCALS], IGNORED, Sets("port", 1081), Sets("port", 1081)),
        "protocol": ("http", IGNORED, Sets("protocols", ("http",)), Sets("protocols", ("http",))),
        "protocols": (["HTTP", "socks5"], IGNORED, Sets("protocols", ("http", "socks5")),
                      Sets("protocols", ("http", "socks5"))),
        "keep_alive": everywhere(15, WARNING),
        "mptcp": everywhere(True, WARNING),
        "dscp": everywhere({"ef": 46}, WARNING),
        "tcp_incoming_sndbuf": everywhere(65536, WARNING),
        "tcp_incoming_rcvbuf": everywhere(65536, WARNING),
        "tcp_outgoing_sndbuf": everywhere(65536, WARNING),
        "tcp_outgoing_rcvbuf": everywhere(65536, WARNING),
        "nameserver": everywhere("8.8.8.8", WARNING),
        "dns": everywhere("google", WARNING),
        "dns_cache_size": everywhere(64, WARNING),
        "balancer": everywhere({"max_server_rtt": 5}, WARNING),
        "manager_address": everywhere("127.0.0.1", WARNING),
        "manager_port": everywhere(6100, WARNING),
        "log": everywhere({"level": 1}, WARNING),
        "runtime": everywhere({"mode": "multi_thread"}, WARNING),
        "use_syslog": everywhere(True, WARNING),
        "workdir": everywhere("/tmp", WARNING),  # noqa: S108
        "launchd_tcp_socket_name": everywhere("TCPListener", WARNING),
        "launchd_udp_socket_name": everywhere("UDPListener", WARNING),
        "upstream": (["socks5://h"], Sets("upstream", ("socks5://h",)), REFUSED,
                     Sets("upstream", ("socks5://h",))),
        "rules": same(["deny"], "rules", RULES),
        "acl": everywhere("/nowhere.acl", REFUSED),
        "forbidden_ip": everywhere("127.0.0.0/8", REFUSED),
        "port_password": everywhere({"8381": "foobar"}, REFUSED),
        "security": everywhere({"replay_attack": {"policy": "reject"}}, REFUSED),
        "online_config": everywhere({"config_url": "https://example.com"}, REFUSED),
        "auth": everywhere(True, REFUSED),
        "one_time_auth": everywhere(True, REFUSED),
        "tunnel_address": everywhere("8.8.8.8:53", REFUSED),
        "tcp_tproxy": everywhere(True, REFUSED),
    },
    Place.SERVERS: {
        **EVERYWHERE,
        **UDP,
        **PLUGIN,
        **OUTBOUND,
        **METADATA,
        "password_file": ("secret", Sets("password", "from the file"),
                          Sets("password", "from the file"), REFUSED),
        "users": ([{"name": "a", "password": PSK}], Sets("users", {"a": PSK}), IGNORED, REFUSED),
        "allow_private": (True, Sets("allow_private", True), WARNING, REFUSED),
        "allow_unencrypted": (True, Sets("allow_unencrypted", True), IGNORED, REFUSED),
        "disabled": (False, IGNORED, IGNORED, REFUSED),
        "tcp_weight": everywhere(0.5, WARNING),
        "udp_weight": everywhere(0.5, WARNING),
        "upstream": (["socks5://h"], Sets("upstream", ("socks5://h",)), REFUSED,
                     Sets("upstream", ("socks5://h",))),
        "rules": same(["deny"], "rules", RULES),
        "acl": everywhere("/nowhere.acl", REFUSED),
    },
    Place.LOCALS: {
        "local_address": ("127.0.0.2", IGNORED, Sets("addresses", ("127.0.0.2",)),
                          Sets("addresses", ("127.0.0.2",))),
        "local_port": (1082, IGNORED, Sets("port", 1082), Sets("port", 1082)),
        "accounts": ({"a": "b"}, IGNORED, Sets("accounts", {"a": "b"}),
                     Sets("accounts", {"a": "b"})),
        "accounts_file": ("/etc/accounts", IGNORED, Sets("accounts_file", "/etc/accounts"),
                          Sets("accounts_file", "/etc/accounts")),
        "allow_private": (True, IGNORED, WARNING, Sets("allow_private", True)),
        "mode": same("tcp_only", "mode"),
        "upstream": (["socks5://h"], Sets("upstream", ("socks5://h",)), REFUSED,
                     Sets("upstream", ("socks5://h",))),
        "rules": same(["deny"], "rules", RULES),
        "disabled": everywhere(False, IGNORED),
        "protocol": ("socks", IGNORED, Sets("protocols", ("socks5", "socks4")),
                     Sets("protocols", ("socks5", "socks4"))),
        "protocols": ("socks5,http", IGNORED, Sets("protocols", ("socks5", "http")),
                      Sets("protocols", ("socks5", "http"))),
        "udp_address": ("192.0.2.9", IGNORED, Sets("udp_address", "192.0.2.9"),
                        Sets("udp_address", "192.0.2.9")),
        "bind_address": ("192.0.2.9", IGNORED, IGNORED, Sets("bind_addresses", ("192.0.2.9",))),
        "gssapi": (True, IGNORED, Sets("gssapi", True), Sets("gssapi", True)),
        "gssapi_keytab": ("f", IGNORED, Sets("gssapi_keytab", "f"), Sets("gssapi_keytab", "f")),
        "gssapi_protection": (["None"], IGNORED, Sets("gssapi_protection", ("none",)),
                              Sets("gssapi_protection", ("none",))),
        "bind_ports": ("4000-4100", IGNORED, IGNORED, Sets("bind_ports", (4000, 4100))),
        "bind_timeout": (7, IGNORED, IGNORED, Sets("bind_timeout", 7)),
        "local_udp_address": everywhere("127.0.0.1", WARNING),
        "local_udp_port": everywhere(1081, WARNING),
        "launchd_tcp_socket_name": everywhere("TCPListener", WARNING),
        "launchd_udp_socket_name": everywhere("UDPListener", WARNING),
        **{
            name: everywhere(value, REFUSED)
            for name, value in {
                "acl": "/nowhere.acl",
                "socks5_auth_config_path": "/etc/shadowsocks/auth.json",
                "http_auth_config_path": "/etc/shadowsocks/auth.json",
                "forward_address": "8.8.8.8",
                "forward_port": 53,
                "tcp_redir": "tproxy",
                "udp_redir": "tproxy",
                "local_dns_address": "114.114.114.114",
                "local_dns_port": 53,
                "remote_dns_address": "8.8.8.8",
                "remote_dns_port": 53,
                "client_cache_size": 5,
                "fake_dns_record_expire_duration": 10,
                "fake_dns_ipv4_network": "10.255.0.0/16",
                "fake_dns_ipv6_network": "fdf2:e786:ab40:9d2f::/64",
                "fake_dns_database_path": "/var/fakedns.db",
                "tun_interface_name": "tun0",
                "tun_interface_address": "10.255.0.1/24",
                "tun_interface_destination": "10.255.0.2/24",
                "tun_device_fd_from_path": "/tun.sock",
            }.items()
        },
    },
}  # fmt: skip

CASES = [
    pytest.param(place, key, side, row[0], outcome, id=f"{place.name}-{key}-{side}")
    for place, rows in ROWS.items()
    for key, row in rows.items()
    for side, outcome in zip(CONFIGURE, row[1:], strict=True)
    # A server reads no entry of `locals`, and a proxy refuses `servers` as a whole.
    if (place, side) not in {(Place.LOCALS, "server"), (Place.SERVERS, "proxy")}
]


def content_of(place: Place, side: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a file that is good, and the part of it that is `place`."""
    if place is Place.TOP:
        top = dict(TOP[side])
        return top, top
    if place is Place.SERVERS:
        entry = dict(SERVERS[side])
        return {"servers": [entry]}, entry
    entry = dict(LOCALS)
    return {**TOP[side], "locals": [entry]}, entry


def configure(path: Path, side: str, content: dict[str, Any]) -> Configuration[Any]:
    file = path / "config.json"
    file.write_text(json.dumps(content), "utf-8")
    file.chmod(0o600)
    return CONFIGURE[side](file=file, environ={})


@pytest.mark.parametrize("place", list(Place))
def test_every_key_is_in_the_table(place: Place) -> None:
    assert ROWS[place].keys() == KEYS[place].keys()


@pytest.mark.parametrize(("place", "key", "side", "value", "outcome"), CASES)
def test_key(
    tmp_path: Path, place: Place, key: str, side: str, value: Any, outcome: Outcome
) -> None:
    (tmp_path / "secret").write_text("from the file\n", "utf-8")
    content, part = content_of(place, side)
    before = configure(tmp_path, side, content)
    part.pop("password" if key in {"key", "password_file"} else "", None)
    if key == "url" and side == "local":
        part.clear()
    if key == "users" and side != "proxy":
        part.update(method="2022-blake3-aes-128-gcm", password=PSK)
    if key == "gssapi_keytab" and side != "server":
        part["gssapi"] = True
    part[key] = value
    prefix = {Place.TOP: "", Place.SERVERS: "servers[0].", Place.LOCALS: "locals[0]."}[place]
    where = f"{tmp_path / 'config.json'}: {prefix}{key}: "
    if outcome == REFUSED:
        with pytest.raises(ConfigError) as caught:
            configure(tmp_path, side, content)
        assert str(caught.value).startswith(where)
        return
    after = configure(tmp_path, side, content)
    if isinstance(outcome, Sets):
        check_option(after, outcome, where.removesuffix(": "))
    elif key == "users":
        assert after.warnings == before.warnings
    else:
        assert (after.services[0].options, after.process) == (
            before.services[0].options,
            before.process,
        )
        warned = [text for text in after.warnings if text.startswith(where)]
        if key == "servers" and outcome == WARNING:
            assert len(after.warnings) == 1
        else:
            assert len(warned) == len(after.warnings) == (outcome == WARNING)


def check_option(configuration: Configuration[Any], sets: Sets, source: str) -> None:
    service = configuration.services[-1]
    holder, sources = service.options, service.sources
    if not hasattr(holder, sets.option):
        holder, sources = configuration.process, configuration.process_sources
    assert getattr(holder, sets.option) == sets.value
    assert sources[sets.option].startswith(source)
    assert configuration.warnings == ()


OFF: list[Any] = [False, 0, "", [], {}, None]


@pytest.mark.parametrize("side", CONFIGURE)
@pytest.mark.parametrize("value", OFF, ids=repr)
def test_what_asks_for_nothing_is_passed_over(tmp_path: Path, side: str, value: Any) -> None:
    for place in Place:
        if (place, side) == (Place.SERVERS, "proxy"):
            continue
        content, part = content_of(place, side)
        for key in KEYS[place].values():
            if key.meaning(Side(side)).use in {Use.WARNING, Use.REFUSED}:
                part[key.name] = value
        assert configure(tmp_path, side, content).warnings == ()


@pytest.mark.parametrize("side", CONFIGURE)
@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("metod", "method"),
        ("serverPort", "server_port"),
        ("server-port", "server_port"),
        ("pasword", "password"),
        ("Timeout", "timeout"),
        ("fastopen", "fast_open"),
        ("user s", "users"),
        ("local_addr", "local_address"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path: Path, side: str, key: str, near: str) -> None:
    content, part = content_of(Place.TOP, side)
    part[key] = "canary"
    with pytest.raises(ConfigError, match=f"no such key here; the nearest is {near}$") as caught:
        configure(tmp_path, side, content)
    assert "canary" not in str(caught.value)


def test_an_unknown_key_of_an_entry_names_its_place(tmp_path: Path) -> None:
    content, part = content_of(Place.SERVERS, "server")
    part["nofile"] = 1
    with pytest.raises(ConfigError, match=r"servers\[0\]\.nofile: there is no such key here"):
        configure(tmp_path, "server", content)


@pytest.mark.parametrize("side", CONFIGURE)
def test_comments_in_keys_are_passed_over(tmp_path: Path, side: str) -> None:
    content, part = content_of(Place.TOP, side)
    part["_comment"] = part["_"] = {"any": "thing"}
    assert configure(tmp_path, side, content).warnings == ()


@pytest.mark.parametrize("given", ["address", "port", "name"])
def test_other_names_of_keys(tmp_path: Path, given: str) -> None:
    entry: dict[str, Any] = {
        "address": "127.0.0.1",
        "port": 9001,
        "name": "mine",
        "method": "aes-256-gcm",
        "password": "p",
    }
    options = configure(tmp_path, "server", {"servers": [entry]}).services[0].options
    assert (options.addresses, options.port) == (("127.0.0.1",), 9001)
    meant = {"address": "server", "port": "server_port", "name": "remarks"}[given]
    with pytest.raises(ConfigError, match=rf"servers\[0\]\.{meant}: the same is given by {given}"):
        configure(tmp_path, "server", {"servers": [{**entry, meant: entry[given]}]})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("server", 1, "an address, or a list"),
        ("server", [], "an address, or a list"),
        ("server", [1], "an address has to be a text"),
        ("server", "ss://canary", "an address, not a URL"),
        ("server", "a canary", "a character that no address has"),
        ("server", "[canary]", "only an IPv6 address stands in brackets"),
        ("server", "[::1", r"write an IPv6 address with a port as"),
        ("server", "a:b:canary", "has colons, but is not an IPv6 address"),
        ("server", ["a:1", "b:2"], "addresses with different ports"),
        ("server_port", 65536, r"65536 is not in 0\.\.65535"),
        ("server_port", -1, r"-1 is not in 0\.\.65535"),
        ("server_port", "canary", "it has to be a number"),
        ("server_port", True, "it has to be a number"),
        ("server_port", 1.5, "it has to be a whole number"),
        ("server_port", [1], "it has to be a number"),
        ("method", 1, "it has to be a text"),
        ("method", "", "none given"),
        ("method", "rc4", "there is no method 'rc4'"),
        ("password", ["canary"], "it has to be a text"),
        ("password", {"canary": "canary"}, "it has to be a text"),
        ("password", 1.5, "it has to be a text"),
        ("password", "", "the password is empty"),
        ("key", "canary!", "it is not base64"),
        ("key", "AAAA", "3 bytes; the method's key has 32"),
        ("timeout", 0, "a number of seconds above 0"),
        ("timeout", "soon", "it has to be a number"),
        ("timeout", float("inf"), "a finite number"),
        ("timeout", 10**400, "a finite number"),
        ("grace", -1, "a number of seconds, 0 or more"),
        ("udp_timeout", 0, "a number of seconds above 0"),
        ("udp_max_associations", -1, "-1 is below 0"),
        ("mode", "udp", "it is one of tcp_only, tcp_and_udp, udp_only"),
        ("fast_open", "maybe", "true or false"),
        ("fast_open", 2, "true or false"),
        ("mtu", 100, r"100 is not in 576\.\.65535"),
        ("max_handshakes", -1, "-1 is below 0"),
        ("nofile", 0, "0 is below 1"),
        ("workers", -1, "-1 is below 0"),
        ("workers", "all", "it has to be a whole number, or auto"),
        ("log_format", "xml", "it is one of text, json"),
        ("users", "canary", "write NAME:PASSWORD"),
        ("users", [{"name": "canary"}], "a name and a password"),
        ("users", [{"name": "a", "password": 1}], "have to be texts"),
        ("users", 1, "a list of {name, password}"),
        ("users", ["a:b", "a:c"], "'a' is there twice"),
        ("local_address", "canary", "has to be an IP address"),
        ("local_ipv4_address", "canary", "has to be an IP address"),
        ("servers", 1, "a list of objects"),
        ("servers", [1], "it has to be an object"),
        ("servers", [{"disabled": "canary"}], "true or false"),
    ],
)  # fmt: skip
def test_values_that_cannot_be(tmp_path: Path, key: str, value: Any, message: str) -> None:
    content = {**TOP["server"], key: value}
    if key in {"key", "servers"}:
        del content["password"]
    with pytest.raises(ConfigError, match=message) as caught:
        configure(tmp_path, "server", content)
    assert str(caught.value).startswith(f"{tmp_path / 'config.json'}: {key}")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("side", ["server", "local"])
@pytest.mark.parametrize("place", [Place.TOP, Place.SERVERS])
@pytest.mark.parametrize("key", ["method", "password"])
def test_what_must_not_be_missing(tmp_path: Path, side: str, place: Place, key: str) -> None:
    content, part = content_of(place, side)
    del part[key]
    prefix = "" if place is Place.TOP else r"servers\[0\]\."
    with pytest.raises(ConfigError, match=f"config.json: {prefix}{key}: "):
        configure(tmp_path, side, content)


def test_a_local_needs_a_server(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json: server: its address is missing"):
        configure(tmp_path, "local", {"method": "aes-256-gcm", "password": "p"})
