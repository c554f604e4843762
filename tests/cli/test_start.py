"""What a command loads: memory and time at the start are those of its modules."""

from __future__ import annotations

import re
import subprocess

import pytest

from harness.listener import SocketAddress
from harness.services import (
    Implementation,
    environment,
    fastsocks_command,
    start_local,
    start_proxy,
    start_server,
)

METHOD = "aes-256-gcm"
KEY = "a password of some length"

#: Of no use to a service that relays by a method older than 2022 and writes no access log.
NEEDLESS = {
    "blake3",
    "fastsocks.client.connect",
    "json5",
    "logging.handlers",
    "pickle",
    "segno",
    "tomllib",
    "unicodedata",
}
#: Fallbacks of what the extension modules do.
PURE = {"cryptography", "fastsocks.shadowsocks._framing_py", "hmac", "secrets"}
SERVICES = {f"fastsocks.service.{name}" for name in ("local", "proxy", "server")}


def imported(report: str) -> set[str]:
    """Read what ``python -X importtime`` writes."""
    return set(re.findall(r"^import time: .*\| +(\S+)$", report, re.MULTILINE))


@pytest.mark.parametrize("name", ["local", "proxy", "server"])
def test_a_service_loads_what_it_needs(implementation: Implementation, name: str) -> None:
    variables = {"PYTHONPROFILEIMPORTTIME": "1"}
    if name == "server":
        service = start_server(METHOD, KEY, implementation=implementation, **variables)
    elif name == "local":
        server = SocketAddress("127.0.0.1", 1)
        service = start_local(server, METHOD, KEY, implementation=implementation, **variables)
    else:
        service = start_proxy(implementation=implementation, **variables)
    with service:
        found = imported(service.process.output)
    needless = NEEDLESS | (PURE if implementation == "cython" else set())
    others = SERVICES - {f"fastsocks.service.{name}"}
    assert "asyncio" in found
    assert not found & (needless | others)


def test_the_version_loads_no_service() -> None:
    command = fastsocks_command("--version")
    variables = environment(PYTHONPROFILEIMPORTTIME="1")
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    found = imported(done.stderr)
    assert "fastsocks.crypto" in found
    assert not found & {"blake3", "fastsocks.config", "fastsocks.service", "fastsocks.shadowsocks"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), False),
        (("-n", "4096"), False),
        (("-n", "512"), True),
        (("-n", "4096", "--max-connections", "100"), False),
        (("-n", "4096", "--max-connections", "3000"), True),
    ],
)
def test_the_limit_of_open_files_is_told_only_where_it_is_too_low(
    arguments: tuple[str, ...], told: bool
) -> None:
    with start_proxy(*arguments) as service:
        assert ("the limit of open files leaves room for" in service.process.output) == told
