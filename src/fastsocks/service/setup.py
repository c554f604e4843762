"""Connection set-up, in the implementation that runs."""

from typing import TYPE_CHECKING

from fastsocks.implementation import IMPLEMENTATION

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._setup_py import Acceptor
else:
    from ._setup import Acceptor

__all__ = ["Acceptor"]
