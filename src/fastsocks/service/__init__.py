"""The services: an inbound, policy and an outbound each, and connection set-up."""

from .local import Local
from .proxy import Proxy
from .running import Running
from .server import Server
from .tunnel import create_connection, open_connection

__all__ = ["Local", "Proxy", "Running", "Server", "create_connection", "open_connection"]
