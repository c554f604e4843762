"""Connections through proxies, for programs."""

from .connect import create_connection, open_connection

__all__ = ["create_connection", "open_connection"]
