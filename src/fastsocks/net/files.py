"""The limit of open files, which sockets and pipes share."""

from __future__ import annotations


def file_limit() -> int | None:
    """Return how many files this process may have open; None if no limit is known."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return None
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if files == resource.RLIM_INFINITY else files
