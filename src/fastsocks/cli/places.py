"""Where services listen, in few words, however many ports these are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

#: Addresses that each have a line.
_FEW = 8

#: Ports, or ranges of them, that one line names.
_MOST_RANGES = 50


def listed(addresses: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Yield addresses one by one, or where they are many, those of a host together.

    :param addresses: host and port of each listening socket.
    :return: such as ``192.0.2.1:8388``, ``[::1]:8388`` and ``192.0.2.1:9000-9999 (1000 ports)``.
    """
    if len(addresses) <= _FEW:
        yield from (f"{_host(host)}:{port}" for host, port in addresses)
        return
    for host in dict.fromkeys(host for host, _ in addresses):
        ranges = list(_ranges(port for other, port in addresses if other == host))
        for start in range(0, len(ranges), _MOST_RANGES):
            some = ranges[start : start + _MOST_RANGES]
            count = sum(last - first + 1 for first, last in some)
            ports = ",".join(
                str(first) if first == last else f"{first}-{last}" for first, last in some
            )
            yield f"{_host(host)}:{ports}" + (f" ({count} ports)" if count > 1 else "")


def _ranges(ports: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = -1
    for port in sorted(set(ports)):
        if port != last + 1 or first < 0:
            if first >= 0:
                yield first, last
            first = port
        last = port
    if first >= 0:
        yield first, last


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
