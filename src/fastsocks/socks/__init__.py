"""SOCKS and HTTP proxying without IO: handshakes of both sides (RFC 1928, RFC 1929, RFC 9110)."""

from .client import Reply, SocksClient
from .first_byte import FirstByteServer, FirstByteServers
from .server import SocksServer

__all__ = ["FirstByteServer", "FirstByteServers", "Reply", "SocksClient", "SocksServer"]
