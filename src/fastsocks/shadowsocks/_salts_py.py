"""The salts of the last packets in pure Python; the twin of ``_salts.pyx``."""

from __future__ import annotations

from .replay import SaltFilter

__all__ = ["SaltFilter"]
