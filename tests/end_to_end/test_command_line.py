"""The command line as a shell sees it: output, log and exit codes."""

from __future__ import annotations

import base64
import subprocess

import pytest

from harness.deadline import DEADLINE
from harness.listener import free_port
from harness.services import (
    Implementation,
    environment,
    fastsocks_command,
    start_proxy,
    start_server,
)
from harness.shadowsocks import generate_key

_USAGE, _CANNOT_LISTEN = 2, 3
_CANARY = "canary-password"


def _run(implementation: Implementation, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        fastsocks_command(*arguments),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=environment(implementation, FASTSOCKS_LOOP="auto"),
        check=False,
    )


def test_version(implementation: Implementation) -> None:
    done = _run(implementation, "--version")
    assert done.returncode == 0
    for word in ("fastsocks", "Python", "uvloop", "OpenSSL", implementation):
        assert word.lower() in done.stdout.lower(), done.stdout


@pytest.mark.parametrize(
    ("method", "size"),
    [
        ("2022-blake3-aes-128-gcm", 16),
        ("2022-blake3-aes-256-gcm", 32),
        ("2022-blake3-chacha20-poly1305", 32),
    ],
)
def test_genkey(implementation: Implementation, method: str, size: int) -> None:
    keys = [_run(implementation, "genkey", method).stdout.strip() for _ in range(2)]
    assert keys[0] != keys[1]
    assert [len(base64.b64decode(key, validate=True)) for key in keys] == [size, size]


def test_genkey_makes_passwords_too(implementation: Implementation) -> None:
    done = _run(implementation, "genkey", "aes-256-gcm")
    assert done.returncode == 0
    assert len(done.stdout.strip()) >= 16


_SERVER = ("server", "-s", "127.0.0.1", "-p", "0")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("no-such-command",),
        ("proxy", "--no-such-flag"),
        ("proxy", "-l", "70000"),
        ("proxy", "-l", "port"),
        ("proxy", "-l", "0", "--user", "nameless"),
        ("genkey", "no-such-method"),
        (*_SERVER, "-m", "no-such-method", "-k", _CANARY),
        (*_SERVER, "-m", "aes-256-gcm"),
        (*_SERVER, "-k", _CANARY),
        (*_SERVER, "-m", "aes-256-gcm", "-k", ""),
        (*_SERVER, "-m", "2022-blake3-aes-128-gcm", "-k", _CANARY),
        (*_SERVER, "-m", "2022-blake3-aes-256-gcm", "-k", "AAAAAAAAAAAAAAAAAAAAAA=="),
        (*_SERVER, "-m", "aes-256-gcm", "-k", _CANARY, "--user", "alice:" + _CANARY),
        (*_SERVER, "-m", "aes-256-gcm", "-k", _CANARY, "-t", "0"),
        (*_SERVER, "-m", "aes-256-gcm", "-k", _CANARY, "-t", "-1"),
        (*_SERVER, "-m", "aes-256-gcm", "-k", _CANARY, "--grace", "-1"),
        ("local", "-p", "1", "-l", "0", "-m", "aes-256-gcm", "-k", _CANARY),
        ("local", "-s", "127.0.0.1", "-p", "0", "-l", "0", "-m", "aes-256-gcm", "-k", _CANARY),
    ],
    ids=" ".join,
)
def test_bad_usage(arguments: tuple[str, ...]) -> None:
    done = _run("python", *arguments)
    assert done.returncode == _USAGE, done.stderr
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert _CANARY not in done.stderr + done.stdout


def test_port_in_use(implementation: Implementation) -> None:
    with start_proxy(implementation=implementation) as first:
        done = _run(implementation, "proxy", "-b", "127.0.0.1", "-l", str(first.address.port))
    assert done.returncode == _CANNOT_LISTEN
    assert str(first.address.port) in done.stderr
    assert "Traceback" not in done.stderr


def test_address_of_another_host(implementation: Implementation) -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737); nothing is sent there by a bind.
    done = _run(implementation, "proxy", "-b", "192.0.2.1", "-l", "0")
    assert done.returncode == _CANNOT_LISTEN
    assert "192.0.2.1" in done.stderr
    assert "Traceback" not in done.stderr


def test_chosen_port(implementation: Implementation) -> None:
    port = free_port()
    key = generate_key("aes-256-gcm")
    with start_server("aes-256-gcm", key, "-p", str(port), implementation=implementation) as server:
        assert server.address.port == port


def test_the_log_goes_to_standard_error(implementation: Implementation) -> None:
    with start_proxy(implementation=implementation) as service:
        assert any("listening on 127.0.0.1:" in line for line in service.process.error_lines)


@pytest.mark.parametrize("method", ["aes-256-cfb", "none"])
def test_method_that_protects_nothing_warns(implementation: Implementation, method: str) -> None:
    with start_server(method, "a-password", implementation=implementation) as server:
        assert any("WARNING" in line and method in line for line in server.process.error_lines)


def test_good_method_does_not_warn(implementation: Implementation) -> None:
    key = generate_key("2022-blake3-aes-128-gcm")
    with start_server("2022-blake3-aes-128-gcm", key, implementation=implementation) as server:
        assert not any("WARNING" in line for line in server.process.error_lines)
        assert key not in server.process.output
