"""The TCP relay: an input says what both ends do, and each has to see what the other did.

It takes real sockets to be a relay, so when bytes arrive is the kernel's matter; which do is not.
Either place has codecs of every kind: none, Shadowsocks, one of Python, and towards the target
Shadowsocks within Shadowsocks.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any, NamedTuple

import uvloop

from fastsocks.address import Address
from harness.pattern import Verifier
from relay_ends import PLAIN, CodecPair, End, Relayed, Twin, codec_pair, import_relay
from shadowsocks_ends import AUTHENTICATED, new_client, new_server
from twins import import_twin

from ..oracle import DifferenceError, Input

#: Seconds after which what has not come does not come.
_PATIENCE = 8
_MOST_STEPS = 24
_SMALL_BUFFER = 8192
_NEXT = Address.of("192.0.2.2", 8388)
_TARGET = Address.of("192.0.2.1", 80)
_METHODS = ("2022-blake3-aes-128-gcm", "chacha20-ietf-poly1305", "aes-256-cfb", "none")
_FLIPPED = bytes(range(255, -1, -1))
#: More than any codec waits for before it looks at a tag.
_GARBAGE = bytes(range(1, 251)) * 400


def relay(data: bytes) -> None:
    """Steps of a client and of a target, with the engines of both twins."""
    for implementation, bare in (("cython", True), ("cython", False), ("python", False)):
        twin = import_relay(implementation, bare=bare)
        loop, engine = _engine(twin.engine)
        loop.run_until_complete(asyncio.wait_for(_play(twin, engine, Input(data)), _PATIENCE))


@cache
def _engine(engine: Any) -> tuple[asyncio.AbstractEventLoop, Any]:
    loop = uvloop.new_event_loop()

    async def make() -> Any:
        return engine(loop)

    return loop, loop.run_until_complete(make())


class _Step(NamedTuple):
    """What an end does next."""

    turns: int
    kind: int
    size: int


async def _play(twin: Twin, engine: Any, chosen: Input) -> None:
    inbound, outbound, options = (chosen.byte() for _ in range(3))
    steps: tuple[list[_Step], list[_Step]] = ([], [])
    for _ in range(_MOST_STEPS):
        if not chosen:
            break
        what = chosen.byte()
        steps[what & 1].append(_Step(what >> 6, what >> 1 & 7, chosen.number()))
    near, near_has_tags = _codecs(twin, inbound % (len(_METHODS) + 2))
    far, far_has_tags = _codecs(twin, outbound)
    buffer = _SMALL_BUFFER if options & 1 else None
    async with Relayed(engine, near, CodecPair(far.client, far.server), buffer=buffer) as relayed:
        client = _Party(relayed.client, has_tags=near_has_tags)
        target = _Party(relayed.target, has_tags=far_has_tags)
        await asyncio.gather(
            client.act(steps[0]), target.act(steps[1]), client.see(target), target.see(client)
        )
        error = await relayed.error()
    broken = client.broken or target.broken
    if broken != (error is not None):
        raise DifferenceError(f"a relay that is over by {error!r}")
    if engine.counters.active:
        raise DifferenceError("a relay that is over is counted")


class _Party:
    """One far end: does its steps, and reads at the same time."""

    def __init__(self, end: End, *, has_tags: bool) -> None:
        self._end = end
        self._has_tags = has_tags
        self._seeing: asyncio.Task[Any] | None = None
        self._sent = 0
        self._finished = False
        self._told = False
        #: Whether it has reset its connection, or sent what nobody can open.
        self.broken = False

    async def act(self, steps: list[_Step]) -> None:
        try:
            for turns, kind, size in steps:
                for _ in range(turns):
                    await asyncio.sleep(0)
                if kind == 0 and self._has_tags:
                    self.broken = True
                    loop = asyncio.get_running_loop()
                    return await loop.sock_sendall(self._end.socket, _GARBAGE)
                if kind == 1:
                    return self._reset()
                if kind == 2:
                    break
                start, self._sent = self._sent, self._sent + size
                await self._end.send_pattern(size, start)
            self._finished = True
            self._end.finish()
        except OSError:
            # A socket tells of a reset once: who reads may see a clean end after that.
            self._told = True

    def _reset(self) -> None:
        self.broken = True
        if self._seeing is not None:
            self._seeing.cancel()
        self._end.reset()

    async def see(self, other: _Party) -> None:
        """Read to the end, which is clean only behind all that the other has sent."""
        if self._end.socket.fileno() < 0:
            return
        verifier = Verifier()
        self._seeing = asyncio.ensure_future(self._read(verifier))
        await asyncio.wait((self._seeing,))
        if self._seeing.cancelled():
            return
        error = self._seeing.exception()
        if self._told or isinstance(error, OSError):
            if not (self.broken or other.broken):
                raise DifferenceError("a reset of nobody") from error
            return
        if error is not None:
            raise error
        if verifier.size != other._sent or not other._finished:
            raise DifferenceError(f"a clean end after {verifier.size} of {other._sent} bytes")

    async def _read(self, verifier: Verifier) -> None:
        codec = self._end.codec
        while data := await self._end.receive_raw():
            verifier.feed(data if codec is None else bytes(codec.open(data)))
        if codec is not None and codec.incomplete:
            # What a client of a server is told in the place of a reset.
            self._told = True


def _codecs(twin: Twin, which: int) -> tuple[CodecPair, bool]:
    """Return codecs of both ends of a connection, and whether bytes of nobody end it."""
    *parts, kind = which >> 6, which >> 4 & 3, which % (len(_METHODS) + 3)
    if kind == len(_METHODS):
        return PLAIN, False
    if kind == len(_METHODS) + 1:
        return CodecPair(_Flipping(), _Flipping()), False
    if kind == len(_METHODS) + 2:
        outer, inner = (_METHODS[part] for part in parts)
        return _nested_pair(twin, outer, inner), outer in AUTHENTICATED
    return codec_pair(twin.shadowsocks, _METHODS[kind]), _METHODS[kind] in AUTHENTICATED


def _nested_pair(twin: Twin, outer: str, inner: str) -> CodecPair:
    layers = import_twin("fastsocks.shadowsocks", "_layers", twin.implementation)
    client = layers.LayeredCodec(
        *(new_client(twin.shadowsocks, method, strict=False) for method in (outer, inner)), _NEXT
    )
    servers = [new_server(twin.shadowsocks, method) for method in (outer, inner)]
    data = client.request(_TARGET)
    for server in servers:
        data = server.receive(data).early_data
    return CodecPair(client, _Nested(*servers))


class _Flipping:
    """Turns every byte over."""

    transparent = False
    incomplete = False

    def seal(self, data: Any) -> bytes:
        return bytes(data).translate(_FLIPPED)

    open = seal


class _Nested:
    """What both servers of a chain make of bytes."""

    def __init__(self, outer: Any, inner: Any) -> None:
        self._outer = outer
        self._inner = inner

    @property
    def incomplete(self) -> bool:
        return bool(self._outer.incomplete or self._inner.incomplete)

    def seal(self, data: Any) -> bytes:
        return bytes(self._outer.seal(self._inner.seal(data)))

    def open(self, data: Any) -> bytes:
        return bytes(self._inner.open(self._outer.open(data)))
