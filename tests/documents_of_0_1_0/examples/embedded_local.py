"""Run a SOCKS5 port that leads to a Shadowsocks server, inside a program.

python examples/embedded_local.py SERVER PORT METHOD KEY
"""

import asyncio
import contextlib
import sys

import fastsocks


async def main(server: str, port: int, method: str, key: str) -> None:
    options = fastsocks.LocalOptions(
        port=0, server=server, server_port=port, method=method, password=key
    )
    async with fastsocks.Local(options) as local:
        host, port = local.addresses[0]
        print(f"curl --socks5-hostname {host}:{port} http://example.com/", flush=True)
        # A real program would go on with its own work here.
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))
