"""Every flag of every service: what it does, or what its error names instead."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from fastsocks.cli.commands import fastsocks as cli
from fastsocks.cli.invocation import Invocation, configured
from fastsocks.cli.peers_flags import FLAGS, PeersFlag
from fastsocks.config.rules import Action, Rule, read_network, read_rules

SERVICES = ("server", "local", "proxy", "tunnel")
BASE = {
    "server": "-m aes-256-gcm -k p",
    "local": "-s 192.0.2.1 -m aes-256-gcm -k p",
    "proxy": "",
    "tunnel": "-s 192.0.2.1 -m aes-256-gcm -k p -L 192.0.2.9:53",
}
PSK, OTHER_PSK = "29ub3TmJNnn3hMwNFRbGTw==", "X2bWAN3LLHYhqddEHcovrg=="
IN_2022 = "-m 2022-blake3-aes-128-gcm -k " + PSK


_ACL_RULE = Rule(
    action=Action.DENY,
    text="192.0.2.0/24",
    source="ACL: line 2",
    networks=(read_network("192.0.2.0/24"),),
)


class Row(NamedTuple):
    """A flag and what it sets."""

    services: str
    flag: str
    value: str
    option: str
    expected: Any
    #: A variable that says something else than the flag, where that says what holds anyway.
    otherwise: str = ""
    #: In the place of BASE.
    base: str | None = None


ALL = "server local proxy tunnel"
ROWS = (
    Row(ALL, "-t", "7", "timeout", 7.0),
    Row(ALL, "--timeout", "7", "timeout", 7.0),
    Row(ALL, "--grace", "3", "grace", 3.0),
    Row(ALL, "-6", "", "ipv6_first", True),
    Row(ALL, "--ipv6-first", "", "ipv6_first", True),
    Row(ALL, "--tcp-idle-timeout", "7", "tcp_idle_timeout", 7.0),
    Row(ALL, "--ipv4-first", "", "ipv4_first", True),
    Row(ALL, "--ipv4-only", "", "ipv4_only", True),
    Row(ALL, "--ipv6-only", "", "ipv6_only", True),
    Row(ALL, "--resolver", "tcp://9.9.9.9,8.8.8.8", "resolver", ("tcp://9.9.9.9", "8.8.8.8")),
    Row(ALL, "-d", "system", "resolver", ("system",)),
    Row(ALL, "--fast-open", "", "fast_open", True),
    Row(ALL, "--reuse-port", "", "reuse_port", True),
    Row(ALL, "--no-delay", "", "no_delay", True, "FASTSOCKS_NO_DELAY=false"),
    Row(ALL, "--mode", "tcp_only", "mode", "tcp_only"),
    Row(ALL, "-u", "", "mode", "tcp_and_udp", "FASTSOCKS_MODE=tcp_only"),
    Row(ALL, "-U", "", "mode", "udp_only"),
    Row(ALL, "--udp-timeout", "70", "udp_timeout", 70.0),
    Row(ALL, "--udp-max-associations", "7", "udp_max_associations", 7),
    Row(ALL, "--udp-max-associations-per-client", "7", "udp_max_associations_per_client", 7),
    Row(ALL, "--udp-max-associations-per-user", "7", "udp_max_associations_per_user", 7),
    Row(ALL, "--udp-mtu", "1400", "mtu", 1400),
    Row(ALL, "--mtu", "1400", "mtu", 1400),
    Row(ALL, "--workers", "4", "workers", 4),
    Row(ALL, "--workers", "auto", "workers", 0),
    Row(ALL, "-n", "512", "nofile", 512),
    Row(ALL, "--nofile", "512", "nofile", 512),
    Row(ALL, "--no-core-dumps", "", "no_core_dumps", True),
    Row(ALL, "-a", "nobody", "user", "nobody"),
    Row(ALL, "--max-connections", "7", "max_connections", 7),
    Row(ALL, "--max-connections-per-client", "7", "max_connections_per_client", 7),
    Row(ALL, "--max-handshakes", "7", "max_handshakes", 7),
    Row(ALL, "--max-handshakes-per-client", "7", "max_handshakes_per_client", 7),
    Row(ALL, "--max-lookups-per-client", "7", "max_lookups_per_client", 7),
    Row(ALL, "--rule", "deny", "rules", read_rules(["deny"])),
    Row(ALL, "--acl", "ACL", "rules", (_ACL_RULE,)),
    *(
        Row(one, "--acl-leave-out", "", "rules", (_ACL_RULE,), base=f"{BASE[one]} --acl ACL")
        for one in SERVICES
    ),
    Row(ALL, "--access-log", "", "access_log", True),
    Row(ALL, "--log-format", "json", "log_format", "json"),
    Row(ALL, "--log-level", "error", "log_level", "error"),
    Row(ALL, "-v", "", "log_level", "debug"),
    Row(ALL, "--verbose", "", "log_level", "debug"),
    Row("server", "-s", "::1", "addresses", ("::1",)),
    Row("server", "--server", "192.0.2.9", "addresses", ("192.0.2.9",)),
    Row("server", "-p", "9000", "port", 9000),
    Row("server", "--server-port", "9000", "port", 9000),
    Row("server", "-b", "192.0.2.9", "outbound_addresses", ("192.0.2.9",)),
    Row("server", "--local-address", "192.0.2.9", "outbound_addresses", ("192.0.2.9",)),
    Row("server", "--user", f"a:{OTHER_PSK}", "users", {"a": OTHER_PSK}, base=IN_2022),
    Row("server", "--allow-unencrypted", "", "allow_unencrypted", True),
    Row("server", "--public-address", "h:1", "public_address", "h:1"),
    Row("server proxy", "--search-domains", "lan,b.test", "search_domains", ("lan", "b.test")),
    Row("server proxy", "--upstream", "socks5://h", "upstream", ("socks5://h",)),
    Row("tunnel", "--upstream", "ss://x", "upstream", ("ss://x",), base="-L h:1"),
    Row("tunnel", "-L", "h:1", "target", "h:1", base=""),
    Row("tunnel", "--forward", "[::1]:1", "target", "[::1]:1", base=""),
    Row("tunnel", "--payload-wait", "0", "payload_wait", 0),
    Row("server proxy", "--allow-private", "", "allow_private", True),
    Row("local tunnel", "-s", "h", "server", "h", base="-m aes-256-gcm -k p{}"),
    Row("local tunnel", "--server", "h", "server", "h", base="-m aes-256-gcm -k p{}"),
    Row("local tunnel", "-p", "9000", "server_port", 9000),
    Row("local tunnel", "--server-port", "9000", "server_port", 9000),
    Row("local proxy tunnel", "-b", "::1", "addresses", ("::1",)),
    Row("local proxy tunnel", "--local-address", "::1", "addresses", ("::1",)),
    Row("local proxy tunnel", "-l", "9000", "port", 9000),
    Row("local proxy tunnel", "--local-port", "9000", "port", 9000),
    Row(ALL, "--accept-proxy-protocol", "192.0.2.1", "accept_proxy_protocol", ("192.0.2.1",)),
    Row("server proxy tunnel", "--send-proxy-protocol", "", "send_proxy_protocol", True),
    Row("local proxy", "--user", "a:b", "accounts", {"a": "b"}),
    Row("local proxy", "--protocols", "http,socks5", "protocols", ("http", "socks5")),
    Row("local proxy", "--udp-address", "192.0.2.9", "udp_address", "192.0.2.9"),
    Row("local proxy", "--short-replies", "", "short_replies", True),
    Row("local proxy", "--max-request-head", "9000", "max_request_head", 9000),
    Row("local proxy", "--accounts-file", "FILE", "accounts_file", "FILE"),
    Row("proxy", "--bind-address", "192.0.2.9", "bind_addresses", ("192.0.2.9",)),
    Row("local proxy", "--gssapi", "", "gssapi", True),
    Row("local", "--gssapi-keytab", "f", "gssapi_keytab", "f", base=f"{BASE['local']} --gssapi"),
    Row("proxy", "--gssapi-keytab", "f", "gssapi_keytab", "f", base="--gssapi"),
    Row("local proxy", "--gssapi-protection", "none", "gssapi_protection", ("none",)),
    Row("proxy", "--bind-ports", "4000-4100", "bind_ports", (4000, 4100)),
    Row("proxy", "--bind-timeout", "7", "bind_timeout", 7.0),
    Row("server local tunnel", "-k", "q", "password", "q", base="-s h -m aes-256-gcm{}"),
    Row("server local tunnel", "--password", "q", "password", "q", base="-s h -m aes-256-gcm{}"),
    Row(
        "server local tunnel",
        "--password-file",
        "FILE",
        "password",
        "of-a-file",
        base="-s h -m rc4-md5{}",
    ),
    Row("server local tunnel", "--key", PSK, "key", PSK, base="-s h -m aes-128-gcm{}"),
    Row("server local tunnel", "-m", "aes-128-gcm", "method", "aes-128-gcm", base="-s h -k p{}"),
    Row(
        "server local tunnel",
        "--method",
        "aes-128-gcm",
        "method",
        "aes-128-gcm",
        base="-s h -k p{}",
    ),
)

#: Those that rows cannot hold, and the tests that have them.
ELSEWHERE = {
    "-c": "test_a_file",
    "--config": "test_a_file",
    "-l": "test_the_server_ignores_the_port_of_local",
    "--local-port": "test_the_server_ignores_the_port_of_local",
    "url": "test_a_url",
    "--max-drains": "test_a_flag_without_effect_says_what_to_set",
    "--max-drains-per-client": "test_a_flag_without_effect_says_what_to_set",
}

#: The options of ss-server and ss-local 3.3.5, by their manual pages and getopt tables.
LIBEV = {
    "server": "-f -s -p -l -k -t -m -b -c -i -d -a -n -h -u -U -v -6 -A --fast-open --reuse-port "
    "--acl --manager-address --mtu --mptcp --help --plugin --plugin-opts --password --key "
    "--no-delay --tcp-incoming-sndbuf --tcp-incoming-rcvbuf --tcp-outgoing-sndbuf "
    "--tcp-outgoing-rcvbuf",
    "tunnel": "-f -s -p -l -k -t -m -i -c -b -L -a -n -h -u -U -v -6 -A --fast-open --reuse-port "
    "--mtu --mptcp --help --plugin --plugin-opts --password --key --no-delay "
    "--tcp-incoming-sndbuf --tcp-incoming-rcvbuf --tcp-outgoing-sndbuf --tcp-outgoing-rcvbuf",
    "local": "-f -s -p -l -k -t -m -i -c -b -a -n -h -u -U -v -6 -A --fast-open --reuse-port "
    "--acl --mtu --mptcp --help --plugin --plugin-opts --password --key --no-delay "
    "--tcp-incoming-sndbuf --tcp-incoming-rcvbuf --tcp-outgoing-sndbuf --tcp-outgoing-rcvbuf",
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("FASTSOCKS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("of-a-file\n", "utf-8")
    Path("FILE").chmod(0o600)
    Path("ACL").write_text("[outbound_block_list]\n192.0.2.0/24\n", "utf-8")


def read(service: str, arguments: str) -> Invocation:
    command = cli.commands[service]
    with command.make_context(service, arguments.split()) as context:
        return configured(service, context.params)


def options_of(given: Invocation) -> dict[str, Any]:
    (service,) = given.configuration.services
    return {**vars(service.options), **vars(given.configuration.process)}


def sources_of(given: Invocation) -> dict[str, str]:
    (service,) = given.configuration.services
    return {**service.sources, **given.configuration.process_sources}


def flags_of(service: str) -> set[str]:
    parameters = cli.commands[service].params
    return {name for one in parameters for name in (*one.opts, *one.secondary_opts)}


@pytest.mark.parametrize("service", SERVICES)
def test_the_tables_have_every_flag(service: str) -> None:
    rows = {row.flag for row in ROWS if service in row.services.split()}
    peers = {name for flag in FLAGS for name in flag.names}
    assert flags_of(service) - rows - peers <= set(ELSEWHERE)
    assert rows <= flags_of(service)
    for name in ELSEWHERE.values():
        assert name in globals()


@pytest.mark.parametrize("service", LIBEV)
def test_every_flag_of_libev_is_answered(service: str) -> None:
    assert set(LIBEV[service].split()) - {"-h", "--help"} <= flags_of(service)


@pytest.mark.parametrize(
    ("service", "row"),
    [(service, row) for row in ROWS for service in row.services.split()],
    ids=lambda value: value if isinstance(value, str) else value.flag,
)
def test_what_it_does(monkeypatch: pytest.MonkeyPatch, service: str, row: Row) -> None:
    base = BASE[service] if row.base is None else row.base
    base = base.format(" -L h:1" if service == "tunnel" else "")
    if row.otherwise:
        monkeypatch.setenv(*row.otherwise.split("="))
    elif row.base is None:
        assert options_of(read(service, base))[row.option] != row.expected
    given = read(service, f"{base} {row.flag} {row.value}")
    assert options_of(given)[row.option] == row.expected
    if row.option == "outbound_addresses" or row.flag not in {"-v", "--verbose"}:
        assert sources_of(given)[row.option].startswith("-")
    assert given.configuration.warnings == ()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("cap", ["", "_per_client"])
def test_a_flag_without_effect_says_what_to_set(service: str, cap: str) -> None:
    flag = f"--max-drains{cap.replace('_', '-')}"
    (warning,) = read(service, f"{BASE[service]} {flag} 7").configuration.warnings
    assert warning.startswith(f"{flag}: without effect")
    assert f" max_handshakes{cap} " in warning
    assert read(service, f"{BASE[service]} {flag} 0").configuration.warnings == ()


def test_where_accesses_are_logged() -> None:
    assert read("proxy", "").access_log is None
    assert read("proxy", "--access-log").access_log == "-"
    assert read("proxy", "--access-log=-").access_log == "-"
    assert read("proxy", "--access-log accesses").access_log == "accesses"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("flag", ["-c", "--config"])
def test_a_file(service: str, flag: str) -> None:
    Path("config.toml").write_text("timeout = 7\n", "utf-8")
    Path("config.toml").chmod(0o600)
    given = read(service, f"{BASE[service]} {flag} config.toml")
    assert options_of(given)["timeout"] == 7
    assert sources_of(given)["timeout"] == "config.toml: timeout"


def test_a_url() -> None:
    options = options_of(read("local", "ss://aes-256-gcm:p@192.0.2.1:9000"))
    assert (options["server"], options["server_port"]) == ("192.0.2.1", 9000)
    assert (options["method"], options["password"]) == ("aes-256-gcm", "p")


@pytest.mark.parametrize("flag", ["-l", "--local-port"])
def test_the_server_ignores_the_port_of_local(flag: str) -> None:
    given = read("server", f"{BASE['server']} {flag} 1080")
    assert options_of(given) == options_of(read("server", BASE["server"]))


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: str(flag.names[0]))
def test_what_those_of_peers_say(service: str, flag: PeersFlag) -> None:
    if (service, flag.names) == ("tunnel", ("-L",)):
        pytest.skip("it has that one itself")
    for name in flag.names:
        arguments = f"{BASE[service]} {name} {'x' if flag.takes_value else ''}"
        if flag.refused:
            with pytest.raises(click.UsageError, match=f"^{flag.names[0]}: "):
                read(service, arguments)
        else:
            (warning,) = read(service, arguments).configuration.warnings
            assert warning.startswith(f"{flag.names[0]}: ignored: ")


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        ("-f pid", "systemd"),
        ("-i eth0", "server -b"),
        ("-L example.com:80", "fastsocks tunnel"),
        ("-T", "ss-redir"),
        ("-A", "AEAD"),
        ("--plugin v2ray-plugin", "remove it on both ends"),
        ("--manager-address 127.0.0.1:4000", "no manager"),
        ("--server-url ss://x", "fastsocks local ss://"),
        ("--server-addr h:1", "-s ADDRESS -p PORT"),
    ],
)
def test_errors_name_what_to_use_instead(arguments: str, instead: str) -> None:
    try:
        (said,) = read("local", f"{BASE['local']} {arguments}").configuration.warnings
    except click.UsageError as error:
        said = error.message
    assert instead in said
