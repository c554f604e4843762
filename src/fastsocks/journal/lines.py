"""What lines of the log are made of."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Any

from fastsocks.address import one_word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastsocks.request import Peer

#: Of the Acceptors of this process, from 1 on.
_ordinals = count(1)


def connection_names() -> Callable[[int], str]:
    """Return what makes names of the numbers that an Acceptor gives its connections.

    They join the lines of one connection: no two connections of processes that live at the same
    time have the same.
    """
    prefix = f"{os.getpid()}-{next(_ordinals)}"
    return lambda number: f"{prefix}-{number}"


def line_fields(**fields: Any) -> dict[str, Any]:
    """Return those that have a value, addresses as text."""
    found = {name: value for name, value in fields.items() if value not in (None, "")}
    if "target" in found:
        found["target"] = str(found["target"])
    return found


def subject(fields: Mapping[str, Any]) -> str:
    """Return whom and what a line is about, as it begins."""
    peer = one_word(fields["peer"]) if "peer" in fields else ""
    if "user" in fields:
        peer = f"{peer} {one_word(fields['user'])}"
    return f"{peer} -> {fields['target']}" if "target" in fields else peer


def user_text(user: str | None) -> str:
    """Return a user as one word."""
    return "-" if user is None else one_word(user)


def peer_text(peer: Peer) -> str:
    """Return host and port of a client, or what else names it."""
    if len(peer) == 1:
        return str(peer[0])
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def in_brackets(connection: str) -> str:
    """Return what names a connection as the end of a line."""
    return f" [{connection}]" if connection else ""
