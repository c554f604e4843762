"""SOCKS5 without IO: both sides of the handshake (RFC 1928, RFC 1929)."""

from .client import Reply, SocksClient
from .server import SocksServer

__all__ = ["Reply", "SocksClient", "SocksServer"]
