"""Options of the services, and their readers: files, environment, URLs."""

from .accounts import Accounts
from .configuration import (
    Configuration,
    Configured,
    at_its_source,
    configure,
    is_first_run,
)
from .option_checks import PLACEHOLDER, is_loopback
from .options import LocalOptions, ProxyOptions, ServerOptions, TunnelOptions
from .passwords import MissingPasswordError
from .server_entry import ServerEntry
from .service_options import Options, ProcessOptions
from .url import ServerURL

__all__ = [
    "PLACEHOLDER",
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
    "TunnelOptions",
    "at_its_source",
    "configure",
    "is_first_run",
    "is_loopback",
]
