"""What lines of the log are made of, and those of the access log."""

from __future__ import annotations

import logging
import os
from itertools import count
from typing import TYPE_CHECKING, Any

from fastsocks.address import one_word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastsocks.address import Address
    from fastsocks.errors import FastsocksError
    from fastsocks.relay.udp import Association
    from fastsocks.request import Peer

_access_log = logging.getLogger("fastsocks.access")

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
    peer = fields.get("peer", "")
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


def write_access(
    peer: Peer,
    user: str | None,
    target: Address,
    *,
    bytes_up: int,
    bytes_down: int,
    seconds: float,
    error: FastsocksError | None,
    connection: str,
    stages: Mapping[str, float],
) -> None:
    """Write the line of the access log for a connection."""
    end = "finished" if error is None else error.status
    fields = line_fields(peer=peer_text(peer), user=user, target=target)
    fields |= {
        "bytes_up": bytes_up,
        "bytes_down": bytes_down,
        "seconds": round(seconds, 3),
        **stages,
        "end": end,
        **line_fields(connection=connection),
    }
    _access_log.info(
        "%s %s -> %s up %d down %d bytes in %.3f s: %s%s",
        fields["peer"],
        user_text(user),
        target,
        bytes_up,
        bytes_down,
        seconds,
        end,
        in_brackets(connection),
        extra={"fields": fields},
    )


def write_association_access(association: Association, seconds: float) -> None:
    """Write the line of the access log for a UDP association.

    :param seconds: since it was made.
    """
    fields = line_fields(peer=association.client_host, user=association.user)
    fields |= {
        "bytes_up": association.bytes_up,
        "bytes_down": association.bytes_down,
        "seconds": round(seconds, 3),
        "network": "udp",
    }
    _access_log.info(
        "%s %s udp up %d down %d bytes in %.3f s",
        fields["peer"],
        user_text(association.user),
        fields["bytes_up"],
        fields["bytes_down"],
        fields["seconds"],
        extra={"fields": fields},
    )


def in_brackets(connection: str) -> str:
    """Return what names a connection as the end of a line."""
    return f" [{connection}]" if connection else ""
