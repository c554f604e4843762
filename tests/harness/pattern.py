"""Bytes whose loss, doubling or reordering shows at the offset where it happened."""

from __future__ import annotations

import random
import select
import socket
import threading
from collections.abc import Iterator

# A prime period: no shift by a whole number of records or buffers maps the pattern on itself.
_PERIOD = 1_048_583
_BLOCK = 262_144
_STALLED_SECONDS = 0.5
_ONCE = random.Random(1928).randbytes(_PERIOD)
_PATTERN = _ONCE + _ONCE[:_BLOCK]


def pattern(size: int, start: int = 0) -> bytes:
    """Return `size` bytes of the pattern from offset `start` on."""
    return b"".join(blocks(size, start))


def blocks(size: int, start: int = 0) -> Iterator[bytes]:
    """Yield the same bytes in blocks of at most 256 KiB."""
    end = start + size
    while start < end:
        offset = start % _PERIOD
        length = min(_BLOCK, end - start)
        yield _PATTERN[offset : offset + length]
        start += length


def send_pattern(connection: socket.socket, size: int, start: int = 0) -> None:
    """Send `size` bytes of the pattern and leave the connection open."""
    for block in blocks(size, start):
        connection.sendall(block)


def fill(connection: socket.socket, limit: int) -> int:
    """Send the pattern until no more is taken, because every buffer on the way is full.

    :param limit: what buffers can never hold.
    :return: how many bytes were taken.
    :raises AssertionError: `limit` bytes were taken.
    """
    patience = connection.gettimeout()
    connection.setblocking(False)
    sent = 0
    while select.select([], [connection], [], _STALLED_SECONDS)[1]:
        assert sent < limit, "the sender is never slowed down"
        sent += connection.send(pattern(min(_BLOCK, limit - sent), start=sent))
    connection.settimeout(patience)
    return sent


def read_exactly(connection: socket.socket, size: int) -> bytes:
    """Read `size` bytes, or fewer if the other end finishes its direction before."""
    found = b""
    while len(found) < size and (data := connection.recv(size - len(found))):
        found += data
    return found


def read_to_end(connection: socket.socket) -> bytes:
    """Read up to the end of the stream and return all of it."""
    data = bytearray()
    while more := connection.recv(_BLOCK):
        data += more
    return bytes(data)


class SendingThread:
    """Sends `size` bytes of the pattern from another thread and ends that direction.

    :param finish: False leaves the direction open.
    """

    def __init__(self, connection: socket.socket, size: int, *, finish: bool = True) -> None:
        self._connection = connection
        self._size = size
        self._finish = finish
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        try:
            send_pattern(self._connection, self._size)
            if self._finish:
                self._connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._failure = error

    def join(self) -> None:
        """Wait until all is sent.

        :raises OSError: the connection failed.
        """
        self._thread.join()
        if self._failure is not None:
            raise self._failure


class Verifier:
    """Compares a stream with the pattern as it comes.

    :param start: offset of the stream's first byte in the pattern.
    """

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self.size = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        :raises AssertionError: they are not the pattern's; names the offset.
        """
        expected = pattern(len(data), self.start + self.size)
        if data != expected:
            wrong = next(
                i for i, pair in enumerate(zip(data, expected, strict=True)) if len(set(pair)) == 2
            )
            raise AssertionError(
                f"byte {self.size + wrong} of the stream is {data[wrong]:#04x}, "
                f"not {expected[wrong]:#04x}"
            )
        self.size += len(data)

    def read(self, connection: socket.socket, size: int) -> None:
        """Read exactly `size` bytes.

        :raises AssertionError: the stream ended before, or differs from the pattern.
        """
        end = self.size + size
        while self.size < end:
            data = connection.recv(min(_BLOCK, end - self.size))
            if not data:
                raise AssertionError(f"the stream ended after {self.size} of {end} bytes")
            self.feed(data)

    def read_to_end(self, connection: socket.socket) -> int:
        """Read up to the end of the stream and return how many bytes there were in all."""
        while data := connection.recv(_BLOCK):
            self.feed(data)
        return self.size
