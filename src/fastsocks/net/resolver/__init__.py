"""Name resolution: what :class:`Resolver` is, and what it gives."""

from .name_servers import read_name_server
from .order import AddrInfo
from .resolver import AUTO, MOST_LOOK_UPS, SYSTEM, Resolver
from .system import System

__all__ = ["AUTO", "MOST_LOOK_UPS", "SYSTEM", "AddrInfo", "Resolver", "System", "read_name_server"]
