"""Both twins seal and open one direction alike, whatever they are given."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fastsocks.errors import ProtocolError
from fastsocks.shadowsocks.methods import METHODS
from record_ends import new_codec, new_opener, new_sealer, records
from shadowsocks_ends import AEAD, AEAD_2022, AUTHENTICATED, STREAM, open_all, pieces_of

SIZES = st.lists(st.integers(0, 40) | st.integers(0, 70_000), max_size=6)
SPLITS = st.lists(st.integers(1, 60) | st.integers(1, 80_000), max_size=12)


def trace(codec: Any, pieces: list[bytes]) -> list[object]:
    """What a codec says to each piece, up to its first error."""
    seen: list[object] = []
    for piece in pieces:
        try:
            plaintext = bytes(codec.open(piece))
        except ProtocolError as error:
            return [*seen, (type(error), str(error))]
        opener = codec.opener
        seen.append((plaintext, codec.incomplete, opener.inside, opener.wanted, opener.counter))
    return seen


@st.composite
def damaged(draw: st.DrawFn, wire: bytes) -> bytes:
    """Leave `wire` as it is, or cut, change or extend it."""
    kind = draw(st.sampled_from(["whole", "whole", "cut", "flip", "insert", "append"]))
    place = draw(st.integers(0, len(wire)))
    if kind == "cut":
        return wire[:place]
    if kind == "flip" and wire:
        place = min(place, len(wire) - 1)
        return (
            wire[:place] + bytes([wire[place] ^ 1 << draw(st.integers(0, 7))]) + wire[place + 1 :]
        )
    if kind == "insert":
        return wire[:place] + draw(st.binary(max_size=40)) + wire[place:]
    if kind == "append":
        return wire + draw(st.binary(max_size=40))
    return wire


@given(method=st.sampled_from(AUTHENTICATED), sizes=SIZES, splits=SPLITS, data=st.data())
def test_openers_agree(
    shadowsocks_twins: Any, method: str, sizes: list[int], splits: list[int], data: st.DataObject
) -> None:
    cython, python = shadowsocks_twins
    source = random.Random(len(sizes))
    payloads = [source.randbytes(min(size, 0xFFFF)) for size in sizes]
    wire = data.draw(damaged(records(cython, method, payloads)))
    assert records(python, method, payloads) == records(cython, method, payloads)
    pieces = list(pieces_of(wire, splits))
    length = data.draw(st.just(-1) | st.integers(1, 300))
    told = [
        trace(new_codec(twin, new_opener(twin, method, length=length)), pieces)
        for twin in (cython, python)
    ]
    assert told[0] == told[1]


@given(
    method=st.sampled_from(AUTHENTICATED),
    sizes=SIZES,
    preamble=st.binary(max_size=91),
    counter=st.integers(0, 2**63),
    opening=st.none() | st.binary(max_size=91),
)
def test_sealers_agree(
    shadowsocks_twins: Any,
    method: str,
    sizes: list[int],
    preamble: bytes,
    counter: int,
    opening: bytes | None,
) -> None:
    options: dict[str, Any] = {"preamble": preamble, "counter": counter}
    if opening is not None:
        options["opening"] = lambda _: opening
    one, other = (new_sealer(twin, method, **options) for twin in shadowsocks_twins)
    for size in sizes:
        payload = random.Random(size).randbytes(size)
        assert one.seal(payload) == other.seal(payload)


@given(method=st.sampled_from(STREAM), sizes=SIZES, splits=SPLITS)
def test_streams_agree(
    shadowsocks_twins: Any, method: str, sizes: list[int], splits: list[int]
) -> None:
    source = random.Random(len(splits))
    key = source.randbytes(METHODS[method].key_size)
    iv = source.randbytes(METHODS[method].salt_size)
    made = []
    for twin in shadowsocks_twins:
        own, ciphers = twin.METHODS[method], twin.session_ciphers
        made.append(
            (
                ciphers.stream_sealer(own, key, iv),
                new_codec(twin, ciphers.stream_opener(own, key, iv)),
            )
        )
    (one, opens), (other, also_opens) = made
    wire = plain = b""
    for size in sizes:
        payload = source.randbytes(size)
        sealed = one.seal(payload)
        assert sealed == other.seal(payload)
        wire += sealed
        plain += payload
    pieces = list(pieces_of(wire[len(iv) :], splits))
    assert open_all(opens, pieces) == open_all(also_opens, pieces) == plain


def test_constants_agree(shadowsocks_twins: Any) -> None:
    one, other = (twin.framing for twin in shadowsocks_twins)
    assert one.EMPTY_RECORDS == other.EMPTY_RECORDS == 16
    assert one.Codec.HEAD_SIZE == other.Codec.HEAD_SIZE
    assert {m.name for m in METHODS.values() if m.authenticated} == {*AEAD, *AEAD_2022}
