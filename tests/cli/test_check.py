"""``fastsocks check`` and ``fastsocks url`` of what files, variables and flags say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastsocks.config import ServerURL
from harness.deadline import DEADLINE
from harness.services import environment, fastsocks_command

PSK, OTHER_PSK = "29ub3TmJNnn3hMwNFRbGTw==", "X2bWAN3LLHYhqddEHcovrg=="
METHOD = "2022-blake3-aes-128-gcm"
FILE = {
    "server": ["192.0.2.1", "::1"],
    "server_port": 9000,
    "method": METHOD,
    "password": PSK,
    "users": [{"name": "alice", "password": OTHER_PSK}],
    "timeout": 20,
    "use_syslog": True,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(FILE), "utf-8")
    file.chmod(0o600)
    return file


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        fastsocks_command(*arguments),
        env=environment(None, **variables),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def rows(output: str) -> dict[str, tuple[str, str]]:
    """Return value and source by key."""
    found = re.findall(r"^  (\w+) +(\S.*?) {2,}(\S.*)$", output, re.MULTILINE)
    return {key: (value, source) for key, value, source in found}


def test_every_value_has_its_source(file: Path) -> None:
    done = run("check", "-c", str(file), "--grace", "3", FASTSOCKS_MAX_HANDSHAKES_PER_CLIENT="7")
    assert (done.returncode, done.stderr) == (0, "")
    found = rows(done.stdout)
    assert found["server"] == ("192.0.2.1, ::1", f"{file}: server")
    assert found["server_port"] == ("9000", f"{file}: server_port")
    assert found["timeout"] == ("20", f"{file}: timeout")
    assert found["grace"] == ("3", "--grace")
    assert found["max_handshakes_per_client"] == ("7", "FASTSOCKS_MAX_HANDSHAKES_PER_CLIENT")
    assert found["max_handshakes"] == ("4096", "default")
    assert found["password"] == ("hidden", f"{file}: password")
    assert found["users"] == ("'alice'", f"{file}: users")
    assert found["log_level"] == ("info", "default")
    assert re.search(rf"\[warnings\]\n  {file}: use_syslog: ignored", done.stdout)
    assert PSK not in done.stdout
    assert OTHER_PSK not in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of open files")
def test_caps_that_cannot_be_had_are_told() -> None:
    done = run("check", "proxy", "-n", "256", "--max-connections", "5000")
    assert done.returncode == 0
    assert rows(done.stdout)["max_connections"] == ("5000", "--max-connections")
    assert re.search(r"room for \d+ connections, not for the 5000", done.stdout)
    assert re.search(r"as files allow, \d+", run("check", "proxy", "-n", "256").stdout)


@pytest.mark.parametrize(
    ("content", "service"),
    [
        (FILE, "server"),
        ({"server": "h", "method": "none", "locals": [{"local_port": 1}]}, "local"),
        ({"url": "ss://aes-256-gcm:p@h:1"}, "local"),
        ({"accounts": {"a": "b"}, "local_port": 1080}, "proxy"),
        ({"local_port": 1080}, "proxy"),
    ],
)
def test_the_file_tells_its_service(file: Path, content: object, service: str) -> None:
    file.write_text(json.dumps(content), "utf-8")
    done = run("check", "-c", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"fastsocks {service} would run with:")


def test_all_services_of_a_file_are_told(file: Path) -> None:
    servers = [{"server_port": port, "method": "aes-256-gcm", "password": "p"} for port in (1, 2)]
    file.write_text(json.dumps({"servers": servers}), "utf-8")
    done = run("check", f"--config={file}")
    assert re.findall(r"^\[(.*)\]$", done.stdout, re.MULTILINE)[:3] == [
        *("servers[0]", "servers[1]"),
        "process",
    ]


def test_what_would_not_start_ends_with_2_and_the_reason(file: Path) -> None:
    for change, reason in (
        ({"plugin": "x"}, "plugin: not supported yet"),
        ({"sever": "x"}, "server"),
        ({"local_address": "198.51.100.1"}, "cannot dial from 198.51.100.1"),
        ({"method": "rot13"}, "there is no method 'rot13'"),
    ):
        file.write_text(json.dumps({**FILE, **change}), "utf-8")
        done = run("check", "-c", str(file))
        assert (done.returncode, done.stdout) == (2, "")
        assert reason in done.stderr


def test_url_of_each_user(file: Path) -> None:
    done = run("url", "-c", str(file), "--public-address", "[2001:db8::7]:443")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    url = ServerURL.parse(line)
    assert (url.host, url.port, url.tag) == ("2001:db8::7", 443, "alice")
    assert (url.method, url.password) == (METHOD, f"{PSK}:{OTHER_PSK}")


@pytest.mark.parametrize(
    ("flags", "host", "warns"),
    [
        (("-s", "example.com"), "example.com", False),
        (("-s", "8.8.8.8"), "8.8.8.8", False),
        (("-s", "10.1.2.3"), "10.1.2.3", True),
        (("-s", "127.0.0.1"), "127.0.0.1", True),
        (("-s", "10.1.2.3", "-s", "8.8.8.8"), "8.8.8.8", False),
        (("-s", "10.1.2.3", "--public-address", "example.com"), "example.com", False),
    ],
)
def test_where_a_url_leads(flags: tuple[str, ...], host: str, warns: bool) -> None:
    done = run("url", "-m", "aes-256-gcm", "-k", "p", "-p", "9000", *flags)
    assert done.returncode == 0
    url = ServerURL.parse(done.stdout)
    assert (url.host, url.port, url.password) == (host, 9000, "p")
    assert ("--public-address" in done.stderr) == warns


def test_a_host_without_a_public_address_gets_a_placeholder_and_no_qr_code() -> None:
    # Whatever network this host is in: one of its own is public to nobody.
    program = (
        "from fastsocks.cli import server_url\n"
        "server_url._default_route = lambda: ['10.1.2.3', 'fd00::1']\n"
        "from fastsocks.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "url", "-m", "aes-256-gcm", "-k", "p", "--qr"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert ServerURL.parse(line).host == "ADDRESS-OF-THIS-SERVER"
    assert "10.1.2.3, is not a public one" in done.stderr
    assert "No QR code: a phone would look for a server called ADDRESS-OF-" in done.stderr


def test_a_url_that_no_qr_code_can_hold() -> None:
    done = run("url", "--qr", "-m", "aes-256-gcm", "-k", "p" * 3000, "-s", "example.com")
    assert done.returncode == 0, done.stderr
    assert "No QR code: it holds 2953 bytes at most, and the URL has 40" in done.stdout


def test_qr_codes_are_drawn_on_request() -> None:
    flags = ("-m", "aes-256-gcm", "-k", "p", "-s", "example.com")
    assert len(run("url", *flags).stdout.splitlines()) == 1
    drawn = run("url", "--qr", *flags, PYTHONIOENCODING="utf-8")
    assert "██ ▄▄▄▄▄ █" in drawn.stdout


def test_an_open_file_limit_beyond_the_hard_one_is_no_reason_not_to_start() -> None:
    done = run("check", "proxy", "-n", "1000000000000")
    assert done.returncode == 0, done.stderr
    assert re.search(r"nofile: 1000000000000 cannot be had, so it is \d+", done.stdout)
