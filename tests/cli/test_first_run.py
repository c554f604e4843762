"""``fastsocks server`` by itself, at a terminal and without one, and what leads to it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.deadline import DEADLINE
from harness.process import Process
from harness.services import environment, fastsocks_command, start_fastsocks
from harness.socks import open_connection
from harness.targets import Target
from harness.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")

URL = re.compile(r"ss://2022-blake3-aes-128-gcm:(\S+)@(\S+?):(\d+)")


@pytest.fixture
def state(tmp_path: Path) -> dict[str, str]:
    found = environment(XDG_STATE_HOME=str(tmp_path), PYTHONIOENCODING="utf-8")
    found.pop("STATE_DIRECTORY", None)
    return found


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "fastsocks" / "server.json"


def password(kept: Path) -> str:
    return str(json.loads(kept.read_text("utf-8"))["password"])


def url(state: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        fastsocks_command("url", *arguments),
        env=state,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_a_terminal_is_told_all_and_a_restart_breaks_nobody(
    state: dict[str, str], kept: Path
) -> None:
    command = fastsocks_command("server", "-p", "0", "--public-address", "198.51.100.7:443")
    shown = []
    for _ in range(2):
        with Terminal(command, state) as terminal:
            line = terminal.wait_for(r"    fastsocks local (\S+)\n")
            assert URL.fullmatch(shlex.split(line[1])[0])
            assert "Address   198.51.100.7:443" in terminal.output
            assert f"URL       {line[1]}\n" in terminal.output
            assert str(kept) in terminal.output
            assert "██ ▄▄▄▄▄ █" in terminal.output
            terminal.interrupt()
            assert terminal.wait() == 0
        shown.append(line[1])
    assert shown[0] == shown[1]
    found = URL.fullmatch(shown[0])
    assert found is not None
    assert found[1].replace("%2B", "+").replace("%2F", "/").replace("%3D", "=") == password(kept)


def test_the_qr_code_is_drawn_without_block_elements_too(state: dict[str, str]) -> None:
    state["PYTHONIOENCODING"] = "ascii"
    command = fastsocks_command("server", "-p", "0", "--public-address", "198.51.100.7")
    with Terminal(command, state) as terminal:
        terminal.wait_for(r"    fastsocks local (\S+)\n")
        assert "\x1b[7m  " in terminal.output
        terminal.interrupt()
        assert terminal.wait() == 0


def test_the_command_that_is_told_works_as_it_stands(state: dict[str, str]) -> None:
    command = fastsocks_command("server", "-s", "127.0.0.1", "-p", "0", "--allow-private")
    with Terminal(command, state) as server, Target() as target:
        line = server.wait_for(r"    fastsocks (local \S+)\n")
        assert "127.0.0.1 is not a public address" in server.output
        with (
            start_fastsocks(*shlex.split(line[1]), "-l", "0") as local,
            open_connection(local.address, target.address) as client,
        ):
            client.send(b"through")
            assert target.accept().recv(7) == b"through"


def test_without_a_terminal_no_secret_is_told(state: dict[str, str], kept: Path) -> None:
    command = fastsocks_command("server", "-p", "0", "--public-address", "198.51.100.7")
    process = Process("fastsocks server", command, state)
    try:
        told = process.wait_for_line(rf"kept in {kept}; for the URL of this server: fastsocks (.*)")
        assert password(kept) not in process.output
        assert password(kept).replace("=", "%3D") not in process.output
        port = process.wait_for_line(r"listening on 0\.0\.0\.0:(\d+)")[1]
    finally:
        process.stop()
    done = url(state, *shlex.split(told[1])[1:])
    found = URL.fullmatch(done.stdout.strip())
    assert found is not None, done.stderr
    assert (found[2], found[3]) == ("198.51.100.7", port)
    assert found[1].replace("%2B", "+").replace("%2F", "/").replace("%3D", "=") == password(kept)


def test_it_listens_everywhere_also_where_there_is_no_ipv6(state: dict[str, str]) -> None:
    program = (
        "import errno, socket, sys\n"
        "system = socket.socket\n"
        "class Socket(system):\n"
        "    def __init__(self, family=-1, *arguments, **options):\n"
        "        if family == socket.AF_INET6:\n"
        "            raise OSError(errno.EAFNOSUPPORT, 'Address family not supported')\n"
        "        super().__init__(family, *arguments, **options)\n"
        "socket.socket = Socket\n"
        "from fastsocks.cli import main\n"
        "main()\n"
    )
    process = Process("no IPv6", [sys.executable, "-c", program, "server", "-p", "0"], state)
    try:
        process.wait_for_line("the key is kept in")
        listening = [line for line in process.lines if "listening on" in line]
        assert len(listening) == 1
        assert "listening on 0.0.0.0:" in listening[0]
    finally:
        process.stop()


def test_a_key_that_others_can_read_is_not_used(state: dict[str, str], kept: Path) -> None:
    kept.parent.mkdir(parents=True)
    kept.write_text('{"method": "2022-blake3-aes-128-gcm", "password": "canary-secret"}', "utf-8")
    kept.chmod(0o644)
    for command in (["server", "-p", "0"], ["url"], ["check"]):
        done = subprocess.run(
            fastsocks_command(*command),
            env=state,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 2
        assert f"chmod 600 {kept}" in done.stderr
        assert "canary" not in done.stderr + done.stdout


def test_no_key_is_made_where_one_is_given(state: dict[str, str], kept: Path) -> None:
    state["FASTSOCKS_METHOD"] = "aes-256-gcm"
    state["FASTSOCKS_PASSWORD"] = "a-password"
    process = Process("fastsocks server", fastsocks_command("server", "-p", "0"), state)
    process.wait_for_line("listening on 0")
    process.stop()
    assert not kept.exists()


def test_url_needs_a_key(state: dict[str, str], kept: Path) -> None:
    done = url(state)
    assert done.returncode == 2
    assert f"there is no key in {kept} yet" in done.stderr
    assert not kept.exists()


def test_a_password_that_is_missing_is_asked_for_without_echo(state: dict[str, str]) -> None:
    command = fastsocks_command("local", "-s", "192.0.2.1", "-m", "aes-256-gcm", "-l", "0")
    with Terminal(command, state) as terminal:
        terminal.wait_for("Password: ")
        terminal.type("canary-secret")
        terminal.wait_for("listening on 127")
        assert "canary-secret" not in terminal.output
        terminal.interrupt()
        assert terminal.wait() == 0


def test_a_method_without_a_password_does_not_ask(state: dict[str, str]) -> None:
    command = fastsocks_command("local", "-s", "192.0.2.1", "-m", "none", "-l", "0")
    with Terminal(command, state) as terminal:
        terminal.wait_for("listening on 127")
        assert "Password" not in terminal.output
