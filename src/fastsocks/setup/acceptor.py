"""Connection set-up, in the implementation that runs."""

import sys
from typing import TYPE_CHECKING

from fastsocks.implementation import IMPLEMENTATION

# The Cython twin waits with epoll, which only Linux has.
if TYPE_CHECKING or IMPLEMENTATION == "python" or sys.platform != "linux":
    from ._setup_py import Acceptor
else:
    from ._setup import Acceptor

__all__ = ["Acceptor"]
