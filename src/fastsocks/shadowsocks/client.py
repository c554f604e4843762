"""The client's end of a Shadowsocks connection over TCP, in the implementation that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..implementation import IMPLEMENTATION

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._client_py import ClientCodec
else:
    from ._client import ClientCodec

__all__ = ["ClientCodec"]
