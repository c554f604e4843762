"""Lines between the supervisor and a worker, in both directions: one JSON object each.

    {"v": 1, "id": 7, "do": "stats"}        a request; `id` counts up
    {"v": 1, "id": 7}                       its answer, with what it asks for
    {"v": 1, "id": 7, "error": "..."}       or why it was not done
    {"v": 1, "told": "ready"}               what nobody has asked for
    {"v": 1, "id": 8, "do": "reload", "body": 5}    and 5 bytes of any kind behind the line

Neither end ever waits for the other: what cannot be sent at once is kept, within bounds.
"""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any, Final, NamedTuple

VERSION: Final = 1

#: Of a line with its end, in bytes.
MOST_LINE: Final = 64 * 1024
#: Of what follows a line: the options of a configuration, whose file may have 16 MiB.
MOST_BODY: Final = 128 * 1024 * 1024
#: Of lines that wait to be sent, beside one body.
_MOST_WAITING: Final = 1024 * 1024

_READ_SIZE: Final = 256 * 1024


class LinesError(Exception):
    """The other end sends what is no line of ours, or has not read for too long."""


class Message(NamedTuple):
    """One line, and what followed it."""

    fields: dict[str, Any]
    body: bytes = b""


class Lines:
    """One end of a pair.

    :param sock: of a socket pair, this object's from now on.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._sending = bytearray()
        self._received = bytearray()
        # Where the search for the end of a line goes on.
        self._searched = 0
        # The line whose body has not come yet.
        self._line: dict[str, Any] | None = None

    @classmethod
    def pair(cls) -> tuple[Lines, Lines]:
        """Make both ends.

        :raises OSError: no descriptor is left.
        """
        one, other = socket.socketpair()
        return cls(one), cls(other)

    def fileno(self) -> int:
        """Return the descriptor, for those who wait; -1 once it is closed."""
        return self._socket.fileno()

    @property
    def sends(self) -> bool:
        """Whether something waits to be sent, by :meth:`flush`."""
        return bool(self._sending)

    def send(self, body: bytes = b"", **fields: Any) -> None:
        """Send a line, now or by :meth:`flush`; nothing where the other end is gone.

        :raises LinesError: the other end has not read for so long that too much waits.
        :raises ValueError: the line or its body is too long.
        """
        if body:
            fields["body"] = len(body)
        line = json.dumps({"v": VERSION, **fields}, separators=(",", ":")).encode() + b"\n"
        if len(line) > MOST_LINE or len(body) > MOST_BODY:
            raise ValueError(f"a line of {len(line)} bytes with {len(body)} behind it")
        if len(self._sending) > _MOST_WAITING:
            raise LinesError(f"{len(self._sending)} bytes wait to be read")
        self._sending += line
        self._sending += body
        self.flush()

    def flush(self) -> None:
        """Send what can be sent without waiting."""
        try:
            while self._sending:
                del self._sending[: self._socket.send(self._sending)]
        except BlockingIOError:
            pass
        except OSError:
            # It is gone, which the reading end is told, too.
            self._sending.clear()

    def receive(self) -> list[Message]:
        """Read what is there, and return the messages that are complete by now.

        :raises EOFError: the other end is gone, and all it sent was returned before.
        :raises LinesError: it sent something else than lines.
        """
        ended = False
        with contextlib.suppress(BlockingIOError):
            try:
                found = self._socket.recv(_READ_SIZE)
            except ConnectionResetError:  # it left without reading what we sent
                found = b""
            ended = not found
            self._received += found
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        if ended and not messages:
            raise EOFError
        return messages

    def close(self) -> None:
        """Close this end; again does nothing."""
        self._socket.close()
        self._sending.clear()

    def _next(self) -> Message | None:
        if self._line is None:
            end = self._received.find(b"\n", self._searched)
            if max(end, len(self._received) if end < 0 else 0) >= MOST_LINE:
                raise LinesError("a line is too long")
            if end < 0:
                self._searched = len(self._received)
                return None
            self._line = _read(bytes(self._received[:end]))
            del self._received[: end + 1]
            self._searched = 0
        size = self._line.get("body", 0)
        if len(self._received) < size:
            return None
        message = Message(self._line, bytes(self._received[:size]))
        del self._received[:size]
        self._line = None
        return message


def _read(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise LinesError("a line is no JSON") from None
    if not isinstance(found, dict) or found.get("v") != VERSION:
        raise LinesError(f"a line of another version than {VERSION}")
    size = found.get("body", 0)
    if type(size) is not int or not 0 <= size <= MOST_BODY:
        raise LinesError("a body is too long")
    return found
