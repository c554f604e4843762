"""Listening, dialing and name resolution."""

from .dial import Dialer
from .listen import listen
from .resolve import Resolver
from .tcp import SOCKET_OPTIONS, configure

__all__ = ["SOCKET_OPTIONS", "Dialer", "Resolver", "configure", "listen"]
