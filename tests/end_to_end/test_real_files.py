"""Files of real users are started as they are, but for their ports, or say why not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness import real_files
from harness.deadline import DEADLINE
from harness.process import Process
from harness.services import environment, fastsocks_command, start_fastsocks
from harness.socks import open_connection
from harness.targets import Target

LISTENING = r"listening on (?:\S+):(\d+)"
ENVIRONMENT = {"SERVER_KEY": real_files.SERVER_KEY}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text("X2bWAN3LLHYhqddEHcovrg==\n", "utf-8")
    (tmp_path / "key").chmod(0o600)
    file = tmp_path / "config"
    file.touch(0o600)
    return file


def written(file: Path, text: str, replaced: dict[str, str]) -> str:
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(text, "utf-8")
    return str(file)


def ports(*numbers: int) -> dict[str, str]:
    """Return what has the kernel choose these ports."""
    return {str(number): "0" for number in numbers}


STARTED = {
    "Debian server": ("server", real_files.DEBIAN, {}, ("-p", "0"), 2),
    "Debian local": ("local", real_files.DEBIAN, {}, ("-l", "0"), 1),
    "libev server": (
        *("server", real_files.LIBEV_SERVER),
        # Addresses of another host, and a user that only root can become.
        {
            '    "local_ipv4_address": "10.0.0.2",\n': "",
            "2620:129:35::33": "::",
            **({} if os.geteuid() == 0 else {'    "user": "nobody",\n': ""}),
        },
        ("-p", "0"),
        2,
    ),
    "libev client": ("local", real_files.LIBEV_CLIENT, {}, ("-l", "0"), 1),
    "libev shared, local": ("local", real_files.LIBEV_SHARED, {}, ("-l", "0"), 1),
    "rust server": ("server", real_files.RUST_SERVER, {}, ("-p", "0"), 2),
    "rust users": ("server", real_files.RUST_USERS, ports(8389, 8390), (), 3),
    "rust client": ("local", real_files.RUST_CLIENT, ports(1080, 1081), (), 2),
    "SIP008": ("local", real_files.SIP008, {}, ("-l", "0"), 1),
    "TOML": ("server", real_files.TOML, ports(8389), ("-s", "127.0.0.1"), 2),
}


@pytest.mark.parametrize("name", STARTED)
def test_what_starts(file: Path, name: str) -> None:
    command, text, replaced, flags, listeners = STARTED[name]
    if name == "TOML":
        replaced = {**replaced, **ports(8388)}
    arguments = ("-c", written(file, text, replaced), *flags)
    checked = subprocess.run(
        fastsocks_command("check", command, *arguments),
        env=environment(None, **ENVIRONMENT),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    process = Process(
        f"fastsocks {command}",
        fastsocks_command(command, *arguments),
        environment(None, **ENVIRONMENT),
    )
    try:
        process.wait_for_line(LISTENING)
        process.wait_for_line(r"listening|WARNING")
        found = {line for line in process.lines if " ERROR " in line or "Traceback" in line}
        assert not found
    finally:
        assert process.stop() == 0
    tcp = [line for line in process.lines if "listening on" in line and "UDP" not in line]
    if command == "local":
        # At 127.0.0.1 and, where the host has it, ::1; the port is the same.
        tcp = list({line.rpartition(":")[2] for line in tcp})
    assert len(tcp) == listeners, process.output


@pytest.mark.parametrize(
    ("command", "text", "code", "message"),
    [
        ("server", real_files.LIBEV_SERVER, 2, "cannot dial from 10.0.0.2"),
        ("server", real_files.LIBEV_SHARED, 3, "cannot listen on my.example.com:8388"),
        ("server", real_files.LIBEV_OBFS, 2, "plugin: not supported yet"),
        ("local", real_files.RUST_REDIR, 2, "locals[1].protocol: not supported yet: redir"),
        ("server", real_files.RUST_ACL, 2, "acl: /etc/shadowsocks-rust/server.acl: No such file"),
    ],
)
def test_what_does_not(file: Path, command: str, text: str, code: int, message: str) -> None:
    done = subprocess.run(
        fastsocks_command(command, "-c", written(file, text, {})),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_debians_file_serves_both_ends(file: Path) -> None:
    config = written(file, real_files.DEBIAN, {})
    with (
        Target() as target,
        start_fastsocks("server", "-c", config, "-p", "0", "--allow-private") as server,
        start_fastsocks("local", "-c", config, "-p", str(server.address.port), "-l", "0") as local,
        open_connection(local.address, target.address) as client,
    ):
        client.send(b"through")
        assert target.accept().recv(7) == b"through"
