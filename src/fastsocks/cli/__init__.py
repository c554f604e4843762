"""The command line; the only part that touches what belongs to the process."""

from .commands import main

__all__ = ["main"]
