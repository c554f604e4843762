"""The logins of a service: a file that changes, threads, and a hook, on both twins of set-up."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from fastsocks import Proxy, ProxyOptions
from fastsocks.accounts.logins import Logins
from fastsocks.errors import ConfigError
from setup_ends import SetupTwin, Target, import_setup

PEER = ("192.0.2.1", 40000)


def line(user: str, password: str) -> str:
    """Return a line of a file of accounts, by hashlib alone, at little cost."""
    salt = os.urandom(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=16, r=1, p=1, dklen=32)
    parts = [base64.b64encode(part).decode().rstrip("=") for part in (salt, key)]
    return f"{user}:$scrypt$ln=4,r=1,p=1${parts[0]}${parts[1]}\n"


class Clock:
    """A clock that the test turns on."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def check(logins: Logins, user: str, password: str) -> str | None:
    verdict = logins.check(PEER, user.encode(), password.encode())
    return verdict if verdict is None or isinstance(verdict, str) else await verdict


def write(path: Path, *lines: str) -> None:
    """Replace a file, as `fastsocks passwd` does."""
    new = path.with_suffix(".new")
    new.write_text("".join(lines))
    new.chmod(0o600)
    new.replace(path)


def test_a_file_is_followed(run: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fastsocks")
    path = tmp_path / "accounts"

    async def scenario() -> None:
        clock = Clock()
        write(path, line("alice", "one"))
        options = ProxyOptions(accounts={"plain": "text"}, accounts_file=str(path))
        logins = Logins(options, clock=clock)
        assert logins.names == ("plain", "alice")
        assert await check(logins, "alice", "one") == "alice"
        assert await check(logins, "plain", "text") == "plain"
        write(path, line("alice", "two"), line("bob", "three"))
        # It is not looked at for each login.
        assert await check(logins, "alice", "one") == "alice"
        clock.now += 1.5
        assert await check(logins, "alice", "one") is None
        assert await check(logins, "alice", "two") == "alice"
        assert await check(logins, "bob", "three") == "bob"
        assert "read again, 2 accounts" in caplog.text
        for wrong in ("alice:secret-word\n", None):
            if wrong is None:
                path.unlink()
            else:
                write(path, wrong)
            clock.now += 1.5
            assert await check(logins, "alice", "two") == "alice"
            assert "the accounts from before stay" in caplog.text
            assert "secret-word" not in caplog.text
            caplog.clear()
        write(path)
        clock.now += 1.5
        assert await check(logins, "alice", "two") is None
        logins.close()
        logins.close()

    run(scenario())


def test_hashes_are_made_in_other_threads(run: Any) -> None:
    async def scenario() -> None:
        logins = Logins(ProxyOptions(accounts={"plain": "text"}))
        loops_own = threading.get_ident()
        assert await logins._run(lambda: threading.get_ident() != loops_own)
        logins.close()

    run(scenario())


def test_a_file_that_is_wrong_from_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Proxy(ProxyOptions(accounts_file=str(tmp_path / "missing")))


def test_a_file_that_others_can_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "accounts"
    write(path, line("alice", "one"))
    path.chmod(0o644)
    Logins(ProxyOptions(accounts_file=str(path)))
    assert f"chmod 600 {path}" in caplog.text


@pytest.fixture
def twin(implementation: str, monkeypatch: pytest.MonkeyPatch) -> SetupTwin:
    """Connection set-up of each implementation in turn, also in services."""
    twin = import_setup(implementation)
    monkeypatch.setattr("fastsocks.service.running.Acceptor", twin.setup.Acceptor)
    return twin


async def log_in(proxy: Proxy, user: bytes, password: bytes, target: Target) -> bytes:
    """Send a whole handshake at once, and return all that comes back until the target ends it."""
    reader, writer = await asyncio.open_connection(*proxy.addresses[0])
    login = bytes((1, len(user))) + user + bytes((len(password),)) + password
    host, port = target.address.host, target.address.port
    request = b"\x05\x01\x00\x01" + bytes(map(int, host.split("."))) + port.to_bytes(2)
    writer.write(b"\x05\x02\x00\x02" + login + request + b"early")
    answer = await reader.read(4)
    if answer == b"\x05\x02":
        answer += await reader.read(2)
    if answer == b"\x05\x02\x01\x00":
        with await target.accept() as accepted:
            assert await accepted.read(5) == b"early"
            accepted.finish()
        answer += await reader.read()
    else:
        answer += await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def test_hashes_in_a_proxy(run: Any, twin: SetupTwin, tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    write(path, line("alice", "one"))

    async def scenario() -> None:
        with Target() as target:
            async with Proxy(ProxyOptions(port=0, accounts_file=str(path))) as proxy:
                for _ in range(2):
                    answer = await log_in(proxy, b"alice", b"one", target)
                    assert answer[:8] == bytes.fromhex("0502 0100 05000001")
                assert await log_in(proxy, b"alice", b"two", target) == b"\x05\x02\x01\x01"
                assert await log_in(proxy, b"bob", b"one", target) == b"\x05\x02\x01\x01"
                assert proxy.users is not None
                await proxy._started().wait_idle()
                assert proxy.users["alice"].relays == 2
                assert proxy.stats().failures["authentication"] == 2

    run(scenario())


def test_a_hook_in_a_proxy(run: Any, twin: SetupTwin, caplog: pytest.LogCaptureFixture) -> None:
    async def authenticate(username: str, password: str, peer: tuple[Any, ...]) -> bool | str:
        await asyncio.sleep(0.01)
        assert peer[0] == "127.0.0.1"
        if password == "bug":
            raise KeyError(password)
        return "Alice" if (username, password) == ("alice", "one") else False

    async def scenario() -> None:
        with Target() as target:
            options = ProxyOptions(port=0, authenticate=authenticate)
            assert "authenticate" not in repr(options)
            async with Proxy(options) as proxy:
                answer = await log_in(proxy, b"alice", b"one", target)
                assert answer[:8] == bytes.fromhex("0502 0100 05000001")
                assert await log_in(proxy, b"alice", b"two", target) == b"\x05\x02\x01\x01"
                assert await log_in(proxy, b"alice", b"bug", target) == b"\x05\x02\x01\x01"
                assert proxy.users is not None
                assert list(proxy.users) == ["Alice"]
                for number in range(12):
                    wrong = b"wrong %d" % number
                    assert await log_in(proxy, b"alice", wrong, target) == b"\x05\x02\x01\x01"
                # It was right from here before.
                answer = await log_in(proxy, b"alice", b"one", target)
                assert answer[:8] == bytes.fromhex("0502 0100 05000001")

    run(scenario())
    assert caplog.text.count("10 different logins were wrong") == 1
    assert caplog.text.count("authenticate raised KeyError") == 1
    assert "somebody may be guessing" in caplog.text


def test_a_hook_that_takes_too_long(run: Any, twin: SetupTwin) -> None:
    cancelled: list[str] = []

    async def authenticate(username: str, password: str, peer: tuple[Any, ...]) -> bool:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(username)
            raise
        return True

    async def scenario() -> None:
        with Target() as target:
            options = ProxyOptions(port=0, authenticate=authenticate, timeout=0.3)
            async with Proxy(options) as proxy:
                assert await log_in(proxy, b"alice", b"one", target) == b"\x05\x02"
                assert cancelled == ["alice"]
                assert proxy.stats().failures["handshake-timeout"] == 1

    run(scenario())


async def say(proxy: Proxy, data: bytes, size: int) -> bytes:
    """Send some bytes, and return the first `size` of what comes back."""
    reader, writer = await asyncio.open_connection(*proxy.addresses[0])
    writer.write(data)
    answer = await reader.readexactly(size)
    writer.close()
    await writer.wait_closed()
    return answer


def test_a_burst_of_logins(run: Any, twin: SetupTwin, tmp_path: Path) -> None:
    """More than wait for threads at once, right after the start; all are right."""
    path = tmp_path / "accounts"
    users = [f"user{number}" for number in range(200)]
    write(path, *(line(user, "right") for user in users))

    async def scenario() -> None:
        async with Proxy(ProxyOptions(port=0, accounts_file=str(path))) as proxy:

            async def one(user: str) -> bytes:
                login = bytes((1, len(user))) + user.encode() + b"\5right"
                return await say(proxy, b"\5\1\2" + login, 4)

            answers = await asyncio.gather(*map(one, users))
            assert answers == [b"\5\2\1\0"] * len(users)
            assert proxy.stats().failures.get("authentication", 0) == 0

    run(scenario())


def test_logins_that_cannot_be_checked_in_time(
    run: Any,
    twin: SetupTwin,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They get a general failure, as in HTTP a status 503, and the log says so."""
    path = tmp_path / "accounts"
    write(path, line("alice", "one"))

    async def scenario() -> None:
        options = ProxyOptions(port=0, accounts_file=str(path), timeout=1.5)
        async with Proxy(options) as proxy:
            service: Any = proxy._service
            # All threads are taken, for ever.
            monkeypatch.setattr(service.logins._authenticator._queue, "_places", 0)
            login = b"\5\1\2\1\5alice\3one\5\1\0\1\x7f\0\0\1\0\x50"
            assert (await say(proxy, login, 6)).hex() == "050201000501"
            pair = base64.b64encode(b"alice:one")
            head = (
                b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n"
                b"Proxy-Authorization: Basic " + pair + b"\r\n\r\n"
            )
            assert await say(proxy, head, 13) == b"HTTP/1.1 503 "
            await proxy._started().wait_idle()
            assert proxy.stats().failures["busy"] == 2
            assert proxy.stats().failures.get("authentication", 0) == 0

    run(scenario())
    assert "a login waited too long to be checked (busy)" in caplog.text
