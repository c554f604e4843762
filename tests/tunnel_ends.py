"""Targets, and services that lead there, for connections from inside a program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastsocks.config import ProxyOptions, ServerOptions
from fastsocks.service import Proxy, Server
from fastsocks.shadowsocks import generate_key


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


@asynccontextmanager
async def target(handler: Any = echo, **options: Any) -> AsyncIterator[int]:
    serving = await asyncio.start_server(handler, "127.0.0.1", 0, **options)
    async with serving:
        yield serving.sockets[0].getsockname()[1]


@asynccontextmanager
async def server(method: str) -> AsyncIterator[str]:
    key = generate_key(method)
    options = ServerOptions(
        addresses=("127.0.0.1",), port=0, method=method, password=key, allow_private=True
    )
    async with Server(options) as running:
        port = running.addresses[0][1]
        yield f"ss://{method}:{key.replace('+', '%2B').replace('/', '%2F')}@127.0.0.1:{port}"


@asynccontextmanager
async def proxy(**accounts: str) -> AsyncIterator[str]:
    async with Proxy(ProxyOptions(port=0, accounts=accounts)) as running:
        login = "".join(f"{name}:{password}@" for name, password in accounts.items())
        yield f"socks5://{login}127.0.0.1:{running.addresses[0][1]}"
