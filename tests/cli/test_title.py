"""Secrets of the command line do not stay in the list of processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fastsocks.cli.title import without_secrets
from harness.services import start_fastsocks

CANARY = "canary-secret"
URL = f"ss://aes-256-gcm:{CANARY}@192.0.2.1:8388"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("server -p 8388", "server -p 8388"),
        (f"server -k {CANARY} -p 1", "server -k ... -p 1"),
        (f"server -k{CANARY} -p 1", "server -k... -p 1"),
        (f"server -vk {CANARY} -p 1", "server -vk ... -p 1"),
        (f"server -v6k{CANARY} -p 1", "server -v6k... -p 1"),
        (f"server --password {CANARY} -p 1", "server --password ... -p 1"),
        (f"server --password={CANARY} -p 1", "server --password=... -p 1"),
        (f"server --key {CANARY}", "server --key ..."),
        (f"server --user a:{CANARY} --user=b:{CANARY}", "server --user ... --user=..."),
        ("server --password-file FILE", "server --password-file FILE"),
        ("server -k", "server -k"),
        (f"local {URL} -l 0", "local ss://... -l 0"),
        (f"local {URL.upper()}", "local ss://..."),
        (f"local -- {URL}", "local -- ss://..."),
        (f"local --frobnicate={URL}", "local --frobnicate=ss://..."),
    ],
)
def test_what_is_shown(given: str, shown: str) -> None:
    assert " ".join(without_secrets(given.split())) == shown


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "arguments",
    [
        f"local {URL}",
        f"local {URL}#{'a-very-long-name' * 20}",
        f"local -s 192.0.2.1 -m aes-256-gcm -k {CANARY}",
        f"local -s 192.0.2.1 -m aes-256-gcm --password={CANARY}",
        f"local -s 192.0.2.1 -m aes-256-gcm -k{CANARY}",
        f"proxy --user a:{CANARY}",
    ],
)
def test_the_system_shows_no_secret(arguments: str) -> None:
    with start_fastsocks(*arguments.split(), "-l", "0") as service:
        process = Path(f"/proc/{service.process.pid}")
        shown = (process / "cmdline").read_bytes()
        assert CANARY.encode() not in shown
        assert shown.startswith(f"fastsocks {arguments.split(maxsplit=1)[0]} ".encode())
        for thread in (process / "task").iterdir():
            assert CANARY not in (thread / "comm").read_text("utf-8")
            assert CANARY.encode() not in (thread / "cmdline").read_bytes()
