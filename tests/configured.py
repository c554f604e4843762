"""Configurations of each service; see :func:`fastsocks.config.configure`."""

from __future__ import annotations

from functools import partial

from fastsocks.config import (
    LocalOptions,
    ProxyOptions,
    ServerOptions,
    TunnelOptions,
    configure,
)

configure_server = partial(configure, ServerOptions)
configure_local = partial(configure, LocalOptions)
configure_proxy = partial(configure, ProxyOptions)
configure_tunnel = partial(configure, TunnelOptions)
