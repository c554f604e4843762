"""Takes the place of tests/proxy_server.py in the suite of python-socks: its proxies are ours."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ssl import SSLContext


@dataclass
class ProxyConfig:
    """What the suite says of a proxy that it wants."""

    proxy_type: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    ssl_context: SSLContext | None = None


class ProxyServer:
    """The proxies of the suite, a process each."""

    def __init__(self, config: Iterable[ProxyConfig]) -> None:
        self._command: list[str] = json.loads(os.environ["FASTSOCKS_PROXY"])
        self._config = list(config)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start them; the suite waits until they listen."""
        for one in self._config:
            user = ["--user", f"{one.username}:{one.password}"] if one.password else []
            where = ["-b", one.host, "-l", str(one.port), "--protocols", one.proxy_type]
            self._processes.append(subprocess.Popen([*self._command, *where, *user]))

    def shutdown(self) -> None:
        """End them."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()
