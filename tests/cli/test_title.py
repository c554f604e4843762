"""Secrets of the command line do not stay in the list of processes."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

from fastsocks.cli.commands import fastsocks
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


@pytest.mark.parametrize("odd", [")", "'", '"', " ", "\t", "\n", "@", "://", "(", "]", "\u00a0"])
@pytest.mark.parametrize(
    "before",
    [
        "ss://aes-256-gcm:",
        "SS://",
        "ss:aes-256-gcm:",
        "socks4a://user:",
        "socks5://user:",
        "https://user:",
        "sss://aes-256-gcm:",
        "--frobnicate=ss://m:",
        "-kx",
        "--password=",
        "--user=name:",
        "--upstream=socks5://",
        "aes-256-gcm:",
        "--plugin-opts=password=",
    ],
)
def test_what_a_password_has_in_it_does_not_end_it(before: str, odd: str) -> None:
    argument = f"{before}start{odd}{CANARY}@192.0.2.1:8388"
    assert CANARY not in " ".join(without_secrets(["local", argument, "-v"]))
    assert CANARY not in " ".join(without_secrets(["local", "--", argument]))


#: Options that take what is nobody else's business, by their names in click.
SECRETS = {"password", "key", "users", "accounts", "upstream", "plugin_opts_of_peers"}


def test_every_option_that_takes_a_secret_is_known() -> None:
    found = set()
    for command in fastsocks.commands.values():
        for option in command.params:
            if not isinstance(option, click.Option) or option.is_flag:
                continue
            for name in (*option.opts, *option.secondary_opts):
                shown = " ".join(without_secrets([command.name or "", name, CANARY, "-v"]))
                if option.name in SECRETS:
                    found.add(option.name)
                    assert CANARY not in shown, name
                looks_like_one = (option.metavar or "").endswith(("KEY", "PASSWORD", "BASE64"))
                assert not looks_like_one or option.name in SECRETS, name
    assert found == SECRETS


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_system_shows_no_end_of_a_password() -> None:
    url = f"ss://aes-256-gcm:a ) ' {CANARY}@192.0.2.1:8388"
    with start_fastsocks("local", url, "-l", "0") as service:
        shown = Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
    assert CANARY.encode() not in shown


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
