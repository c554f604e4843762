"""The UDP relay, in the implementation that runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..implementation import IMPLEMENTATION

# The Cython twin receives with recvmmsg and waits with epoll, which only Linux has.
if TYPE_CHECKING or IMPLEMENTATION == "python" or sys.platform != "linux":
    from ._socks_packets_py import SocksPackets
    from ._udp_py import Association, DatagramCounters, DatagramEngine
else:
    from ._socks_packets import SocksPackets
    from ._udp import Association, DatagramCounters, DatagramEngine

__all__ = ["Association", "DatagramCounters", "DatagramEngine", "SocksPackets"]
