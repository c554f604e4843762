"""The engine: moves bytes between two connected ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..implementation import IMPLEMENTATION
from .codec import RelayCodec

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._meter_py import Meter
    from ._tcp_py import Counters, Engine, Relay
else:
    from ._meter import Meter
    from ._tcp import Counters, Engine, Relay

__all__ = ["Counters", "Engine", "Meter", "Relay", "RelayCodec"]
