"""The suite of tokio-socks (Rust): CONNECT and BIND by SOCKS5 and SOCKS4."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness.services import start_fastsocks

from .packages import folder, must, need, run

VERSION = "0.5.3"

SOCKS5 = ("/tmp/proxy.s", 41080)  # noqa: S108
SOCKS4 = ("/tmp/socks4_proxy.s", 41081)  # noqa: S108

#: By the file of tests, what its proxy is told; the suite has all in constants.
_SUITES = {
    "no_auth": (SOCKS5, []),
    "username_auth": (SOCKS5, ["--user", "mylogin:mypassword"]),
    "long_username_password_auth": (SOCKS5, None),
    "socks4_no_auth": (SOCKS4, ["--protocols", "socks4"]),
    # A user ID is no password: it is neither asked for nor looked at.
    "socks4_userid": (SOCKS4, ["--protocols", "socks4"]),
}

#: It looks for a proxy in a private network.
_BEYOND_THIS_HOST = "connect_no_auth_falls_back_to_next_proxy_addr"


@pytest.mark.outside
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("suite", _SUITES)
def test_tokio_socks(suite: str) -> None:
    cargo = need("cargo", "install Rust")
    source = _source(cargo)
    (path, port), arguments = _SUITES[suite]
    if arguments is None:
        arguments = ["--user", _long_login(source)]
    with ExitStack() as stack:
        where = ["-b", "127.0.0.1", "-l", str(port)]
        stack.enter_context(start_fastsocks("proxy", *where, *arguments))
        stack.enter_context(_at_unix_socket(path, port))
        done = run(
            [cargo, "test", "--quiet", "--test", suite, "--features", "tokio,futures-io", "--",
             "--test-threads", "1", "--skip", _BEYOND_THIS_HOST],
            source,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout
    found = re.search(r"test result: ok\. (\d+) passed", done.stdout)
    assert found is not None, done.stdout
    assert int(found[1]) > 0, done.stdout


def _source(cargo: str) -> Path:
    """Return the crate's source with its tests, which cargo leaves in what it vendors."""
    where = folder() / f"tokio-socks-{VERSION}"
    source = where / "tokio-socks"
    if not source.exists():
        shutil.rmtree(where, ignore_errors=True)
        (where / "src").mkdir(parents=True)
        (where / "src" / "lib.rs").touch()
        (where / "Cargo.toml").write_text(
            '[package]\nname = "source"\nversion = "0.0.0"\n'
            f'[dependencies]\ntokio-socks = "={VERSION}"\n'
        )
        must([cargo, "vendor", "--quiet"], where)
        # Apart from the folder above, which is a package of its own.
        shutil.move(where / "vendor" / "tokio-socks", source)
        with (source / "Cargo.toml").open("a") as manifest:
            manifest.write("\n[workspace]\n")
    return source


def _long_login(source: Path) -> str:
    text = (source / "tests" / "long_username_password_auth.rs").read_text()
    name, password = re.search(r'"(\w{100,})",\s*"(\w{100,})"', text).groups()  # type: ignore[union-attr]
    return f"{name}:{password}"


@contextmanager
def _at_unix_socket(path: str, port: int) -> Iterator[None]:
    """Lead connections at a UNIX socket to a port."""
    Path(path).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
    Path(path).unlink(missing_ok=True)


def _accept(listener: socket.socket, port: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_join, args=(client, port), daemon=True).start()


def _join(client: socket.socket, port: int) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as proxy:
        back = threading.Thread(target=_pump, args=(proxy, client), daemon=True)
        back.start()
        _pump(client, proxy)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
