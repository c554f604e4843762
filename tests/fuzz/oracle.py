"""What targets are made of: inputs taken apart, and what counts as a finding."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from fastsocks.errors import FastsocksError


class DifferenceError(AssertionError):
    """The twins, or two ways to hand in the same bytes, do not agree."""


def agree(found: Iterable[tuple[str, object]]) -> None:
    """Check that outcomes are the same.

    :param found: who came to it, and the outcome.
    :raises DifferenceError: one differs from the first.
    """
    (first_name, first), *others = found
    for name, outcome in others:
        if outcome != first:
            raise DifferenceError(f"{first_name}: {first!r}\n{name}: {outcome!r}")


def outcome(call: Callable[..., Any], *arguments: object) -> object:
    """Return what a call returns, or the type of the error that it is expected to raise.

    Any other exception goes through: it is a finding.
    """
    try:
        return call(*arguments)
    except FastsocksError as error:
        return type(error)


def finish(awaited: Awaitable[Any]) -> Any:
    """Run what only looks asynchronous."""
    steps = awaited.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits, and there is nothing to wait for")


class Input:
    """The bytes of an input, from its front; missing ones are 0."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._data)

    def byte(self) -> int:
        """Take one byte."""
        return (self.take(1) or b"\0")[0]

    def number(self) -> int:
        """Take two bytes, big-endian."""
        return self.byte() << 8 | self.byte()

    def take(self, size: int) -> bytes:
        """Take that many bytes, or what is left."""
        taken = self._data[self._position : self._position + size]
        self._position += size
        return taken

    def rest(self) -> bytes:
        """Take everything."""
        return self.take(len(self._data))


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    """Cut `data` into pieces of `size` bytes; 0 is all at once."""
    size = size or max(len(data), 1)
    for start in range(0, len(data), size):
        yield data[start : start + size]
