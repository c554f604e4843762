"""A SOCKS, HTTP and Shadowsocks relay with Cython-accelerated hot paths."""

from __future__ import annotations

# The typing module takes longer than all else here, and the command line comes this way.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from . import errors
    from .client import create_connection, open_connection
    from .config import LocalOptions, ProxyOptions, ServerEntry, ServerOptions, TunnelOptions
    from .errors import (
        AddressError,
        AddressTypeError,
        AuthenticationError,
        BrokenError,
        BusyError,
        CommandError,
        ConfigError,
        ContextError,
        DialError,
        DialTimeoutError,
        FastsocksError,
        HandshakeTimeoutError,
        HeaderError,
        HostNameError,
        IdleTimeoutError,
        LimitError,
        ListenError,
        MethodError,
        PolicyError,
        ProtectionError,
        ProtocolError,
        ProxyHeaderError,
        QuotaError,
        RefusedError,
        ReplayError,
        ReplyError,
        ResetError,
        ResolveError,
        StoppedError,
        TagError,
        TimestampError,
        TruncatedError,
        UpstreamError,
        UserError,
        VersionError,
    )
    from .journal.observer import Connection, LimitHit, Observer
    from .journal.stats import CapStats, DatagramStats, Stats
    from .policy import Usage
    from .service import Local, Proxy, Server, SharedState, Tunnel
    from .service.reload import Reloaded

    #: Which implementation runs: ``cython`` or ``python``.
    __impl__: str

__all__ = [
    "AddressError",
    "AddressTypeError",
    "AuthenticationError",
    "BrokenError",
    "BusyError",
    "CapStats",
    "CommandError",
    "ConfigError",
    "Connection",
    "ContextError",
    "DatagramStats",
    "DialError",
    "DialTimeoutError",
    "FastsocksError",
    "HandshakeTimeoutError",
    "HeaderError",
    "HostNameError",
    "IdleTimeoutError",
    "LimitError",
    "LimitHit",
    "ListenError",
    "Local",
    "LocalOptions",
    "MethodError",
    "Observer",
    "PolicyError",
    "ProtectionError",
    "ProtocolError",
    "Proxy",
    "ProxyHeaderError",
    "ProxyOptions",
    "QuotaError",
    "RefusedError",
    "Reloaded",
    "ReplayError",
    "ReplyError",
    "ResetError",
    "ResolveError",
    "Server",
    "ServerEntry",
    "ServerOptions",
    "SharedState",
    "Stats",
    "StoppedError",
    "TagError",
    "TimestampError",
    "TruncatedError",
    "Tunnel",
    "TunnelOptions",
    "UpstreamError",
    "Usage",
    "UserError",
    "VersionError",
    "__impl__",
    "__version__",
    "create_connection",
    "errors",
    "open_connection",
]

__version__ = "0.1.0"

# Where to find what is not imported before it is asked for: choosing the implementation may
# log a warning, which is for those who use the package and not for those who only want its
# version.
_HOMES = {
    "CapStats": "journal.stats",
    "Connection": "journal.observer",
    "DatagramStats": "journal.stats",
    "LimitHit": "journal.observer",
    "Local": "service",
    "LocalOptions": "config",
    "Observer": "journal.observer",
    "Proxy": "service",
    "ProxyOptions": "config",
    "Server": "service",
    "Reloaded": "service.reload",
    "ServerEntry": "config",
    "ServerOptions": "config",
    "SharedState": "service",
    "Stats": "journal.stats",
    "Tunnel": "service",
    "TunnelOptions": "config",
    "Usage": "policy",
    "create_connection": "client",
    "open_connection": "client",
}


def __getattr__(name: str) -> object:
    import importlib

    if name == "__impl__":
        return importlib.import_module(".implementation", __name__).IMPLEMENTATION
    if name == "errors":
        return importlib.import_module(".errors", __name__)
    home = _HOMES.get(name, "errors" if name.endswith("Error") else None)
    module = None if home is None else importlib.import_module(f".{home}", __name__)
    if module is None or name.startswith("_") or not hasattr(module, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
