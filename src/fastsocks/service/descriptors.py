"""How many connections the limit of open files leaves room for."""

from __future__ import annotations

#: A relay's client and its target.
_PER_CONNECTION = 2

#: For the log, listeners, the event loop, name look-ups.
_OTHERS = 64


def possible_connections() -> int | None:
    """Return how many connections this process may have open; None if no limit is known."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return None
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return None
    return max((files - _OTHERS) // _PER_CONNECTION, 1)
