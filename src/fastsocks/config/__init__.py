"""The options of the services."""

from .options import (
    Accounts,
    LocalOptions,
    Options,
    ProxyOptions,
    ServerOptions,
    read_accounts,
)

__all__ = [
    "Accounts",
    "LocalOptions",
    "Options",
    "ProxyOptions",
    "ServerOptions",
    "read_accounts",
]
