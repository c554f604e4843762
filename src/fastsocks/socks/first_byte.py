"""Several protocols on one port, told apart by the first byte of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsocks.implementation import IMPLEMENTATION

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._first_byte_py import FirstByteServer, FirstByteServers
else:
    from ._first_byte import FirstByteServer, FirstByteServers

__all__ = ["FirstByteServer", "FirstByteServers"]
