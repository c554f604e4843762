"""The services: an inbound, policy and an outbound each, and connection set-up."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .local import Local
    from .proxy import Proxy
    from .running import Running
    from .server import Server
    from .shared_state import SharedState
    from .tunnel import Tunnel

__all__ = [
    "Local",
    "Proxy",
    "Running",
    "Server",
    "SharedState",
    "Tunnel",
]

# A process mostly runs one of them, and should not load the others for it.
_HOMES = {
    "Local": "local",
    "Proxy": "proxy",
    "Running": "running",
    "Server": "server",
    "SharedState": "shared_state",
    "Tunnel": "tunnel",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{home}", __name__), name)
