"""The byte streams of Shadowsocks over TCP, in the implementation that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..implementation import IMPLEMENTATION

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._framing_py import (
        EMPTY_RECORDS,
        Codec,
        Opener,
        RecordOpener,
        RecordSealer,
        StreamOpener,
        StreamSealer,
    )
else:
    from ._framing import (
        EMPTY_RECORDS,
        Codec,
        Opener,
        RecordOpener,
        RecordSealer,
        StreamOpener,
        StreamSealer,
    )

__all__ = [
    "EMPTY_RECORDS",
    "Codec",
    "Opener",
    "RecordOpener",
    "RecordSealer",
    "StreamOpener",
    "StreamSealer",
]
