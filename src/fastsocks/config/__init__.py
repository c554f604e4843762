"""Options of the services, and their readers: files, environment, URLs."""

from .configuration import (
    Configuration,
    Configured,
    configure_local,
    configure_proxy,
    configure_server,
    is_first_run,
)
from .options import (
    Accounts,
    LocalOptions,
    Options,
    ProcessOptions,
    ProxyOptions,
    ServerEntry,
    ServerOptions,
    is_loopback,
    read_accounts,
)
from .passwords import MissingPasswordError
from .url import ServerURL

__all__ = [
    "Accounts",
    "Configuration",
    "Configured",
    "LocalOptions",
    "MissingPasswordError",
    "Options",
    "ProcessOptions",
    "ProxyOptions",
    "ServerEntry",
    "ServerOptions",
    "ServerURL",
    "configure_local",
    "configure_proxy",
    "configure_server",
    "is_first_run",
    "is_loopback",
    "read_accounts",
]
