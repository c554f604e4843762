"""What the commands print and how they end, tried on real processes."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest

import fastsocks
from harness.deadline import DEADLINE
from harness.listener import SocketAddress
from harness.services import (
    Implementation,
    environment,
    fastsocks_command,
    start_fastsocks,
    start_server,
)
from harness.targets import Target

CANARY = "canary-secret"
KEY = "AAECAwQFBgcICQoLDA0ODw=="


def run(
    *arguments: str, implementation: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    chosen: Implementation | None = implementation  # type: ignore[assignment]
    return subprocess.run(
        fastsocks_command(*arguments),
        env=environment(chosen, **variables),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "Commands:"),
        ("frobnicate", "No such command 'frobnicate'"),
        ("server --frobnicate", "No such option"),
        ("server extra", "unexpected extra argument"),
        (f"server -k {CANARY}", "method: none given"),
        ("url -m aes-256-gcm", "the password is empty"),
        (f"url -m aes-256-gcm --key {'A' * 43}", "URLs have passwords only"),
        (f"url -m aes-256-gcm -k {CANARY} -p 0", "port 0 is not in 1..65535"),
        ("url -m none --allow-unencrypted", "No such option"),
        ("check -c /nowhere/config.json", "/nowhere/config.json: No such file"),
        ("check local", "server: its address is missing"),
        ("check proxy -a no-such-user", "user: there is no user 'no-such-user'"),
        ("check frobnicate", "unexpected extra argument"),
        (f"server --public-address h -k {CANARY} -m aes-256-gcm -U -n 0", "nofile: 0 is below 1"),
        ("server --public-address h:x", "--public-address: its port: it has to be a number"),
        ("server -m aes-256-gcn -k x", "did you mean aes-256-gcm?"),
        ("server -m aes-256-gcm", "the password is empty"),
        (f"server -m 2022-blake3-aes-128-gcm -k {CANARY}", "fastsocks genkey 2022-blake3-aes"),
        (f"server -m aes-256-gcm -k {CANARY} --user a:{CANARY}", "has no users"),
        (f"server -m aes-256-gcm -k {CANARY} --user {CANARY}", "--user: write NAME:PASSWORD"),
        (f"server -m aes-256-gcm -k {CANARY} -p many", "'many' is not a valid integer"),
        (f"server -m aes-256-gcm -k {CANARY} -p 65536", "port: 65536 is not in 0..65535"),
        (f"server -m aes-256-gcm -k {CANARY} -t 0", "--timeout: it has to be a number"),
        (f"server -m aes-256-gcm -k {CANARY} --grace -1", "--grace: it has to be a number"),
        (f"local -m aes-256-gcm -k {CANARY}", "server: its address is missing"),
        (f"local ss://{CANARY}", "ss:// URL"),
        (f"server -m aes-256-gcm -k {CANARY} --key {CANARY}", "give one of the two"),
        (f"server -m aes-256-gcm --key {CANARY}", "--key"),
        ("proxy --udp-address 0.0.0.0", "--udp-address: nobody can send to 0.0.0.0"),
        ("proxy --udp-timeout 0", "--udp-timeout"),
        (f"server -m aes-256-gcm -k {CANARY} -n 0", "nofile: 0 is below 1"),
        ("server -m none", "allow_unencrypted"),
        ("server -m none --allow-unencrypted -s 127.0.0.1 -p 0 -b 192.0.2.1", "cannot dial from"),
        ("proxy -l 0 -a no-such-user", "user: there is no user 'no-such-user'"),
        ("proxy -l 0 --max-connections -1", "--max-connections: -1 is below 0"),
        ("proxy -l 0 --access-log /nowhere/log", "access_log: cannot write /nowhere/log: No such"),
        (f"local --access-log ss://{CANARY}", "write --access-log=-"),
        ("proxy -c /nowhere/config.json", "/nowhere/config.json"),
        (f"proxy --upstream ftp://u:{CANARY}@h", "--upstream: url: write ss://"),
        (f"proxy --upstream socks5://u:{CANARY}@h:0", "--upstream: url: port 0"),
        (f"server -m aes-256-gcm -k {CANARY} --upstream ss://h", "--upstream: URL: no @"),
        ("proxy --workers 100000", "--workers: 100000 is not in 0..1024"),
        (f"local -s example.com -k {CANARY}", "method: none given"),
        (f"local -s example.com -p 0 -m aes-256-gcm -k {CANARY}", "server port: 0 is not"),
        (f"local -s {'x' * 256} -m aes-256-gcm -k {CANARY}", "server: a host name of 256 bytes"),
        (f"proxy --user a:{CANARY} --user a:{CANARY}", "--user: 'a' is there twice"),
        (f"proxy --user a:{CANARY * 20}", "--user: a password has 1 to 255 bytes"),
        ("genkey", "Missing argument 'METHOD'"),
        ("genkey rot13", "there is no method 'rot13'"),
    ],
)
def test_bad_usage_ends_with_2_and_says_what_to_write(arguments: str, message: str) -> None:
    result = run(*arguments.split())
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert CANARY not in result.stderr


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        ("--version", "FASTSOCKS_IMPL"),
        ("--version", "FASTSOCKS_LOOP"),
        ("proxy", "FASTSOCKS_IMPL"),
        ("proxy", "FASTSOCKS_LOOP"),
        ("genkey none", "FASTSOCKS_IMPL"),
    ],
)
def test_unknown_choices_in_the_environment_end_with_2(command: str, variable: str) -> None:
    result = run(*command.split(), **{variable: "frobnicate"})
    assert result.returncode == 2
    assert f"{variable}='frobnicate': use auto" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_version_tells_all_that_runs(implementation: str, loop: str) -> None:
    result = run("--version", implementation=implementation, FASTSOCKS_LOOP=loop)
    assert result.returncode == 0
    assert result.stderr == ""
    python = ".".join(map(str, sys.version_info[:3]))
    assert f"fastsocks {fastsocks.__version__} ({implementation}), Python {python}" in result.stdout
    assert f", {loop}" in result.stdout
    assert "OpenSSL" in result.stdout


@pytest.mark.parametrize("command", ["", "server", "local", "proxy", "genkey"])
def test_help_is_quick_because_it_imports_little(command: str) -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "fastsocks", *command.split(), "--help"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert result.returncode == 0
    assert "Usage: fastsocks" in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "fastsocks.cli.commands" in imported
    assert not imported & {"asyncio", "uvloop", "cryptography", "logging", "fastsocks.service"}


@pytest.mark.parametrize(
    ("method", "size"), [("2022-blake3-aes-128-gcm", 16), ("2022-blake3-chacha20-poly1305", 32)]
)
def test_genkey_makes_another_key_each_time(method: str, size: int) -> None:
    keys = [run("genkey", method).stdout for _ in range(2)]
    assert keys[0] != keys[1]
    assert [len(base64.b64decode(key, validate=False)) for key in keys] == [size, size]


def test_a_made_key_is_taken() -> None:
    for method in ("2022-blake3-aes-256-gcm", "aes-256-gcm"):
        with start_server(method, run("genkey", method).stdout.strip()):
            pass


def test_a_port_in_use_ends_with_3() -> None:
    with Target() as holder:
        result = run("proxy", "-l", str(holder.address.port))
    assert result.returncode == 3
    assert f"Error: cannot listen on {holder.address}: Address already in use" in result.stderr
    assert "Traceback" not in result.stderr


def test_every_socket_has_its_line() -> None:
    service = start_fastsocks("server", "-p", "0", "-m", "2022-blake3-aes-128-gcm", "-k", KEY)
    with service:
        second = service.process.wait_for_line(r"listening on 0\.0\.0\.0:(\d+)$")
        first = service.process.wait_for_line(r"^[-\d]+ [:\d]+ INFO listening on \[::\]:(\d+)$")
        assert first[1] == second[1]
    with start_fastsocks(
        *("server", "-s", "::1", "-s", "127.0.0.1", "-p", "0"),
        *("-m", "2022-blake3-aes-128-gcm", "-k", KEY),
    ) as service:
        assert service.address.host == "::1"
        service.process.wait_for_line(rf"listening on 127\.0\.0\.1:{service.address.port}$")


@pytest.mark.parametrize(
    ("method", "warning"),
    [
        ("aes-256-cfb", "protects nothing against tampering"),
        ("none", "protects nothing: anyone"),
        ("aes-256-gcm", None),
        ("2022-blake3-aes-128-gcm", None),
    ],
)
@pytest.mark.parametrize("command", ["server", "local"])
def test_weak_methods_warn_at_start(command: str, method: str, warning: str | None) -> None:
    listening = "-p" if command == "server" else "-l"
    with start_fastsocks(
        *(command, "-s", "127.0.0.1", listening, "0", "-m", method, "-k", KEY)
    ) as service:
        warnings = [line for line in service.process.output.splitlines() if " WARNING " in line]
        if warning is None:
            assert warnings == []
        else:
            assert len(warnings) == 1
            assert f"method {method} {warning}" in warnings[0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_limit_of_open_files_is_raised() -> None:
    resource = pytest.importorskip("resource")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = f"import os, resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))"
    command = fastsocks_command("proxy", "-l", "0")
    process = subprocess.Popen(
        [sys.executable, "-c", f"{low}; os.execv({command[0]!r}, {command!r})"],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert any("listening on" in line for line in process.stderr)
        with open(f"/proc/{process.pid}/limits", encoding="ascii") as limits:  # noqa: PTH123
            (line,) = (line for line in limits if line.startswith("Max open files"))
        assert line.split()[3:5] == [str(hard), str(hard)]
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE)


def test_a_local_port_is_read_from_the_log() -> None:
    with start_fastsocks("proxy", "-b", "::1", "-l", "0") as service:
        assert service.address == SocketAddress("::1", service.address.port)
        assert service.address.port > 0
