"""Programs that people use reach what is behind the proxy, in each protocol they speak."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from end_to_end.entrances import Entrance
from harness.deadline import DEADLINE
from harness.pattern import pattern
from harness.services import Implementation, find_program, start_proxy
from harness.targets import ServingTarget, echo, http_page

_DATA = pattern(100_000)


@pytest.mark.parametrize("protocol", ["4", "5", "connect"])
def test_netcat(entrance: Entrance, protocol: str) -> None:
    # This is what ProxyCommand of ssh has stand between it and the proxy.
    program = find_program("nc.openbsd")
    with ServingTarget(echo) as target:
        host, port = target.address
        done = subprocess.run(
            [program, "-N", "-X", protocol, "-x", str(entrance.address), host, str(port)],
            input=_DATA,
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == _DATA


@pytest.mark.parametrize("protocol", ["socks4", "socks5", "http"])
def test_proxychains(entrance: Entrance, protocol: str, tmp_path: Path) -> None:
    programs = [find_program("proxychains4"), find_program("curl")]
    host, port = entrance.address
    file = tmp_path / "proxychains.conf"
    file.write_text(f"strict_chain\n[ProxyList]\n{protocol} {host} {port}\n", encoding="utf-8")
    with ServingTarget(http_page(_DATA)) as target:
        done = subprocess.run(
            [programs[0], "-q", "-f", str(file), programs[1], "-sS", f"http://{target.address}/"],
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == _DATA


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["socks4", "socks5", "http"])
def test_chromium(implementation: Implementation, scheme: str, tmp_path: Path) -> None:
    program = find_program("chromium")
    text = "this page came through the proxy"
    with (
        ServingTarget(http_page(f"<html><body>{text}</body></html>".encode())) as target,
        start_proxy("--access-log", "-", implementation=implementation) as proxy,
    ):
        done = subprocess.run(
            [
                program,
                *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update"),
                *("--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"),
                f"--proxy-server={scheme}://{proxy.address}",
                # Without it Chromium goes straight to loopback.
                "--proxy-bypass-list=<-loopback>",
                *("--dump-dom", f"http://{target.address}/"),
            ],
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
        assert text in done.stdout.decode(), done.stderr
        proxy.process.wait_for_line(f" -> {target.address} .*: finished")
