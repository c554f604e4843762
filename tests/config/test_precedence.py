"""Flags beat the environment, which beats the file, which beats defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configured import configure_local, configure_proxy, configure_server
from fastsocks.config import is_first_run
from fastsocks.config.environment import RESERVED, variables
from fastsocks.config.keys import KEYS, Side
from fastsocks.config.option import Place, Use
from fastsocks.errors import ConfigError

PSK = "29ub3TmJNnn3hMwNFRbGTw=="
KEY = {"method": "aes-256-gcm", "password": "p"}
URL = f"ss://2022-blake3-aes-128-gcm:{PSK.replace('=', '%3D')}@192.0.2.7:8390#mine"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.touch(0o600)
    return file


def test_each_place_beats_the_next(file: Path) -> None:
    file.write_text('timeout = 3\ngrace = 3\nmax_drains = 3\nmethod = "aes-256-gcm"', "utf-8")
    found = configure_server(
        {"timeout": 1.0, "password": "p", "server": (), "mode": None},
        file,
        {"FASTSOCKS_TIMEOUT": "2", "FASTSOCKS_GRACE": "2"},
        {"timeout": 4, "grace": 4, "max_drains": 4, "max_handshakes": 4},
    )
    (service,) = found.services
    options, sources = service.options, service.sources
    assert (options.timeout, sources["timeout"]) == (1, "--timeout")
    assert (options.grace, sources["grace"]) == (2, "FASTSOCKS_GRACE")
    assert (options.max_drains, sources["max_drains"]) == (3, f"{file}: max_drains")
    assert (options.max_handshakes, sources["max_handshakes"]) == (4, "default")
    assert (options.port, sources["port"]) == (8388, "default")
    assert (options.addresses, sources["addresses"]) == (("",), "default")


def test_every_option_has_a_source() -> None:
    found = configure_server(KEY, environ={})
    for holder, sources in (
        (found.services[0].options, found.services[0].sources),
        (found.process, found.process_sources),
    ):
        assert sources.keys() == vars(holder).keys()


@pytest.mark.parametrize("side", list(Side))
def test_every_option_has_a_variable(side: Side) -> None:
    missing = {
        key.name
        for key in KEYS[Place.TOP].values()
        if key.meaning(side).use is Use.OPTION
        and f"FASTSOCKS_{key.name.upper()}" not in variables(side)
    }
    assert missing == {"servers", "locals", "protocol"} - (
        {"locals", "protocol"} if side is Side.SERVER else set()
    ) - ({"protocol"} if side is Side.TUNNEL else set()) - (
        {"servers"} if side is Side.PROXY else set()
    )
    assert RESERVED.isdisjoint(variables(side))


def test_the_environment_alone_makes_a_server() -> None:
    found = configure_server(
        environ={
            "FASTSOCKS_SERVER": "192.0.2.1, ::1",
            "FASTSOCKS_SERVER_PORT": "9000",
            "FASTSOCKS_METHOD": "2022-blake3-aes-128-gcm",
            "FASTSOCKS_PASSWORD": PSK,
            "FASTSOCKS_USERS": "alice:X2bWAN3LLHYhqddEHcovrg==\nbob:AAAAAAAAAAAAAAAAAAAAAA==\n",
            "FASTSOCKS_FAST_OPEN": "true",
            "FASTSOCKS_REUSE_PORT": "1",
            "FASTSOCKS_NO_DELAY": "off",
            "FASTSOCKS_MTU": "1500",
            "FASTSOCKS_NOFILE": "1000",
            "FASTSOCKS_GRACE": "inf",
            "FASTSOCKS_LOCAL_ADDRESS": "192.0.2.1",
            "FASTSOCKS_TIMEOUT": "",
            "FASTSOCKS_IMPL": "python",
            "PATH": "/bin",
        }
    )
    options = found.services[0].options
    assert (options.addresses, options.port) == (("192.0.2.1", "::1"), 9000)
    assert list(options.users) == ["alice", "bob"]
    assert (options.fast_open, options.reuse_port, options.no_delay) == (True, True, False)
    assert (options.mtu, options.grace, options.timeout) == (1500, float("inf"), 30)
    assert options.outbound_addresses == ("192.0.2.1",)
    assert found.process.nofile == 1000
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:b", {"a": "b"}),
        ("a:b:c\n\n d:e \n", {"a": "b:c", "d": "e"}),
        ('{"a": "b:c", "d": "e "}', {"a": "b:c", "d": "e "}),
    ],
)
def test_accounts_in_a_variable(text: str, expected: dict[str, str]) -> None:
    found = configure_proxy(environ={"FASTSOCKS_ACCOUNTS": text})
    assert found.services[0].options.accounts == expected


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("FASTSOCKS_TIMEOUT", "soon", "FASTSOCKS_TIMEOUT: it has to be a number"),
        ("FASTSOCKS_FAST_OPEN", "maybe", "FASTSOCKS_FAST_OPEN: it has to be true or false"),
        ("FASTSOCKS_SERVER_PORT", "65536", r"FASTSOCKS_SERVER_PORT: 65536 is not in 0\.\.65535"),
        ("FASTSOCKS_MTU", "9", r"FASTSOCKS_MTU: 9 is not in 576\.\.65535"),
        ("FASTSOCKS_USERS", "{canary", "FASTSOCKS_USERS: it begins with { but is not JSON"),
        ("FASTSOCKS_USERS", "canary", "FASTSOCKS_USERS: write NAME:PASSWORD"),
        ("FASTSOCKS_USERS", "canary:x", "FASTSOCKS_USERS: aes-256-gcm has no users"),
        ("FASTSOCKS_METHOD", "canary" * 9, "FASTSOCKS_METHOD: there is no method a name of 54"),
        ("FASTSOCKS_ACL", "/etc/acl", "FASTSOCKS_ACL: /etc/acl: No such file"),
        ("FASTSOCKS_PLUGIN", "v2ray", "FASTSOCKS_PLUGIN: not supported yet: SIP003"),
        ("FASTSOCKS_KEY", "x", "FASTSOCKS_PASSWORD too|FASTSOCKS_KEY: there is FASTSOCKS_PASSW"),
        ("FASTSOCKS_PASSWORD_FILE", "x", "FASTSOCKS_PASSWORD_FILE: there is FASTSOCKS_PASSWORD"),
    ],
)
def test_variables_that_cannot_be(variable: str, value: str, message: str) -> None:
    environ = {"FASTSOCKS_METHOD": "aes-256-gcm", "FASTSOCKS_PASSWORD": "p", variable: value}
    with pytest.raises(ConfigError, match=message) as caught:
        configure_server(environ=environ)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "warning"),
    [
        ("FASTSOCKS_METOD", "ignored: there is no such variable; the nearest is FASTSOCKS_METHOD"),
        ("FASTSOCKS_SERVERS", "ignored: there is no such variable; the nearest is FASTSOCKS_"),
        ("FASTSOCKS_ACCOUNTS", "ignored: it is not for server"),
        ("FASTSOCKS_KEEP_ALIVE", "ignored: silent connections are probed"),
    ],
)
def test_variables_without_effect(variable: str, warning: str) -> None:
    found = configure_server(KEY, environ={variable: "canary"})
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith(f"{variable}: {warning}")
    assert "canary" not in found.warnings[0]


@pytest.mark.parametrize("variable", ["FASTSOCKS_LOCAL_PORT", "FASTSOCKS_VERSION", "FASTSOCKS_X"])
def test_variables_of_others(variable: str) -> None:
    found = configure_server(KEY, environ={variable: ""})
    assert found.warnings == ()
    if variable != "FASTSOCKS_X":
        assert configure_server(KEY, environ={variable: "1"}).warnings == ()


def test_flags_are_those_of_the_side() -> None:
    for configure, name in (
        (configure_server, "accounts"),
        (configure_proxy, "method"),
        (configure_local, "users"),
        (configure_local, "plugin"),
        (configure_local, "metod"),
    ):
        with pytest.raises(TypeError, match=f"has no option '{name}'"):
            configure({name: "x"}, environ={})


def test_a_url_says_it_all() -> None:
    service = configure_local({"url": URL}, environ={}).services[0]
    options = service.options
    assert (options.server, options.server_port) == ("192.0.2.7", 8390)
    assert (options.method, options.password) == ("2022-blake3-aes-128-gcm", PSK)
    for option in ("server", "server_port", "method", "password"):
        assert service.sources[option] == "ss:// URL"


def test_flags_beat_the_url_and_the_url_beats_the_rest(file: Path) -> None:
    file.write_text('server = "file.example"\nserver_port = 1\npassword = "f"', "utf-8")
    options = (
        configure_local(
            {"url": URL, "server_port": 2, "local_port": 0},
            file,
            {"FASTSOCKS_SERVER": "environment.example", "FASTSOCKS_PASSWORD": "e"},
        )
        .services[0]
        .options
    )
    assert (options.server, options.server_port, options.port) == ("192.0.2.7", 2, 0)
    assert options.password == PSK


@pytest.mark.parametrize(
    ("flags", "environ", "message"),
    [
        ({"url": "ss://canary"}, {}, "ss:// URL: URL: no @"),
        ({}, {"FASTSOCKS_URL": "ss://canary"}, "FASTSOCKS_URL: URL: no @"),
        ({"url": "ss://a:canary@h:1?plugin=x"}, {}, "plugin 'x' is not supported yet"),
        ({"url": "ss://a:canary@h:1"}, {}, "ss:// URL: there is no method 'a'"),
    ],
)
def test_urls_that_cannot_be(flags: Any, environ: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        configure_local(flags, environ=environ)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "addresses", "port"),
    [
        (("127.0.0.1",), ("127.0.0.1",), 8388),
        (("127.0.0.1:9000",), ("127.0.0.1",), 9000),
        (("[::1]:9000", "127.0.0.1:9000"), ("::1", "127.0.0.1"), 9000),
        (("2001:db8::1",), ("2001:db8::1",), 8388),
        (("[2001:db8::1]",), ("2001:db8::1",), 8388),
    ],
)
def test_addresses_with_ports(
    given: tuple[str, ...], addresses: tuple[str, ...], port: int
) -> None:
    options = configure_server({**KEY, "server": given}, environ={}).services[0].options
    assert (options.addresses, options.port) == (addresses, port)


def test_a_listening_address_with_a_port() -> None:
    options = configure_proxy({"local_address": "[::1]:0"}, environ={}).services[0].options
    assert (options.addresses, options.port) == (("::1",), 0)


def test_flags_reach_every_server_of_a_file_but_cannot_give_them_one_port(file: Path) -> None:
    file.write_text("[[servers]]\nserver_port = 1\n[[servers]]\nserver_port = 2", "utf-8")
    services = configure_server(KEY, file, {}).services
    assert [(s.options.port, s.options.method) for s in services] == [
        (1, "aes-256-gcm"),
        (2, "aes-256-gcm"),
    ]
    with pytest.raises(ConfigError, match=r"^--server-port: the file has 2 that listen"):
        configure_server({**KEY, "server_port": 3}, file, {})
    assert len(configure_server({**KEY, "server_port": 0}, file, {}).services) == 2


def test_servers_beside_the_top_level(file: Path) -> None:
    file.write_text(
        'method = "aes-256-gcm"\npassword = "top"\nlocal_address = "192.0.2.1"\ntimeout = 9\n'
        '[[servers]]\npassword = "entry"\nserver_port = 2\ntimeout = 8',
        "utf-8",
    )
    found = configure_server(None, file, {}).services
    assert [(s.name, s.options.password, s.options.port, s.options.timeout) for s in found] == [
        ("", "top", 8388, 9),
        ("servers[0]", "entry", 2, 8),
    ]
    assert {s.options.outbound_addresses for s in found} == {("192.0.2.1",)}


def test_listeners_and_servers_take_nothing_from_each_other(file: Path) -> None:
    file.write_text(
        'mode = "tcp_and_udp"\ntimeout = 9\nlocal_address = "127.0.0.3"\nlocal_port = 1\n'
        '[accounts]\na = "b"\n'
        '[[locals]]\nlocal_port = 2\nmode = "tcp_only"\n[locals.accounts]\nc = "d"\n'
        '[[servers]]\nserver = "h"\nmethod = "aes-256-gcm"\npassword = "p"\ntimeout = 8\n',
        "utf-8",
    )
    first, second = (s.options for s in configure_local(None, file, {}).services)
    assert (first.addresses, first.port, first.accounts) == (("127.0.0.3",), 1, {"a": "b"})
    assert (second.addresses, second.port, second.accounts) == (("127.0.0.1", "::1"), 2, {"c": "d"})
    assert (first.timeout, second.timeout) == (8, 8)
    assert (first.mode, second.mode) == ("tcp_and_udp", "tcp_only")


@pytest.mark.parametrize("kind", ["servers", "locals"])
def test_when_all_are_disabled(file: Path, kind: str) -> None:
    file.write_text(f"[[{kind}]]\ndisabled = true\nnonsense = 1", "utf-8")
    configure = configure_server if kind == "servers" else configure_proxy
    with pytest.raises(ConfigError, match=f"config.toml: {kind}: it has no entry"):
        configure(None, file, {})


def test_one_password_of_several_places(tmp_path: Path, file: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"from a file\r\n")
    file.write_text('method = "aes-256-gcm"\npassword = "from the file"', "utf-8")

    def password(flags: dict[str, Any], **environ: str) -> tuple[str, str]:
        service = configure_server(flags, file, environ).services[0]
        return service.options.password, service.sources["password"]

    assert password({}) == ("from the file", f"{file}: password")
    assert password({}, FASTSOCKS_PASSWORD="e") == ("e", "FASTSOCKS_PASSWORD")
    assert password({}, FASTSOCKS_PASSWORD_FILE=str(secret)) == (
        "from a file",
        "FASTSOCKS_PASSWORD_FILE",
    )
    assert password({"password_file": str(secret)}, FASTSOCKS_PASSWORD="e") == (
        "from a file",
        "--password-file",
    )
    assert password({"password": "f"}, FASTSOCKS_KEY="e") == ("f", "--password")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "the file is empty"),
        (b"canary\ncanary\n", "more than one line"),
        (b"x" * 5000, "larger than 4096 bytes"),
    ],
)
def test_password_files_that_cannot_be(tmp_path: Path, content: bytes | None, message: str) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    flags = {"method": "aes-256-gcm", "password_file": str(secret)}
    with pytest.raises(ConfigError, match=f"^--password-file: .*{message}") as caught:
        configure_server(flags, environ={})
    assert "canary" not in str(caught.value)


def test_a_key_of_a_2022_method_is_its_password() -> None:
    key = "_-ub3TmJNnn3hMwNFRbGTw"
    flags = {"method": "2022-blake3-aes-128-gcm", "key": key}
    options = configure_server(flags, environ={}).services[0].options
    assert (options.password, options.key) == ("/+ub3TmJNnn3hMwNFRbGTw", "")


def test_any_key_of_sufficient_length_will_do() -> None:
    for size, good in ((31, False), (32, True), (33, True)):
        flags = {"method": "aes-256-gcm", "key": "_" * -(-size * 4 // 3)}
        if good:
            assert configure_local({**flags, "server": "h"}, environ={}).services[0].options.key
        else:
            with pytest.raises(ConfigError, match="--key: 31 bytes; the method's key has 32"):
                configure_local({**flags, "server": "h"}, environ={})


def test_the_first_run(file: Path) -> None:
    assert is_first_run({}, environ={})
    assert is_first_run({"server_port": 1, "method": None, "users": ()}, environ={})
    assert not is_first_run({"method": "aes-256-gcm"}, environ={})
    assert not is_first_run({}, environ={"FASTSOCKS_PASSWORD": "x"})
    assert not is_first_run({}, file, {})


def test_modes_are_taken_without_a_word() -> None:
    for mode in ("tcp_only", "tcp_and_udp", "udp_only"):
        found = configure_server({**KEY, "mode": mode}, environ={})
        assert (found.services[0].options.mode, found.warnings) == (mode, ())
