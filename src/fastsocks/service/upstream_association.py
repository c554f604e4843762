"""UDP associations that go through a SOCKS5 server, which keeps them as long as their TCP lasts."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .datagrams import SocksAssociation


class UpstreamAssociation:
    """An association of our client, and the one at the server that it needs.

    :param control: the TCP connection that the server's is bound to; this object's from now on.
    """

    def __init__(self, association: SocksAssociation, control: socket.socket) -> None:
        self.bound = association.bound
        #: Called once if either of both ends by itself.
        self.ended: Callable[[], None] | None = None
        self._association = association
        self._control = control
        self._watching = asyncio.get_running_loop().create_task(self._watch())
        # Also if it is cancelled before it has begun.
        self._watching.add_done_callback(lambda _: control.close())
        association.ended = self._over

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while await loop.sock_recv(self._control, 512):
                continue
        self._association.close()
        self._over()

    def _over(self) -> None:
        self._watching.cancel()
        ended, self.ended = self.ended, None
        if ended is not None:
            ended()

    def close(self) -> None:
        """End both; again does nothing."""
        self.ended = None
        self._watching.cancel()
        self._association.close()
