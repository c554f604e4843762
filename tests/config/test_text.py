"""What editors, shells and other systems put around texts and secrets, wherever they stand."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configured import configure_proxy, configure_server
from fastsocks.accounts.file import read_accounts_file
from fastsocks.config import ServerOptions, ServerURL
from fastsocks.config.text import as_utf8, has_strange_edge, lines_of, without_line_ends
from fastsocks.crypto.passwords import ScryptHash
from fastsocks.errors import ConfigError
from fastsocks.outbound.upstream import read_upstream

MARK = "\ufeff"
AROUND = ["{}", "{}\n", "{}\r\n", "{}\r", MARK + "{}", MARK + "{}\r\n", "\r\n{}\n\n"]
METHOD = "aes-256-gcm"


def in_a_password_file(text: str, folder: Path) -> Any:
    file = folder / "password"
    file.write_bytes(text.encode())
    return configure_server({"method": METHOD, "password_file": str(file)}, environ={})


def in_a_variable(text: str, folder: Path) -> Any:
    return configure_server({"method": METHOD}, environ={"FASTSOCKS_PASSWORD": text})


def in_a_flag(text: str, folder: Path) -> Any:
    return configure_server({"method": METHOD, "password": text}, environ={})


def in_json(text: str, folder: Path) -> Any:
    file = folder / "config.json"
    file.write_text(json.dumps({"method": METHOD, "password": text}), "utf-8")
    return configure_server(file=file, environ={})


def in_an_expanded_variable(text: str, folder: Path) -> Any:
    file = folder / "config.json"
    file.write_text(json.dumps({"method": METHOD, "password": "${PW}"}), "utf-8")
    return configure_server(file=file, environ={"PW": text})


EVERYWHERE = [in_a_password_file, in_a_variable, in_a_flag, in_json, in_an_expanded_variable]


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("around", AROUND, ids=repr)
def test_it_is_no_part_of_a_password(
    tmp_path: Path, place: Callable[[str, Path], Any], around: str
) -> None:
    found = place(around.format("se cret"), tmp_path)
    assert found.services[0].options.password == "se cret"
    assert not found.warnings or "chmod" in found.warnings[0]


@pytest.mark.parametrize("around", AROUND, ids=repr)
def test_it_is_no_part_of_a_password_in_a_url(around: str) -> None:
    text = around.format(f"{METHOD}:secret")
    coded = base64.b64encode(text.encode()).decode()
    whole = base64.b64encode(around.format(f"{METHOD}:secret@h:1").encode()).decode()
    for url in (f"ss://{coded}@h:1", f"ss://{whole}", around.format(f"ss://{METHOD}:secret@h:1")):
        found = ServerURL.parse(url)
        assert (found.method, found.password, found.host) == (METHOD, "secret", "h")
    assert ServerURL(method=METHOD, password=around.format("x"), host="h", port=1).password == "x"


@pytest.mark.parametrize("around", AROUND, ids=repr)
def test_it_is_no_part_of_an_upstream(around: str) -> None:
    for url in (f"ss://{METHOD}:secret@h:1", "socks5://user:secret@h:1", "http://user:secret@h:1"):
        assert repr(read_upstream(around.format(url)).address) == "<Address h:1>"
    urls = [around.format("socks5://h:1"), around.format("http://h:2")]
    found = configure_proxy({"upstream": urls}, environ={})
    assert found.services[0].options.upstream == ("socks5://h:1", "http://h:2")


@pytest.mark.parametrize("around", AROUND, ids=repr)
def test_it_is_no_part_of_an_account(tmp_path: Path, around: str) -> None:
    file = tmp_path / "accounts"
    file.write_bytes(around.format(f"alice:{ScryptHash.of(b'x').text}").encode())
    assert list(read_accounts_file(file)) == [b"alice"]
    for accounts in (
        {"alice": around.format("x")},
        [around.format("alice:x")],
        [{"name": around.format("alice"), "password": around.format("x")}],
    ):
        found = configure_proxy({"accounts": accounts}, environ={})
        assert found.services[0].options.accounts == {"alice": "x"}
    found = configure_proxy(environ={"FASTSOCKS_ACCOUNTS": around.format("alice:x\r\nbob:y")})
    assert found.services[0].options.accounts == {"alice": "x", "bob": "y"}


@pytest.mark.parametrize("around", AROUND, ids=repr)
def test_it_is_no_part_of_any_variable(around: str) -> None:
    environ = {
        f"FASTSOCKS_{name}": around.format(value)
        for name, value in {
            "LOCAL_ADDRESS": "127.0.0.2",
            "LOCAL_PORT": "1",
            "UDP_ADDRESS": "192.0.2.1",
            "USER": "nobody",
            "ACCESS_LOG": "true",
            "TIMEOUT": "3",
            "PROTOCOLS": "socks5,http",
            "RULES": "deny all",
        }.items()
    }
    found = configure_proxy(environ=environ)
    options = found.services[0].options
    assert (options.addresses, options.port, options.timeout) == (("127.0.0.2",), 1, 3)
    assert (options.udp_address, options.access_log) == ("192.0.2.1", True)
    assert (options.protocols, len(options.rules)) == (("socks5", "http"), 1)
    assert found.process.user == "nobody"


def test_a_variable_of_line_ends_is_absent() -> None:
    environ = {"FASTSOCKS_LOCAL_PORT": "\r", "FASTSOCKS_UDP_ADDRESS": MARK}
    assert configure_proxy(environ=environ).services[0].options.port == 1080


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("ending", ["json", "toml"])
def test_a_file_of_another_system(tmp_path: Path, encoding: str, end: str, ending: str) -> None:
    lines = ["{", '"method": "aes-256-gcm",', '"password": "sécret"', "}"]
    if ending == "toml":
        lines = ['method = "aes-256-gcm"', 'password = "sécret"', ""]
    text = end.join(lines)
    file = tmp_path / f"config.{ending}"
    file.write_bytes((MARK + text if encoding == "utf-16-be" else text).encode(encoding))
    file.chmod(0o600)
    found = configure_server(file=file, environ={})
    assert found.services[0].options.password == "sécret"
    assert found.warnings == ()


def test_a_password_file_of_powershell(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes("sécret\r\n".encode("utf-16"))
    flags = {"method": METHOD, "password_file": str(file)}
    assert configure_server(flags, environ={}).services[0].options.password == "sécret"


def test_what_only_begins_as_utf_16() -> None:
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        as_utf8(b"\xff\xfea")


@pytest.mark.parametrize("edge", [" ", "\t", "\u00a0", "\u200b", "\u2028"], ids=repr)
@pytest.mark.parametrize("place", EVERYWHERE)
def test_what_may_be_meant_is_kept_and_told(
    tmp_path: Path, place: Callable[[str, Path], Any], edge: str
) -> None:
    found = place(f"secret{edge}", tmp_path)
    assert found.services[0].options.password == f"secret{edge}"
    told = [text for text in found.warnings if "counts as part of the password" in text]
    assert len(told) == 1
    assert "secret" not in told[0].replace(str(tmp_path), "")


def test_blanks_around_keys_in_base64_are_not_meant() -> None:
    key, other = (base64.b64encode(bytes([byte] * 16)).decode() for byte in (1, 2))
    flags = {
        "method": "2022-blake3-aes-128-gcm",
        "password": f" {key}\t",
        "users": {"a": f" {other} "},
    }
    found = configure_server(flags, environ={})
    options = found.services[0].options
    assert options.password == key
    assert options.users == {"a": other}
    assert found.warnings == ()


def test_options_of_programs_are_the_same() -> None:
    assert ServerOptions(method=METHOD, password="secret\n").password == "secret"


@given(st.text())
def test_lines_and_edges_of_any_text(text: str) -> None:
    assert "".join(lines_of(text)) == text.replace("\r", "").replace("\n", "")
    cleaned = without_line_ends(text)
    assert cleaned == without_line_ends(cleaned)
    assert cleaned in text
    assert has_strange_edge(text.strip() + " ")
    assert not has_strange_edge("")
