"""HTTP proxying without IO: CONNECT and plain requests (RFC 9110, RFC 9112)."""

from .exchange import Exchange
from .server import HttpServer

__all__ = ["Exchange", "HttpServer"]
