"""The fixture of either event loop."""

from harness.loops import run

__all__ = ["run"]
