"""How many connections and UDP associations the limit of open files leaves room for."""

from __future__ import annotations

from fastsocks.net import MOST_LOOK_UPS

#: A relay's client and its target.
_PER_CONNECTION = 2

#: An association's client, and targets of either family.
_PER_ASSOCIATION = 3

#: For the log, listeners, the event loop, name look-ups.
_OTHERS = 64


def possible_connections() -> int | None:
    """Return how many connections this process may have open; None if no limit is known."""
    files = _files()
    return None if files is None else max((files - _OTHERS) // _PER_CONNECTION, 1)


def possible_associations() -> int | None:
    """Return how many UDP associations leave half of the files to connections."""
    files = _files()
    return None if files is None else max((files - _OTHERS) // 2 // _PER_ASSOCIATION, 1)


def possible_lookups() -> int:
    """Return how many names may be looked up at a time, by a socket or two each."""
    files = _files()
    return MOST_LOOK_UPS if files is None else max(min(files // 4, MOST_LOOK_UPS), 16)


def lookups_of_client(wanted: int) -> int:
    """Return how many of them one client may have.

    :param wanted: the most, where that is less than a quarter; 0 is a quarter.
    """
    part = possible_lookups() // 4
    return min(wanted or part, part)


def _files() -> int | None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return None
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if files == resource.RLIM_INFINITY else files
