"""A server of many ports starts with few lines, and tells a service manager in few words."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from harness.deadline import DEADLINE
from harness.process import Process
from harness.services import Implementation, environment, fastsocks_command

_PORTS = 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_few_lines(implementation: Implementation, tmp_path: Path, workers: str) -> None:
    config = tmp_path / "config.json"
    server = {"server": "127.0.0.1", "server_port": 0, "method": "aes-128-cfb", "password": "x"}
    config.write_text(json.dumps({"mode": "tcp_only", "servers": [server] * _PORTS}))
    config.chmod(0o600)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(DEADLINE)
        manager.bind(str(tmp_path / "notify"))
        process = Process(
            "fastsocks server",
            fastsocks_command("server", "-c", str(config), "--workers", workers),
            environment(implementation, NOTIFY_SOCKET=str(tmp_path / "notify")),
        )
        # systemd ignores what is longer than 4 KiB.
        told = manager.recv(65536)
        assert told.startswith(b"READY=1\nSTATUS=listening on 127.0.0.1:")
        assert len(told) < 2048
        process.wait_for_line(r"listening on 127\.0\.0\.1:\d+")
        assert process.stop() == 0
    lines = process.lines
    assert len(lines) < 20
    # What is wrong with the method of all is said once, where it is not by workers.
    assert sum("aes-128-cfb" in line for line in lines) == 1
    ports = re.findall(r"(\d+) ports\)", process.output)
    assert sum(map(int, ports)) == _PORTS
