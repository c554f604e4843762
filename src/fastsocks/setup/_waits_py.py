"""What a connection waits for at its client's socket, and how it lets go of one: pure Python.

Part of ``_connection_py.py``; its twin is told by its poller.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING

from fastsocks.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastsocks.address import Address

    from ._resets_py import Resets
    from .roles import PeerListener

#: In bytes.
READ_SIZE = 64 * 1024

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@contextlib.contextmanager
def attended(resets: Resets, client: socket.socket) -> Iterator[None]:
    """Break off what is awaited in the block if the client, which is not read, does so.

    :raises OSError: it did. The end of its stream is not that: it may go on reading.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("set-up runs in a task")
    lost: list[OSError] = []

    def broken(error: OSError | None) -> None:
        if error is not None:
            lost.append(error)
            task.cancel()

    before = task.cancelling()
    resets.watch(client, broken)
    try:
        yield
    except asyncio.CancelledError:
        if lost and task.uncancel() <= before:
            raise lost[0] from None
        raise
    finally:
        resets.unwatch(client)


async def peer_of(
    resets: Resets,
    client: socket.socket,
    listener: PeerListener,
    ahead: bytearray,
    payload_of: Callable[[bytes], bytes],
) -> tuple[socket.socket, Address] | None:
    """Wait for the peer of a BIND while the client is there; None if it left.

    :param ahead: takes what the client has for its peer.
    :param payload_of: returns the payload in what the client sent.
    """
    loop = asyncio.get_running_loop()
    accepting = loop.create_task(listener.accept())
    lost: list[OSError | ProtocolError | None] = []

    def left(error: OSError | None) -> None:
        lost.append(error)
        accepting.cancel()

    def read_ahead() -> None:
        try:
            data = client.recv(READ_SIZE - len(ahead))
            ahead.extend(payload_of(data))
        except BlockingIOError:
            return
        except (OSError, ProtocolError) as error:
            lost.append(error)
        else:
            if data and len(ahead) < READ_SIZE:
                return
            if not data:
                lost.append(None)
        loop.remove_reader(client)
        if lost:
            accepting.cancel()
        else:
            resets.watch(client, left, ends=True)

    with contextlib.suppress(NotImplementedError):  # the proactor loop of Windows
        loop.add_reader(client, read_ahead)
    try:
        return await accepting
    except asyncio.CancelledError:
        if not lost:
            raise
        if lost[0] is not None:
            raise lost[0] from None
        return None
    finally:
        with contextlib.suppress(NotImplementedError):
            loop.remove_reader(client)
        resets.unwatch(client)


async def receive_within(client: socket.socket, seconds: float) -> bytes | None:
    """Return what the client sends first; None if nothing comes within `seconds`.

    Only readability is waited for: a cancelled ``sock_recv`` may have taken data along.
    """
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    try:
        loop.add_reader(client, _resolve, readable)
    except NotImplementedError:  # the proactor loop of Windows
        await asyncio.sleep(seconds)
    else:
        try:
            await asyncio.wait((readable,), timeout=seconds)
        finally:
            loop.remove_reader(client)
    try:
        return client.recv(READ_SIZE)
    except BlockingIOError:
        return None


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def close_with_reset(sock: socket.socket) -> None:
    """Close a socket with a reset."""
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()


def hang_up(sock: socket.socket) -> None:
    """Let who reads from a socket find its end."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
