"""Fetch a page through a Shadowsocks server, without a local port.

python examples/open_connection.py ss://... example.com 80
"""

import asyncio
import sys

import fastsocks


async def main(url: str, host: str, port: int) -> None:
    reader, writer = await fastsocks.open_connection(url, host, port)
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    async for line in reader:
        print(line.decode(errors="replace"), end="")
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
