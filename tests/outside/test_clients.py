"""Clients of Go and of Node.js, by programs of ours that do what theirs do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.services import Service, start_fastsocks
from harness.targets import ServingTarget, echo, http_page

from .packages import folder, must, need, run

X_NET = "v0.62.0"
UNDICI = "7.30.2"
PROGRAMS = Path(__file__).with_name("programs")

pytestmark = [pytest.mark.outside, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def x_net() -> Path:
    """A program that dials by golang.org/x/net/proxy."""
    go = need("go", "install Go")
    where = folder() / f"x-net-{X_NET}"
    where.mkdir(exist_ok=True)
    shutil.copy(PROGRAMS / "client.go", where)
    if not (where / "go.mod").exists():
        must([go, "mod", "init", "outside"], where)
    must([go, "get", f"golang.org/x/net@{X_NET}"], where)
    must([go, "build", "-o", "client", "."], where)
    return where / "client"


@pytest.fixture(scope="module")
def undici() -> list[str | Path]:
    """The command of a program that fetches by undici."""
    node, npm = need("node", "install Node.js 20"), need("npm", "install npm")
    where = folder() / f"undici-{UNDICI}"
    where.mkdir(exist_ok=True)
    shutil.copy(PROGRAMS / "client.mjs", where)
    if not (where / "node_modules").exists():
        must([npm, "install", "--no-audit", "--no-fund", f"undici@{UNDICI}"], where)
    return [node, "--no-warnings", where / "client.mjs"]


def _proxy(*arguments: str) -> Service:
    return start_fastsocks("proxy", "-b", "127.0.0.1", "-l", "0", *arguments)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost."])
@pytest.mark.parametrize("login", ["", "alice:s%20cret%40@"])
def test_x_net(x_net: Path, host: str, login: str) -> None:
    user = ["--user", "alice:s cret@"] if login else []
    with ServingTarget(echo) as target, _proxy(*user) as proxy:
        url = f"socks5://{login}127.0.0.1:{proxy.address.port}"
        done = run([x_net, url, f"{host}:{target.address.port}", "hello"], x_net.parent)
    assert (done.returncode, done.stdout) == (0, "hello")


def test_x_net_by_ipv6(x_net: Path) -> None:
    with ServingTarget(echo, "::1") as target, _proxy() as proxy:
        url = f"socks5://127.0.0.1:{proxy.address.port}"
        done = run([x_net, url, f"[::1]:{target.address.port}", "hello"], x_net.parent)
    assert (done.returncode, done.stdout) == (0, "hello")


def test_x_net_is_told_why(x_net: Path) -> None:
    with _proxy("--user", "alice:right") as proxy:
        where = f"127.0.0.1:{proxy.address.port}"
        done = run([x_net, f"socks5://alice:wrong@{where}", "127.0.0.1:1", ""], x_net.parent)
        assert "username/password authentication failed" in done.stdout
        done = run([x_net, f"socks5://alice:right@{where}", "127.0.0.1:1", ""], x_net.parent)
        assert "connection refused" in done.stdout


@pytest.mark.parametrize("scheme", ["socks5", "http"])
@pytest.mark.parametrize("login", ["", "alice:secret@"])
def test_undici(undici: list[str | Path], scheme: str, login: str) -> None:
    user = ["--user", "alice:secret"] if login else []
    with ServingTarget(http_page(b"hello")) as target, _proxy(*user) as proxy:
        url = f"{scheme}://{login}127.0.0.1:{proxy.address.port}"
        done = run([*undici, url, f"http://localhost:{target.address.port}/"], folder())
    assert (done.returncode, done.stdout) == (0, "200 hello\n" * 3)


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_undici_is_told_no(undici: list[str | Path], scheme: str) -> None:
    with _proxy("--user", "alice:right") as proxy:
        url = f"{scheme}://alice:wrong@127.0.0.1:{proxy.address.port}"
        done = run([*undici, url, "http://127.0.0.1:1/"], folder())
    assert done.returncode == 1, done.stdout
