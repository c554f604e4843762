"""Codecs within codecs, in the implementation that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsocks.implementation import IMPLEMENTATION

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._layers_py import LayeredCodec
    from ._packet_layers_py import LayeredPackets
else:
    from ._layers import LayeredCodec
    from ._packet_layers import LayeredPackets

#: Most Shadowsocks servers in a chain; the relay has room for what so many codecs keep and add.
MOST_LAYERS = 4

__all__ = ["MOST_LAYERS", "LayeredCodec", "LayeredPackets"]
