"""The states of a connection in set-up, and where each leads: the one table of them.

    ACCEPTED ──► HANDSHAKE ◄──► PENDING
                  │     │
                  │     └─────► DIALING ───► ASSOCIATED
                  │              │   ▲  └──► BOUND ────────┐
                  │              ▼   │                     ▼
                  └──────────► CONNECTING ──────────────► RELAYED ──► OVER
                                     └─────► PAYLOAD ──────┘

Each may end in OVER, and up to the relay most in DRAINING before: a refusal is being read then, or
a prober left alone. ``Connection.enter`` of either twin is the only place that changes a state.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """How far a connection is; `_setup.pyx` has the same."""

    #: It has no inbound yet.
    ACCEPTED = 0
    #: The client's request is read.
    HANDSHAKE = 1
    #: The inbound waits for something else than its client, such as a password's check.
    PENDING = 2
    #: A task looks the target up, opens a way, or asks for a UDP association or a listener.
    DIALING = 3
    #: The kernel connects, or a task has, and nobody has asked yet whether it stands.
    CONNECTING = 4
    #: The target is there; a first payload is to travel with the outbound's first bytes.
    PAYLOAD = 5
    #: A UDP association lives as long as this connection.
    ASSOCIATED = 6
    #: The client's peer is to connect.
    BOUND = 7
    #: What the client sends is forgotten, until it ends or the deadline comes.
    DRAINING = 8
    #: Both ends are the relay's.
    RELAYED = 9
    #: Nothing is left.
    OVER = 10


_END: Final = frozenset({State.DRAINING, State.OVER})

TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.ACCEPTED: frozenset({State.HANDSHAKE, State.OVER}),
    State.HANDSHAKE: frozenset({State.PENDING, State.DIALING, State.CONNECTING}) | _END,
    State.PENDING: frozenset({State.HANDSHAKE}) | _END,
    # Another way is tried where the first one fails.
    State.DIALING: frozenset({State.DIALING, State.CONNECTING, State.ASSOCIATED, State.BOUND})
    | _END,
    State.CONNECTING: frozenset({State.DIALING, State.PAYLOAD, State.RELAYED}) | _END,
    State.PAYLOAD: frozenset({State.RELAYED}) | _END,
    State.ASSOCIATED: frozenset({State.OVER}),
    State.BOUND: frozenset({State.RELAYED}) | _END,
    State.DRAINING: frozenset({State.OVER}),
    State.RELAYED: frozenset({State.OVER}),
    State.OVER: frozenset(),
}


def check(before: int, after: int) -> None:
    """Check one transition.

    :raises RuntimeError: it is none.
    """
    if after not in TRANSITIONS[State(before)]:
        raise RuntimeError(f"a connection went from {State(before).name} to {State(after).name}")
