"""Takes the place of the package test_server in the suite of PySocks, which wants one of 2019.

The suite sets what is answered, and looks at what was asked.
"""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class TestServer:
    """An HTTP server in a thread."""

    def __init__(self, address: str, port: int, engine: str) -> None:
        self._where = address, port
        self.reset()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.request = {"headers": headers, "client_ip": self.client_address[0]}
                time.sleep(outer.response.get("sleep", 0))
                body = outer.response["data"]
                self.wfile.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                )

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(self._where, Handler)
        self._server.daemon_threads = True

    def reset(self) -> None:
        """Forget what was set and asked."""
        self.response: dict[str, Any] = {"data": b""}
        self.request: dict[str, Any] = {}

    def start(self) -> None:
        """Serve."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def get_url(self) -> str:
        """Return the URL of its only page."""
        return "http://{}:{}/".format(*self._where)
