"""SIGHUP: the configuration is read again, by one process or by all workers together."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.listener import SocketAddress
from harness.process import Process
from harness.services import Implementation, Service, environment, fastsocks_command
from harness.socks import ReplyError, open_connection
from harness.targets import ServingTarget, echo

#: Connections that find every worker.
_MANY = 24

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")


class Configured:
    """A proxy with a file."""

    def __init__(self, file: Path, workers: int, implementation: Implementation) -> None:
        self._file = file
        self.write()
        command = fastsocks_command("proxy", "-c", str(file), "--workers", str(workers))
        # No terminal belongs to it.
        self.process = Process("fastsocks proxy", ["setsid", *command], environment(implementation))
        found = self.process.wait_for_line(r"listening on (\S+):(\d+)")
        self.address = SocketAddress(found[1], int(found[2]))
        self.service = Service(self.process, self.address, ours=True)

    def write(self, **options: Any) -> None:
        """Write the file."""
        given = {"local_address": "127.0.0.1", "local_port": 0, **options}
        self._file.write_text(json.dumps(given))
        self._file.chmod(0o600)

    def reload(self, line: str) -> None:
        """Send SIGHUP, and wait for a line."""
        self.process.send_signal(signal.SIGHUP)
        self.process.wait_for_line(line)

    def reaches(self, target: SocketAddress) -> set[bool]:
        """Tell which answers there are to many connections."""
        found = set()
        for _ in range(_MANY):
            try:
                with open_connection(self.address, target) as client:
                    client.send(b"x")
                    found.add(client.read(1) == b"x")
                    client.finish()
                    client.read_to_end()
            except (ReplyError, EOFError, ConnectionError):
                found.add(False)
        return found


@pytest.fixture(params=[1, 3])
def proxy(
    request: pytest.FixtureRequest, tmp_path: Path, implementation: Implementation
) -> Iterator[Configured]:
    made = Configured(tmp_path / "proxy.json", request.param, implementation)
    with made.service:
        yield made


def test_rules_change_in_every_worker(proxy: Configured) -> None:
    with ServingTarget(echo) as target, open_connection(proxy.address, target.address) as running:
        assert proxy.reaches(target.address) == {True}
        proxy.write(rules=[f"deny to 127.0.0.1 port {target.address.port}"], log_level="warning")
        proxy.reload("read again: changed: rules")
        # The line comes when all are told; each of them acts on it in its next turn.
        deadline = time.monotonic() + 20
        while proxy.reaches(target.address) != {False}:
            assert time.monotonic() < deadline
        running.send(b"on")
        assert running.read(2) == b"on"
        running.finish()
        assert running.read_to_end() == b""
        proxy.write()
        proxy.process.send_signal(signal.SIGHUP)
        while proxy.reaches(target.address) != {True}:
            assert time.monotonic() < deadline


def test_a_wrong_file_changes_nothing(proxy: Configured) -> None:
    with ServingTarget(echo) as target:
        for options, error in (
            ({"rules": ["deny everything"], "timeout": 5}, r"proxy\.json: rules"),
            ({"max_connection": 5}, r"proxy\.json: .*max_connections"),
            ({"accounts_file": "/there/is/none"}, "/there/is/none"),
        ):
            proxy.write(**options)
            proxy.reload(f"nothing is changed: .*{error}")
        assert proxy.reaches(target.address) == {True}


def test_what_takes_a_restart_is_named(proxy: Configured) -> None:
    proxy.write(local_port=1, max_connections_per_client=77, workers=9)
    proxy.process.send_signal(signal.SIGHUP)
    proxy.process.wait_for_line("read again: changed: max_connections_per_client")
    line = proxy.process.wait_for_line(r"a restart is needed for (.*)")[1]
    assert re.search(r"proxy\.json: local_port", line)
    # Flags come before the file.
    assert "workers" not in line


@pytest.mark.parametrize("proxy", [2], indirect=True)
def test_a_worker_made_later_has_what_holds(proxy: Configured) -> None:
    with ServingTarget(echo) as target:
        proxy.write(rules=[f"deny to 127.0.0.1 port {target.address.port}"])
        proxy.reload("read again: changed: rules")
        pid = proxy.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        for child in children:
            with suppress(FileNotFoundError, ProcessLookupError):
                title = Path(f"/proc/{child}/cmdline").read_bytes()
                if b"[worker " in title:
                    os.kill(int(child), signal.SIGKILL)
        for _ in range(2):
            proxy.process.wait_for_line("ended: killed by SIGKILL; another starts")
        assert proxy.reaches(target.address) == {False}


@pytest.mark.slow
@pytest.mark.parametrize("proxy", [2], indirect=True)
def test_where_a_worker_does_not_answer_nothing_changes(proxy: Configured) -> None:
    """It hangs: it is stopped, until the supervisor has waited long enough."""
    with ServingTarget(echo) as target:
        pid = proxy.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        titles = {int(c): Path(f"/proc/{c}/cmdline").read_bytes() for c in children}
        (second,) = (child for child, title in titles.items() if b"[worker 2]" in title)
        os.kill(second, signal.SIGSTOP)
        try:
            proxy.write(rules=[f"deny to 127.0.0.1 port {target.address.port}"])
            proxy.process.send_signal(signal.SIGHUP)
            proxy.process.wait_for_line("nothing is changed: no answer of worker 2")
        finally:
            os.kill(second, signal.SIGCONT)
        assert proxy.reaches(target.address) == {True}
        proxy.reload("read again: changed: rules")
