"""A SOCKS, HTTP and Shadowsocks relay with Cython-accelerated hot paths."""

from __future__ import annotations

# The typing module takes longer than all else here, and the command line comes this way.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from .config import LocalOptions, ProxyOptions, ServerOptions
    from .service import Local, Proxy, Server, create_connection, open_connection

    #: Which implementation runs: ``cython`` or ``python``.
    __impl__: str

__all__ = [
    "Local",
    "LocalOptions",
    "Proxy",
    "ProxyOptions",
    "Server",
    "ServerOptions",
    "__impl__",
    "__version__",
    "create_connection",
    "open_connection",
]

__version__ = "0.1.0"

# Where to find what is not imported before it is asked for: choosing the implementation may
# log a warning, which is for those who use the package and not for those who only want its
# version.
_HOMES = {
    "Local": "service",
    "LocalOptions": "config",
    "Proxy": "service",
    "ProxyOptions": "config",
    "Server": "service",
    "ServerOptions": "config",
    "create_connection": "service",
    "open_connection": "service",
}


def __getattr__(name: str) -> object:
    import importlib

    if name == "__impl__":
        return importlib.import_module(".implementation", __name__).IMPLEMENTATION
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{home}", __name__), name)
