"""Handshakes as plays: what goes in, what must come out.

A play is a list of lines. For both machines ``>>`` hands bytes in and ``<<`` is everything
that must then be on its way to the peer. Bytes are hex, text stands in quotes. The other
lines are the events ``request``, ``reply`` and ``error``, and what the caller does:
``connected`` and ``failed`` for a server, ``end`` for a client.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from fastsocks.accounts.authenticator import Authenticator
from fastsocks.address import Address
from fastsocks.errors import DialError, FastsocksError, ProtocolError
from fastsocks.request import Request
from fastsocks.socks import FirstByteServer, Reply, SocksClient, SocksServer, messages
from fastsocks.socks.http import HttpServer
from fastsocks.socks.socks4 import Socks4Server

Server: TypeAlias = SocksServer | Socks4Server | HttpServer | FirstByteServer

#: What reads single messages.
READERS = tuple(name for name in messages.__all__ if name.startswith("read_"))

_TOKEN = re.compile(r"'([^']*)'|([0-9a-fA-F]{2})|\s+")


def parse_bytes(text: str) -> bytes:
    """Turn ``05 01 'text'`` into bytes."""
    result = b""
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"neither hex nor quoted: {text[position:]!r}")
        if token[1] is not None:
            result += token[1].encode()
        elif token[2] is not None:
            result += bytes.fromhex(token[2])
        position = token.end()
    return result


def parse_play(play: str) -> Iterator[tuple[str, str]]:
    """Yield the lines of `play`: the first word and the rest."""
    for line in filter(str.strip, play.splitlines()):
        verb, _, rest = line.strip().partition(" ")
        yield verb, rest.strip()


def input_of(play: str) -> bytes:
    """Return all bytes that `play` hands in."""
    return b"".join(parse_bytes(rest) for verb, rest in parse_play(play) if verb == ">>")


def describe(event: Request | Reply | FastsocksError) -> str:
    """Write `event` as it stands in a play."""
    if isinstance(event, FastsocksError):
        return f"error {type(event).__name__} {event.reply:02x}"
    if isinstance(event, Reply):
        text = f"reply {event.bound}"
    else:
        text = f"request {event.command:02x} {event.address}"
        if event.user is not None:
            text += f" as {event.user}"
    if event.early_data:
        text += f" with {event.early_data!r}"
    return text


def receive(machine: Server | SocksClient, data: bytes | memoryview) -> Any:
    """Hand in data, and await what the machine then waits for, which is there at once."""
    event: Any = machine.receive(data)
    while event is None and (pending := machine.pending) is not None:
        waiting = pending.__await__()
        try:
            next(waiting)
        except StopIteration as stop:
            event = stop.value
        else:
            raise AssertionError("it waits for something that is not there")
    return event


def perform(machine: Server | SocksClient, play: str) -> None:
    """Run `machine` through `play`, line by line."""
    event: Request | Reply | FastsocksError | None = None
    outgoing: bytes | None = None
    for verb, rest in parse_play(play):
        if verb == "<<":
            sent = machine.take_outgoing() if outgoing is None else outgoing
            assert sent.hex(" ") == parse_bytes(rest).hex(" ")
            outgoing = None
            continue
        assert not outgoing, f"{outgoing!r} was sent unasked before {verb} {rest}"
        if verb in ("request", "reply", "error"):
            assert event is not None, f"no {verb} {rest}"
            assert describe(event) == f"{verb} {rest}"
            if isinstance(event, ProtocolError) and not isinstance(machine, SocksClient):
                outgoing = machine.failed(event)
            event = None
            continue
        assert event is None, f"unexpected {event!r}"
        if verb == ">>":
            try:
                event = receive(machine, parse_bytes(rest))
            except ProtocolError as error:
                event = error
        elif verb == "connected" and not isinstance(machine, SocksClient):
            host, _, port = rest.rpartition(":")
            outgoing = machine.connected(Address.of(host, int(port)) if rest else None)
        elif verb == "failed" and not isinstance(machine, SocksClient):
            cause = DialError("no")
            cause.reply = int(rest, 16)
            outgoing = machine.failed(cause)
        elif verb == "end" and isinstance(machine, SocksClient):
            try:
                machine.end_of_stream()
            except ProtocolError as error:
                event = error
        else:
            raise ValueError(f"cannot {verb}")
    assert event is None, f"unexpected {event!r}"
    assert not outgoing
    assert not machine.take_outgoing()


def checker(accounts: Mapping[bytes, bytes] | None) -> Callable[[bytes, bytes], Any] | None:
    """Make what a server checks logins by."""
    if accounts is None:
        return None
    authenticator = Authenticator(accounts)
    return lambda username, password: authenticator.check(username, password, ("192.0.2.1", 1))


class Outcome(NamedTuple):
    """What a handshake comes to, however its bytes were cut."""

    outgoing: bytes
    event: str | None


def feed(machine: Server | SocksClient, chunks: Iterable[bytes | memoryview]) -> Outcome:
    """Hand `chunks` to `machine`; what follows its request or reply counts as early data."""
    outgoing = machine.take_outgoing()
    event: Request | Reply | None = None
    for chunk in chunks:
        if event is not None:
            event = event._replace(early_data=event.early_data + chunk)
            continue
        try:
            event = receive(machine, chunk)
        except ProtocolError as error:
            outgoing += machine.take_outgoing()
            if not isinstance(machine, SocksClient):
                outgoing += machine.failed(error)
            return Outcome(outgoing, describe(error))
        outgoing += machine.take_outgoing()
    if event is None:
        return Outcome(outgoing, None)
    if not isinstance(machine, SocksClient):
        outgoing += machine.connected(None)
    return Outcome(outgoing, describe(event))


def cut(data: bytes, *points: int) -> list[bytes]:
    """Cut `data` at offsets in ascending order; pieces of no bytes are left out."""
    edges = [0, *points, len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    return [piece for piece in pieces if piece]
