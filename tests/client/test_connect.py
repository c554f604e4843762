"""Connections through a server, from inside a program."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from fastsocks.client.connect import create_connection, open_connection
from fastsocks.errors import (
    AuthenticationError,
    ConfigError,
    DialError,
    FastsocksError,
    ReplyError,
)
from fastsocks.setup.limits import PAYLOAD_WAIT
from harness.loops import Run
from harness.targets import reset
from tunnel_ends import proxy, server, target

METHODS = ["2022-blake3-aes-128-gcm", "aes-256-gcm", "aes-256-cfb", "none"]
BLOB = bytes(range(256)) * 4096


async def _exchange(url: str, port: int, host: str = "127.0.0.1") -> None:
    reader, writer = await open_connection(url, host, port)

    async def send() -> None:
        writer.write(BLOB)
        await writer.drain()
        writer.write_eof()

    sending = asyncio.ensure_future(send())
    assert await reader.read(-1) == BLOB
    await sending
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("method", METHODS)
def test_an_echo_through_a_shadowsocks_server(run: Run[None], method: str) -> None:
    async def main() -> None:
        async with target() as port, server(method) as url:
            await _exchange(url, port)

    run(main())


@pytest.mark.parametrize("accounts", [{}, {"alice": "s%20cret"}])
def test_an_echo_through_a_socks_server(run: Run[None], accounts: dict[str, str]) -> None:
    async def main() -> None:
        decoded = {name: password.replace("%20", " ") for name, password in accounts.items()}
        async with target() as port, proxy(**decoded) as url:
            await _exchange(url.replace(" ", "%20"), port, "localhost")

    run(main())


def test_a_target_that_speaks_first(run: Run[None]) -> None:
    async def banner(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        writer.close()

    async def main() -> None:
        async with target(banner) as port, server(METHODS[0]) as url, proxy() as plain:
            for entrance in (url, plain):
                reader, writer = await open_connection(entrance, "127.0.0.1", port)
                assert await reader.read() == b"220 ready\r\n"
                writer.close()

    run(main())


def test_the_protocol_form_and_its_transport(run: Run[None]) -> None:
    class Collector(asyncio.Protocol):
        def __init__(self) -> None:
            self.received = bytearray()
            self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def data_received(self, data: bytes) -> None:
            self.received += data

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(None)

    async def main() -> None:
        async with target() as port, server(METHODS[0]) as url:
            transport, protocol = await create_connection(Collector, url, "127.0.0.1", port)
            assert transport.get_protocol() is protocol
            assert transport.get_extra_info("peername")[0] == "127.0.0.1"
            transport.writelines([b"one ", b"two"])
            transport.write_eof()
            await protocol.lost
            assert protocol.received == b"one two"
            assert transport.is_closing()

    run(main())


def test_a_buffered_protocol_receives_into_its_own_buffer(run: Run[None]) -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(7)
            self.received = b""
            self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.received += self.buffer[:nbytes]

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(None)

    async def main() -> None:
        async with target() as port, server(METHODS[0]) as url:
            transport, protocol = await create_connection(Buffered, url, "127.0.0.1", port)
            transport.write(b"a text longer than the buffer")
            transport.write_eof()
            await protocol.lost
            assert protocol.received == b"a text longer than the buffer"

    run(main())


def test_a_wrong_key_never_looks_like_a_clean_end(run: Run[None]) -> None:
    async def main() -> None:
        async with target() as port, server("aes-256-gcm") as url:
            wrong = url.replace("aes-256-gcm:", "aes-256-gcm:not-", 1)
            reader, writer = await open_connection(wrong, "127.0.0.1", port)
            writer.write(b"hello")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await reader.read()
            writer.transport.abort()

    run(main())


def test_refusals_are_typed(run: Run[None]) -> None:
    async def main() -> None:
        async with target() as free:
            pass
        async with proxy(alice="right") as url:
            with pytest.raises(ReplyError) as refused:
                await open_connection(url, "127.0.0.1", free)
            assert refused.value.reply == 0x05
            with pytest.raises(AuthenticationError):
                await open_connection(url.replace("right", "wrong"), "127.0.0.1", free)
        with pytest.raises(DialError):
            await open_connection(f"socks5://127.0.0.1:{free}", "127.0.0.1", 80)

    run(main())


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_a_server_that_breaks_off_is_typed(run: Run[None], scheme: str) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset(writer.get_extra_info("socket").dup())
        writer.transport.abort()

    async def main() -> None:
        async with target(break_off) as port:
            with pytest.raises(FastsocksError):
                await open_connection(f"{scheme}://127.0.0.1:{port}", "127.0.0.1", 80)

    run(main())


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("kind", ["ss", "socks5"])
def test_a_call_that_is_given_up_leaves_nothing_behind(
    run: Run[None], kind: str, turns: int
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        unhandled: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, what: unhandled.append(what))
        upstream = server("aes-256-gcm") if kind == "ss" else proxy()
        async with target() as port, upstream as url:
            opening = asyncio.ensure_future(open_connection(url, "127.0.0.1", port))
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait([opening])
            del opening
            # Behind the timer that would send the request by itself.
            due = asyncio.Event()
            loop.call_later(2 * PAYLOAD_WAIT, due.set)
            await due.wait()
            gc.collect()
        assert unhandled == []

    run(main())


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://127.0.0.1:8080", "write ss://"),
        (b"ss://CANARY", "it has to be a text, not bytes"),
        (None, "it has to be a text, not NoneType"),
        ("socks5://user:CANARY@", "host is missing"),
        ("socks5://user:CANARY@host:port", "socks5://"),
        ("socks5://user:CANARY@host:0", "port 0"),
        ("http://us%3Aer:CANARY@host:8080", "RFC 7617"),
        ("ss://YWVzLTEyOC1nY206dGVzdA@h:1?plugin=obfs-local", "plugin"),
    ],
)
def test_urls_that_cannot_be_used(run: Run[None], url: Any, text: str) -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match=text) as raised:
            await open_connection(url, "127.0.0.1", 80)
        assert "CANARY" not in str(raised.value)

    run(main())
