"""The server's end of a Shadowsocks connection over TCP, in the implementation that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..implementation import IMPLEMENTATION

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._server_py import ServerCodec, ServerInbounds, server_codec
else:
    from ._server import ServerCodec, ServerInbounds, server_codec

__all__ = ["ServerCodec", "ServerInbounds", "server_codec"]
