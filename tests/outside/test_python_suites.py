"""The suites of Python's SOCKS clients."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fastsocks.shadowsocks import generate_key
from harness.name_server import NameServer
from harness.services import environment, fastsocks_command, start_fastsocks, start_server

from .packages import compare, python_suite, run_pytest

METHOD = "2022-blake3-aes-128-gcm"

#: Of python-socks, by a part of the test's name.
_PYTHON_SOCKS = {
    "test_secure_proxy": "TLS between client and proxy, which ours does not speak",
    "test_socks5_proxy_with_connect_timeout": "its own proxy is slow on purpose; ours is not",
}

#: These send to a private address, to see how the client waits for a proxy that is not there.
_BEYOND_THIS_HOST = [
    "--deselect",
    "test/test_pysocks.py::PySocksTestCase::test_socks5_proxy_connect_timeout",
]


@pytest.mark.outside
@pytest.mark.timeout(900)
def test_python_socks() -> None:
    python, source = python_suite(
        "python-socks", "3.2.1",
        "anyio", "pytest-asyncio", "pytest-trio", "starlette", "trio", "trustme", "uvicorn", "yarl",
    )  # fmt: skip
    shutil.copy(
        Path(__file__).with_name("stand_in_proxy_server.py"), source / "tests" / "proxy_server.py"
    )
    names = {"ip4.target.example.com": "127.0.0.1", "ip6.target.example.com": "::1"}
    with NameServer(names) as resolver:
        command = [*fastsocks_command("proxy"), "--resolver", resolver.address]
        variables = {**environment(), "FASTSOCKS_PROXY": json.dumps(command)}
        passed, failed = run_pytest(python, source, ["tests"], variables)
    compare(passed, failed, _PYTHON_SOCKS)


@pytest.mark.outside
@pytest.mark.timeout(900)
def test_pysocks() -> None:
    python, source = python_suite("PySocks", "1.7.1", "psutil")
    _put("stand_in_test_server.py", source / "test_server.py")
    # It starts a proxy of its own, and waits for ours.
    program = source / "test" / "bin" / "3proxy"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    key = generate_key(METHOD)
    # The suite wants its target to be reached from another address than its own.
    with start_server(METHOD, key, "-b", "127.0.0.2") as server:
        userinfo = f"{METHOD}:{key}".replace("+", "%2B").replace("/", "%2F")
        upstream = f"ss://{userinfo}@127.0.0.1:{server.address.port}"
        services = [
            start_fastsocks("proxy", "-b", "127.0.0.2", "-l", str(port), "--upstream", upstream)
            for port in (7774, 7775, 7776)
        ]
        try:
            passed, failed = run_pytest(python, source, ["test", *_BEYOND_THIS_HOST], environment())
        finally:
            for service in services:
                service.stop()
    compare(passed, failed, {})


def _put(name: str, target: Path) -> None:
    """Put a module of this folder into the source of a suite."""
    shutil.copy(Path(__file__).with_name(name), target)
