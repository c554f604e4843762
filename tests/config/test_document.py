"""Files as such: formats, sizes, what is malformed and where."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from configured import configure_server
from fastsocks.config.document import LARGEST, parse, read_document
from fastsocks.errors import ConfigError
from harness.deadline import DEADLINE

CANARY = "canary-secret"
GOOD = {"server": "::", "server_port": 8388}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"server": "::", "server_port": 8388}'),
        ("a.json", '\ufeff{"server": "::", "server_port": 8388}\r\n'),
        ("a.json", "// words\n{server: '::', server_port: 0x20c4,}"),
        ("a.json5", "/* words */ {server: '::', server_port: +8388}"),
        ("a.conf", '{"server": "::", "server_port": 8388}'),
        ("a", '  {"server": "::", "server_port": 8388}'),
        ("a", "// words\n{server: '::', server_port: 8388}"),
        ("a", 'server = "::"\nserver_port = 8388'),
        ("a", '# words\nserver = "::"\nserver_port = 8388'),
        ("a.toml", 'server = "::"\nserver_port = 8388'),
        ("a.TOML", 'server = "::"\r\nserver_port = 8388\r\n'),
    ],
)
def test_formats(name: str, text: str) -> None:
    assert parse(text.encode(), name) == GOOD


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "", "line 1, column 1: this is neither JSON nor JSON5"),
        ("a.json", f'{{"password": "{CANARY}"\n "x": 1}}', "line 2, column 2: this is neither"),
        ("a.json", f'{{\n  "password": "{CANARY}', "line 2, column 2?[0-9]: this is neither"),
        ("a.json", f"// words\n{{password: '{CANARY}' x}}", "line 2, column 28: this is neither"),
        ("a.json", f"['{CANARY}']", "it has to be an object"),
        ("a.json", "1", "it has to be an object"),
        ("a.json", f'{{"password": "{CANARY}", "password": "x"}}', "'password' is there twice"),
        ("a.json", f'{{"servers": [{{"key": "{CANARY}", "key": 1}}]}}', "'key' is there twice"),
        ("a.json", "[" * 100000, "nested too deeply"),
        ("a.json", "{a:" * 30000, "nested too deeply"),
        ("a.json", "9" * 10000, "this is neither|it has to be an object"),
        ("a.toml", f'password = "{CANARY}', "line 1, column|end of document"),
        (
            "a.toml",
            f'password = "{CANARY}"\npassword = 1',
            "this is not TOML .a key is there twice",
        ),
        ("a.toml", f"a = 1\npassword = {CANARY}", "line 2, column 12: this is not TOML"),
        ("a.toml", '{"server": "::"}', "line 1, column"),
        ("a.toml", "a = " + "9" * 10000, "this is not TOML"),
    ],
)
def test_what_is_malformed_is_placed_and_not_repeated(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse(text.encode(), name)
    assert str(caught.value).startswith(f"{name}: ")
    assert CANARY not in str(caught.value)


def test_what_is_not_text() -> None:
    with pytest.raises(ConfigError, match=r"^a: line 2: it is not UTF-8"):
        parse(b'{"a":\n"\xff"}', "a")


def test_the_size_is_limited(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    content = b'{"_": "' + b"x" * (LARGEST - 9) + b'"}'
    file.write_bytes(content)
    read_document(file)
    file.write_bytes(content + b"\n")
    with pytest.raises(ConfigError, match="it is larger than 16 MiB"):
        read_document(file)


def key(number: int) -> str:
    return base64.b64encode(number.to_bytes(16, "big")).decode()


@pytest.mark.parametrize("form", ["json", "json with comments", "toml"])
def test_ten_thousand_users(tmp_path: Path, form: str) -> None:
    users = {f"user{number}": key(number) for number in range(10_000)}
    settings = {"server": "::", "method": "2022-blake3-aes-128-gcm", "password": key(10_000)}
    listed = [{"name": name, "password": psk} for name, psk in users.items()]
    text = json.dumps({**settings, "users": listed}, indent=1)
    if form == "json with comments":
        text = text.replace("[", "[ // those, ]\n", 1).replace("}\n ]", "}, /* the\n last */\n ]")
    elif form == "toml":
        text = "".join(f'{name} = "{value}"\n' for name, value in settings.items())
        text += "".join(
            f'[[users]]\nname = "{name}"\npassword = "{psk}"\n' for name, psk in users.items()
        )
    file = tmp_path / f"config.{form[:4]}"
    file.write_text(text, "utf-8")
    assert configure_server(file=file, environ={}).services[0].options.users == users


def test_a_large_file_is_not_read_as_all_of_json5() -> None:
    text = "{'_': '" + "x" * (128 * 1024) + "', a: 1}"
    message = r"^a.json: line 1, column 2: this is not JSON .*128 KiB"
    with pytest.raises(ConfigError, match=message):
        parse(text.encode(), "a.json")


@pytest.mark.parametrize(
    "text", ['{"a": [1,,]}', '{"a": "x",, }', '{"a": "//", /* }', '{"a": "\\" // }']
)
def test_what_is_no_json5_either(text: str) -> None:
    with pytest.raises(ConfigError, match="neither JSON nor JSON5"):
        parse(text.encode(), "a.json")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", tmp_path / "a\0b", tmp_path / "x" / "y"):
        with pytest.raises(ConfigError, match=r"directory|path|denied"):
            read_document(path)


def test_a_pipe_is_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as pipe:  # noqa: PTH123
        pipe.write(b'{"server": "::", "server_port": 8388}')
    try:
        assert read_document(f"/dev/fd/{reading}").content == GOOD
    finally:
        os.close(reading)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are of POSIX")
@pytest.mark.parametrize(
    ("mode", "password", "warned"),
    [
        (0o600, "p", False),
        (0o640, "p", False),
        (0o644, "p", True),
        (0o604, "p", True),
        (0o644, "${SECRET}", False),
    ],
)
def test_a_secret_that_others_can_read(
    tmp_path: Path, mode: int, password: str, warned: bool
) -> None:
    file = tmp_path / "config.json"
    file.write_text(f'{{"method": "aes-256-gcm", "password": "{password}"}}', "utf-8")
    file.chmod(mode)
    warnings = configure_server(file=file, environ={"SECRET": "x"}).warnings
    assert [text.partition("chmod")[2] for text in warnings] == ([f" o-r {file}"] * warned)


@pytest.mark.parametrize(
    "text",
    [
        '{"method": "aes-256-gcm", "password": "p"}',
        '// a\n{"method": "aes-256-gcm", /* b */ "password": "//p, }",} // c',
    ],
)
def test_what_is_nearly_json_does_not_wait_for_the_other_reader(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text, "utf-8")
    code = (
        "import sys; from fastsocks.config import ServerOptions, configure; "
        "configure(ServerOptions, file=sys.argv[1], environ={}); sys.exit('json5' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True, timeout=DEADLINE)


@given(st.binary(max_size=2000), st.sampled_from(["a", "a.json", "a.toml"]))
@example(b'"\\ud800"', "a.json")
@example(b'{"a": NaN, "b": Infinity, "c": 1e999}', "a.json")
@example(b"{a: '\\x'}", "a.json")
@example(b"{a: '\\u{1}'}", "a.json")
@example(b"a = 2020-01-01T00:00:00Z", "a.toml")
@example(b"\xef\xbb\xbf", "a")
def test_any_bytes_are_parsed_or_refused(data: bytes, name: str) -> None:
    try:
        content = parse(data, name)
    except ConfigError:
        return
    assert isinstance(content, dict)


@given(st.text(st.sampled_from("{}[]:,\"'\\/*u019.+-eEx truefalsn\n\t=#"), max_size=60))
def test_anything_like_json_is_parsed_or_refused(text: str) -> None:
    for name in ("a.json", "a.toml"):
        try:
            content = parse(text.encode(), name)
        except ConfigError:
            continue
        assert isinstance(content, dict)
