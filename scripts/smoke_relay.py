"""Relay through an installed fastsocks, and check what it was built with.

smoke_relay.py [--pure | --static-openssl]

Needs nothing but the package: a server and a target that echoes, both in this process, and one
method of each Shadowsocks generation.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from pathlib import Path

import fastsocks
from fastsocks.config import ServerURL
from fastsocks.crypto import libcrypto_version
from fastsocks.shadowsocks import generate_key

METHODS = ("2022-blake3-aes-128-gcm", "chacha20-ietf-poly1305", "aes-256-gcm", "aes-256-cfb")
PAYLOAD_SIZE = 1_000_000
HOST = "127.0.0.1"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, until it ends."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def exchange(url: str, port: int, payload: bytes) -> bytes:
    """Send `payload` to the target through the server of `url`; return what comes back."""
    reader, writer = await fastsocks.open_connection(url, HOST, port)
    async with asyncio.TaskGroup() as both:
        received = both.create_task(reader.read())
        writer.write(payload)
        await writer.drain()
        writer.write_eof()
    writer.close()
    await writer.wait_closed()
    return received.result()


async def relay(method: str) -> None:
    """Send bytes through local, server and target, and compare what comes back.

    :raises SystemExit: it is not what was sent.
    """
    target = await asyncio.start_server(echo, HOST, 0)
    key = generate_key(method)
    options = fastsocks.ServerOptions(
        addresses=(HOST,), port=0, method=method, password=key, allow_private=True
    )
    payload = os.urandom(PAYLOAD_SIZE)
    async with fastsocks.Server(options) as server:
        host, port = server.addresses[0]
        url = ServerURL(method=method, password=key, host=host, port=port)
        received = await exchange(url.format(), target.sockets[0].getsockname()[1], payload)
    target.close()
    await target.wait_closed()
    if received != payload:
        raise SystemExit(f"{method}: other bytes came back than were sent")
    print(f"{method}: {PAYLOAD_SIZE:,} bytes there and back")


def check_build(*, pure: bool, static_openssl: bool) -> None:
    """Compare the installed package with what it ought to be.

    :raises SystemExit: it is something else.
    """
    expected = "python" if pure else "cython"
    if fastsocks.__impl__ != expected:
        raise SystemExit(f"the {fastsocks.__impl__} implementation runs, not {expected}")
    package = Path(fastsocks.__file__).parent
    if static_openssl:
        if not libcrypto_version().startswith("OpenSSL 3.5."):
            raise SystemExit(f"linked with {libcrypto_version()}, not with OpenSSL 3.5")
        if not list(package.glob("**/LICENSE.openssl.txt")):
            raise SystemExit("the licence of OpenSSL is not in the package")
    subprocess.run([sys.executable, "-m", "fastsocks", "--version"], check=True)


def main() -> None:
    """Check the build, and relay."""
    parser = argparse.ArgumentParser(description="Relay through an installed fastsocks.")
    parser.add_argument("--pure", action="store_true", help="it is to be the pure-Python wheel")
    parser.add_argument("--static-openssl", action="store_true", help="OpenSSL 3.5 is to be in it")
    given = parser.parse_args()
    check_build(pure=given.pure, static_openssl=given.static_openssl)
    for method in METHODS:
        asyncio.run(relay(method))


if __name__ == "__main__":
    main()
