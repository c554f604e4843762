"""Connection set-up, in the implementation that runs."""

from typing import TYPE_CHECKING

from fastsocks.implementation import LINUX_IMPLEMENTATION

if TYPE_CHECKING or LINUX_IMPLEMENTATION == "python":
    from ._setup_py import Acceptor
else:
    from ._setup import Acceptor

__all__ = ["Acceptor"]
