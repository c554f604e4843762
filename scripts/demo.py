"""Run a Shadowsocks server and a local proxy on this machine until Ctrl-C.

Both get a key made for this run. A page is served beside them, so that there is
something to fetch through the pair without the Internet.
"""

from __future__ import annotations

import http.server
import signal
import socket
import subprocess
import sys
import threading
import time

HOST = "127.0.0.1"
METHOD = "2022-blake3-aes-128-gcm"
START_DEADLINE = 15.0

FASTSOCKS = [sys.executable, "-m", "fastsocks"]

PAGE = b"This page came through fastsocks: SOCKS5 to local, Shadowsocks to server.\n"


class _Page(http.server.BaseHTTPRequestHandler):
    """Answers every GET with the same page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        """Leave the terminal to fastsocks."""


def free_port(wanted: int) -> int:
    """Return `wanted` where it is free on this machine, else a port that is."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("demo: this machine has no free port")


def start(*arguments: str, port: int) -> subprocess.Popen[bytes]:
    """Start ``fastsocks ARGUMENTS`` and wait until it listens on `port`."""
    process = subprocess.Popen([*FASTSOCKS, *arguments])
    deadline = time.monotonic() + START_DEADLINE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return process
    process.kill()
    raise SystemExit(f"demo: fastsocks {arguments[0]} did not start")


def main() -> int:
    """Run the demonstration and return its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    pages = http.server.ThreadingHTTPServer((HOST, 0), _Page)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    key = subprocess.check_output([*FASTSOCKS, "genkey", METHOD], text=True).strip()
    server_port, local_port = free_port(8388), free_port(1080)
    secret = ("-k", key, "-m", METHOD)
    processes = []
    try:
        at_server = ("-s", HOST, "-p", str(server_port))
        private = "--allow-private"  # the page is on this machine
        processes.append(start("server", *at_server, *secret, private, port=server_port))
        listen = ("-b", HOST, "-l", str(local_port))
        processes.append(start("local", *at_server, *listen, *secret, port=local_port))
        proxy = f"curl --socks5-hostname {HOST}:{local_port}"
        print(
            f"\nA server and a local proxy are running, {METHOD} between them. Try:\n\n"
            f"  {proxy} http://{HOST}:{pages.server_address[1]}/\n"
            f"  {proxy} https://www.debian.org/\n\n"
            f"Or set your browser's SOCKS5 proxy to {HOST}:{local_port}. Ctrl-C ends both.",
            flush=True,
        )
        while all(process.poll() is None for process in processes):
            time.sleep(0.5)
    except KeyboardInterrupt:
        return 0
    else:
        return 1
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
