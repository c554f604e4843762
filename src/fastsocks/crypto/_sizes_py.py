"""The check of sizes in pure Python."""

from __future__ import annotations

from ._messages import wrong_size


def check_size(what: str, found: int, wanted: int) -> None:
    """Raise ValueError unless `what` has the size in bytes that it must have."""
    if found != wanted:
        raise ValueError(wrong_size(what, found, wanted))
