"""TLS inside a tunnel, from the start or later, and what else wants a transport of asyncio's."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import tempfile
import warnings
from typing import Any

import pytest
import trustme

from fastsocks.client.connect import create_connection, open_connection
from fastsocks.errors import BrokenError, FastsocksError
from harness.loops import Run
from tunnel_ends import proxy, server, target

METHOD = "2022-blake3-aes-128-gcm"
BLOB = bytes(range(256)) * 4096


def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("target.test").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return serving, trusting


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)
    writer.close()


def test_tls_inside_the_tunnel(run: Run[None]) -> None:
    serving, trusting = _contexts()

    async def main() -> None:
        async with target(ssl=serving) as port, server(METHOD) as url, proxy() as plain:
            for entrance in (url, plain):
                reader, writer = await open_connection(
                    entrance, "127.0.0.1", port, ssl=trusting, server_hostname="target.test"
                )
                writer.write(BLOB)
                assert await reader.readexactly(len(BLOB)) == BLOB
                writer.close()
                await writer.wait_closed()
                for context in (trusting, True):
                    with pytest.raises(ssl.SSLCertVerificationError):
                        await open_connection(entrance, "127.0.0.1", port, ssl=context)

    run(main())


@pytest.mark.parametrize("by_loop", [False, True])
def test_tls_that_begins_later(run: Run[None], by_loop: bool) -> None:
    serving, trusting = _contexts()

    async def mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 go ahead\r\n")
        await writer.start_tls(serving)
        writer.write(await reader.readline())
        writer.close()

    async def main() -> None:
        async with target(mail) as port, server(METHOD) as url, proxy() as plain:
            for entrance in (url, plain):
                reader, writer = await open_connection(entrance, "127.0.0.1", port)
                writer.write(b"STARTTLS\r\n")
                assert await reader.readline() == b"220 go ahead\r\n"
                if by_loop:
                    loop = asyncio.get_running_loop()
                    transport = await loop.start_tls(
                        writer.transport,
                        writer.transport.get_protocol(),
                        trusting,
                        server_hostname="target.test",
                    )
                    assert transport is not None
                    transport.write(b"secured\r\n")
                else:
                    await writer.start_tls(trusting, server_hostname="target.test")
                    writer.write(b"secured\r\n")
                assert await reader.readline() == b"secured\r\n"
                writer.close()

    run(main())


def test_tls_within_tls(run: Run[None]) -> None:
    serving, trusting = _contexts()

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"again\n")
        await writer.start_tls(serving)
        writer.write(await reader.readline())
        writer.close()

    async def main() -> None:
        async with target(twice, ssl=serving) as port, server(METHOD) as url:
            reader, writer = await open_connection(
                url, "127.0.0.1", port, ssl=trusting, server_hostname="target.test"
            )
            writer.write(b"go\n")
            assert await reader.readline() == b"again\n"
            await writer.start_tls(trusting, server_hostname="target.test")
            writer.write(b"inside\n")
            assert await reader.readline() == b"inside\n"
            writer.close()

    run(main())


def test_a_handshake_of_tls_has_a_time_limit(run: Run[None]) -> None:
    _, trusting = _contexts()

    async def main() -> None:
        async with target(_silent) as port, server(METHOD) as url, proxy() as plain:
            for entrance in (url, plain):
                with pytest.raises(ConnectionAbortedError):
                    await open_connection(
                        entrance, "127.0.0.1", port, ssl=trusting, ssl_handshake_timeout=0.1
                    )

    run(main())


def test_arguments_of_tls_without_tls() -> None:
    async def main(**arguments: Any) -> None:
        with pytest.raises(ValueError, match="for `ssl`"):
            await open_connection("ss://none@127.0.0.1:1", "127.0.0.1", 1, **arguments)

    asyncio.run(main(server_hostname="a.test"))
    asyncio.run(main(ssl=False, ssl_shutdown_timeout=1.0))


def test_a_target_that_speaks_before_tls_does(run: Run[None]) -> None:
    async def banner(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        writer.close()

    _, trusting = _contexts()

    async def main() -> None:
        async with target(banner) as port, server(METHOD) as url, proxy() as plain:
            for entrance in (url, plain):
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await open_connection(entrance, "127.0.0.1", port, ssl=trusting)

    run(main())


@pytest.mark.parametrize("turns", [None, *range(8)])
@pytest.mark.parametrize("kind", ["ss", "socks5"])
def test_a_dial_that_fails_or_is_given_up_warns_of_nothing(
    run: Run[None], kind: str, turns: int | None
) -> None:
    _, trusting = _contexts()

    async def main() -> None:
        upstream = server(METHOD) if kind == "ss" else proxy()
        # It accepts nothing: a transport that asyncio drops once its server has closed is a
        # warning of its own (3.13).
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            async with upstream as url:
                await give_up(url, port)

    async def give_up(url: str, port: int) -> None:
        wrong = f"{url.rpartition(':')[0]}:1"
        opening = asyncio.ensure_future(
            open_connection(wrong if turns is None else url, "127.0.0.1", port, ssl=trusting)
        )
        if turns is not None:
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
        await asyncio.wait([opening])
        assert opening.cancelled() or isinstance(opening.exception(), OSError)
        del opening

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        run(main())
        gc.collect()
    assert [text for text in map(str, seen) if "SSL" in text or "Tunnel" in text] == []


def test_the_factory_is_called_once_connected(run: Run[None]) -> None:
    made: list[asyncio.Protocol] = []

    def make() -> asyncio.Protocol:
        made.append(asyncio.Protocol())
        return made[-1]

    async def main() -> None:
        async with target() as port, server(METHOD) as url, proxy() as plain:
            for entrance in (url, plain):
                wrong = f"{entrance.rpartition(':')[0]}:1"
                with pytest.raises(ConnectionRefusedError):
                    await create_connection(make, wrong, "127.0.0.1", port)
                assert not made
                transport, protocol = await create_connection(make, entrance, "127.0.0.1", port)
                assert made == [protocol]
                assert transport.get_protocol() is protocol
                made.clear()
                transport.abort()

    run(main())


def test_a_factory_that_fails_leaves_no_connection(run: Run[None]) -> None:
    ended: list[bytes] = []

    async def main() -> None:
        over = asyncio.Event()

        async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ended.append(await reader.read(-1))
            writer.close()
            over.set()

        def make() -> asyncio.Protocol:
            raise LookupError("a fault of the program")

        async with target(watch) as port, proxy() as plain:
            with pytest.raises(LookupError):
                await create_connection(make, plain, "127.0.0.1", port)
            await over.wait()

    run(main())
    assert ended == [b""]


def test_a_tunnel_that_breaks_is_a_connection_that_was_aborted(run: Run[None]) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(bytes(100))
        await reader.read(-1)
        writer.close()

    async def main() -> None:
        async with target(nonsense) as port:
            reader, writer = await open_connection(
                f"ss://aes-128-gcm:test@127.0.0.1:{port}", "192.0.2.1", 80
            )
            writer.write(b"hello")
            with pytest.raises(ConnectionAbortedError) as raised:
                await reader.read()
            assert isinstance(raised.value, BrokenError)
            assert isinstance(raised.value.__cause__, FastsocksError)
            assert raised.value.__cause__.status == "tag"

    run(main())


def test_sendfile_reads_and_writes() -> None:
    received = bytearray()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.read(-1))
        writer.close()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with target(collect) as port, server(METHOD) as url:
            reader, writer = await open_connection(url, "127.0.0.1", port)
            with tempfile.TemporaryFile() as file:
                file.write(BLOB)
                file.seek(0)
                assert await loop.sendfile(writer.transport, file) == len(BLOB)
            writer.write(b"behind it")
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    # uvloop has no sendfile() for any transport.
    asyncio.run(main())
    assert received == BLOB + b"behind it"
