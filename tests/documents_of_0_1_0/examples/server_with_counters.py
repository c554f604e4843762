"""Run a Shadowsocks server inside a program, and look at its counters while it runs.

python examples/server_with_counters.py PORT KEY
"""

import asyncio
import contextlib
import sys

import fastsocks


async def main(port: int, key: str) -> None:
    options = fastsocks.ServerOptions(
        addresses=("127.0.0.1",), port=port, method="2022-blake3-aes-128-gcm", password=key
    )
    async with fastsocks.Server(options) as server:
        print(f"listening on {server.addresses}", flush=True)
        while True:
            await asyncio.sleep(1)
            relayed = server.acceptor.relayed
            print(
                f"{server.acceptor.active} active, {relayed.bytes_up} bytes up, "
                f"{relayed.bytes_down} bytes down",
                flush=True,
            )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
