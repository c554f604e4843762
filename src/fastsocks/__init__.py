"""A SOCKS5 and Shadowsocks relay with Cython-accelerated hot paths."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    #: Which implementation runs: ``cython`` or ``python``.
    __impl__: str

__all__ = ["__impl__", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> str:
    # Choosing may log a warning, which is for those who use the package and not for those
    # who only ask for its version.
    if name == "__impl__":
        from fastsocks.implementation import IMPLEMENTATION

        return IMPLEMENTATION
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
