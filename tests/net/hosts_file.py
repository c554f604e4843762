"""A resolver whose names a test writes into a hosts file."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from fastsocks.net import Resolver
from fastsocks.net.resolver import System

FAMILIES = (socket.AF_INET, socket.AF_INET6)


def resolver_of(
    names: Mapping[str, Iterable[str]],
    loop: asyncio.AbstractEventLoop | None = None,
    first: int = 0,
) -> Resolver:
    """Make one that has these addresses for these names; addresses of one family keep their order.

    Other names are asked of a name server that is not there.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hosts"
        lines = [f"{host} {name}\n" for name, hosts in names.items() for host in hosts]
        path.write_text("".join(lines))
        system = System(hosts=str(path))
        # Read once, before the file is gone.
        system.in_hosts("")
    system._hosts._look_after = float("inf")
    servers = (f"127.0.0.1:{_nobody()}",)
    return Resolver(
        loop or asyncio.get_running_loop(), servers, families=FAMILIES, first=first, system=system
    )


def _nobody() -> int:
    """Return a UDP port at which nobody is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
