"""The UDP relay, in the implementation that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..implementation import LINUX_IMPLEMENTATION

if TYPE_CHECKING or LINUX_IMPLEMENTATION == "python":
    from ._socks_packets_py import SocksPackets
    from ._udp_py import Association, DatagramCounters, DatagramEngine
else:
    from ._socks_packets import SocksPackets
    from ._udp import Association, DatagramCounters, DatagramEngine

__all__ = ["Association", "DatagramCounters", "DatagramEngine", "SocksPackets"]
