"""How the limit of open files is shared out, so that whatever is within its cap finds one.

of 16 parts     with UDP    without
connections            9         13
associations           4          0
look-ups               1          1
BIND                   1          1
pipes, dials that race 1          1   (pipes: half of it; see ``relay/_splice.pyx``)
"""

from __future__ import annotations

from fastsocks.net import MOST_LOOK_UPS
from fastsocks.net.files import file_limit

_PARTS = 16
_OF_CONNECTIONS = 13
_OF_ASSOCIATIONS = 4

#: A relay's client and its target.
_PER_CONNECTION = 2

#: An association's client, and targets of either family.
_PER_ASSOCIATION = 3

#: Listeners of both families and the peer that has come, but for what its connection has anyway.
_PER_BIND = 2

#: For the log, listeners, the event loop, memory that processes share (two for each), and a few
#: name look-ups.
_OTHERS = 76
_FEW_SOCKETS = 16


def possible_connections(*, udp: bool) -> int | None:
    """Return how many connections this process may have open; None if no limit is known.

    :param udp: whether it relays UDP as well.
    """
    files = _shared()
    if files is None:
        return None
    parts = _OF_CONNECTIONS - (_OF_ASSOCIATIONS if udp else 0)
    return max(files * parts // _PARTS // _PER_CONNECTION, 1)


def possible_associations() -> int | None:
    """Return how many UDP associations this process may have; None if no limit is known."""
    files = _shared()
    if files is None:
        return None
    return max(files * _OF_ASSOCIATIONS // _PARTS // _PER_ASSOCIATION, 1)


def association_cap(wanted: int) -> int:
    """Return how many UDP associations this process may have; 0 is no cap.

    :param wanted: the most that is asked for, 0 for no cap.
    """
    possible = possible_associations()
    return wanted if possible is None or 0 < wanted <= possible else possible


def possible_binds() -> int | None:
    """Return how many peers may be waited for at a time; None if no limit is known."""
    files = _shared()
    return None if files is None else max(files // _PARTS // _PER_BIND, 1)


def possible_lookup_sockets() -> int:
    """Return how many sockets look-ups may take before they share them."""
    files = _shared()
    if files is None:
        return MOST_LOOK_UPS
    return max(min(files // _PARTS, MOST_LOOK_UPS), _FEW_SOCKETS)


def lookups_of_client(wanted: int) -> int:
    """Return how many names may be looked up at a time for one client.

    :param wanted: the most, where that is less than a quarter of all; 0 is a quarter.
    """
    part = MOST_LOOK_UPS // 4
    return min(wanted or part, part)


def _shared() -> int | None:
    files = file_limit()
    return None if files is None else max(files - _OTHERS, 0)
