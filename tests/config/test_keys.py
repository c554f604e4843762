"""Every key on every side: an option, nothing, a warning or an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config_keys import LOCALS, PSK, REFUSED, ROWS, SERVERS, TOP, TUNNEL, WARNING, Outcome, Sets
from configured import configure_local, configure_proxy, configure_server, configure_tunnel
from fastsocks.config import Configuration
from fastsocks.config.keys import KEYS, Side
from fastsocks.config.option import Place, Use
from fastsocks.errors import ConfigError

CONFIGURE: dict[str, Callable[..., Configuration[Any]]] = {
    "server": configure_server,
    "local": configure_local,
    "proxy": configure_proxy,
    "tunnel": configure_tunnel,
}

CASES = [
    pytest.param(place, key, side, row[0], outcome, id=f"{place.name}-{key}-{side}")
    for place, rows in ROWS.items()
    for key, row in rows.items()
    for side, outcome in zip(CONFIGURE, (*row[1:], TUNNEL[place].get(key, row[2])), strict=True)
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
        target = {"target": entry.pop("target")} if side == "tunnel" else {}
        return {**target, "servers": [entry]}, entry
    entry, top = dict(LOCALS), dict(TOP[side])
    if side == "tunnel":
        entry["target"] = top.pop("target")
    return {**top, "locals": [entry]}, entry


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
    if key == "url" and side in {"local", "tunnel"}:
        for name in ("server", "server_port", "method", "password"):
            del part[name]
    if key == "tunnel_address":
        part.pop("target", None)
    if key == "users" and side != "proxy":
        part.update(method="2022-blake3-aes-128-gcm", password=PSK)
    if key == "gssapi_keytab" and side in {"local", "proxy"}:
        part["gssapi"] = True
    if (key, side) == ("locals", "tunnel"):
        value = [{**value[0], "target": part.pop("target")}]
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
        ("workers", -1, "-1 is not in 0..1024"),
        ("workers", "all", "it has to be a whole number, or auto"),
        ("log_format", "xml", "it is one of text, json"),
        ("users", "canary", "write NAME:PASSWORD"),
        ("users", [{"name": "canary"}], "a name and a password"),
        ("users", [{"name": "a", "password": 1}], "have to be texts"),
        ("users", 1, "a list of {name, password}"),
        ("users", ["a:b", "a:c"], "'a' is there twice"),
        ("users", [":canary"], "the name not empty"),
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
