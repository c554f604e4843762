"""Codecs that are written in Python, on either relay."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fastsocks.errors import ProtocolError
from relay_ends import CodecPair, Relayed, Twin

SIZE = 1_000_000
_FLIPPED = bytes(range(255, -1, -1))


class FlippingCodec:
    """Turns every byte over, and keeps the first ones back until there are enough of them."""

    transparent = False
    incomplete = False

    def __init__(self, hold: int = 0) -> None:
        self._hold = hold
        self._kept = b""

    def open(self, data: Any) -> bytes:
        return bytes(data).translate(_FLIPPED)

    def seal(self, data: Any) -> bytes:
        self._kept += bytes(data)
        if len(self._kept) < self._hold:
            return b""
        sealed, self._kept, self._hold = self._kept.translate(_FLIPPED), b"", 0
        return sealed


class MutableCodec(FlippingCodec):
    """Returns what may change, as some codecs do."""

    def open(self, data: Any) -> Any:
        return bytearray(super().open(data))

    def seal(self, data: Any) -> Any:
        return bytearray(super().seal(data))


class RefusingCodec(FlippingCodec):
    """Refuses whatever comes."""

    def open(self, data: Any) -> bytes:
        raise ProtocolError("refused")


@pytest.mark.parametrize("kind", [FlippingCodec, MutableCodec])
@pytest.mark.parametrize("hold", [0, 60_000])
def test_bytes_arrive_both_ways(run: Any, twin: Twin, hold: int, kind: Any) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        flipping = CodecPair(kind(), kind(hold))
        async with Relayed(engine, flipping, CodecPair(None, None)) as relayed:
            results = await asyncio.gather(
                relayed.client.send_pattern(SIZE, finish=True),
                relayed.target.send_pattern(SIZE + 1, finish=True),
                relayed.client.verify_to_end(),
                relayed.target.verify_to_end(),
            )
            assert list(results[2:]) == [SIZE + 1, SIZE]
            assert await relayed.error() is None

    run(scenario())


def test_what_it_refuses_ends_the_relay(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        pair = CodecPair(FlippingCodec(), RefusingCodec())
        async with Relayed(engine, pair, CodecPair(None, None)) as relayed:
            await relayed.client.send(b"x")
            assert str(await relayed.error()) == "refused"

    run(scenario())
