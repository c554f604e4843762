"""What a service has done so far: one frozen snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fastsocks.policy import Cap, Usage

from .process_counts import DROPPED, FAILED, HIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastsocks.policy import ClientLimits
    from fastsocks.relay import Counters
    from fastsocks.relay.udp import DatagramCounters

#: Where it is counted how much of a cap is taken.
_USED = {
    Cap.CONNECTIONS: "connections",
    Cap.HANDSHAKES: "handshakes",
    Cap.UDP_ASSOCIATIONS: "associations",
}


@dataclass(frozen=True, slots=True)
class DatagramStats:
    """What went over UDP; zeros where none is relayed.

    :param associations: those that are active now.
    :param waiting: datagrams that wait now for a name to be looked up.
    :param packets_up: datagrams from clients; `packets_down`: to them.
    :param bytes_up: payload from clients, in bytes; `bytes_down`: to them.
    :param dropped: datagrams that were dropped, by reason.
    """

    associations: int
    waiting: int
    packets_up: int
    packets_down: int
    bytes_up: int
    bytes_down: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CapStats:
    """What became of one cap.

    :param limit: what it is set to, by the options or by the limit of open files; 0 is no cap.
    :param used: how much of it is taken now; None for caps of each client or user.
    :param hits: how often something was refused, ended or made to wait because of it.
    """

    limit: int
    used: int | None
    hits: int


@dataclass(frozen=True, slots=True)
class Stats:
    """What a service has done since its start, in all of its processes together.

    What other processes have done is as they have told it, at most 2 s ago. It is for its reader
    alone, and ``dataclasses.asdict`` makes of it what is to be sent on.

    :param accepted: connections accepted.
    :param active: connections in set-up, draining or relayed now.
    :param failures: connections that failed before or during their relay, by the error's
        ``status``; ``limit`` are those that a cap refused, ``other`` those of errors that are none
        of ours, where several processes count.
    :param relayed: what TCP relays have carried.
    :param datagrams: likewise UDP.
    :param users: what each user has used, by TCP and UDP; empty where users are not told apart.
    :param caps: by the name of the option.
    """

    accepted: int
    active: int
    failures: Mapping[str, int]
    relayed: Usage
    datagrams: DatagramStats
    users: Mapping[str | None, Usage]
    caps: Mapping[str, CapStats]

    @classmethod
    def of(
        cls, counts: Mapping[str, int], caps: Mapping[Cap, int], users: Mapping[str | None, Usage]
    ) -> Stats:
        """Make the snapshot of counters.

        :param counts: see :data:`.process_counts.NAMES`; what is missing is 0.
        :param caps: what each is set to.
        """

        def count(name: str) -> int:
            return counts.get(name, 0)

        def by_reason(prefix: str) -> Mapping[str, int]:
            names = (name for name in counts if name.startswith(prefix))
            return {name.removeprefix(prefix): counts[name] for name in names}

        return cls(
            accepted=count("accepted"),
            active=count("active"),
            failures=by_reason(FAILED),
            relayed=Usage(
                count("relays"), count("relaying"), count("bytes_up"), count("bytes_down")
            ),
            datagrams=DatagramStats(
                associations=count("associations"),
                waiting=count("waiting"),
                packets_up=count("packets_up"),
                packets_down=count("packets_down"),
                bytes_up=count("datagram_bytes_up"),
                bytes_down=count("datagram_bytes_down"),
                dropped=by_reason(DROPPED),
            ),
            users=dict(users),
            caps={
                cap.value: CapStats(
                    limit, count(_USED[cap]) if cap in _USED else None, count(HIT + cap.value)
                )
                for cap, limit in caps.items()
            },
        )


class Setup(Protocol):
    """Connection set-up, as :class:`fastsocks.setup.acceptor.Acceptor` is."""

    @property
    def accepted(self) -> int:
        """Connections accepted since the start."""

    @property
    def active(self) -> int:
        """Connections in set-up, draining or relayed now."""

    @property
    def failures(self) -> Mapping[str, int]:
        """Connections that failed, by the error's status."""

    @property
    def relayed(self) -> Counters:
        """What went through the relays."""


def counts_of(
    acceptor: Setup, limits: ClientLimits, datagrams: DatagramCounters | None
) -> dict[str, int]:
    """Return what one process has counted, by the names of :data:`.process_counts.NAMES`."""
    relayed = acceptor.relayed
    found = {
        "accepted": acceptor.accepted,
        "active": acceptor.active,
        "relays": relayed.relays,
        "relaying": relayed.active,
        "bytes_up": relayed.bytes_up,
        "bytes_down": relayed.bytes_down,
        "connections": limits.connections,
        "handshakes": limits.handshakes,
    }
    found.update((FAILED + reason, count) for reason, count in acceptor.failures.items())
    found.update((HIT + cap.value, count) for cap, count in limits.hits.items())
    if datagrams is not None:
        found |= {
            "associations": datagrams.associations,
            "waiting": datagrams.waiting,
            "packets_up": datagrams.packets_up,
            "packets_down": datagrams.packets_down,
            "datagram_bytes_up": datagrams.bytes_up,
            "datagram_bytes_down": datagrams.bytes_down,
        }
        found.update((DROPPED + reason, count) for reason, count in datagrams.dropped.items())
    return found
