"""The access log: a line for each connection and association that has ended."""

from __future__ import annotations

import logging

from fastsocks.request import BIND, CONNECT

from .lines import in_brackets, line_fields, peer_text, user_text
from .observer import Connection, Observer

_access_log = logging.getLogger("fastsocks.access")


class AccessLog(Observer):
    """Writes what each connection was for, and what it has carried.

    The ``fields`` of its records are ``peer``, ``user``, ``target``, ``bytes_up``,
    ``bytes_down``, ``seconds``, the stages, ``end``, ``connection`` and ``network`` (``udp``),
    as far as they apply.
    """

    def closed(self, connection: Connection) -> None:
        """Write its line, if what it was for is known."""
        if connection.network == "udp":
            _write_association(connection)
        elif connection.command in (CONNECT, BIND):
            _write_connection(connection)


def _write_connection(connection: Connection) -> None:
    error = connection.error
    end = "finished" if error is None else error.status
    fields = line_fields(
        peer=peer_text(connection.peer), user=connection.user, target=connection.target
    )
    fields |= {
        "bytes_up": connection.bytes_up,
        "bytes_down": connection.bytes_down,
        "seconds": round(connection.seconds, 3),
        **connection.stages,
        "end": end,
        **line_fields(connection=connection.name),
    }
    _access_log.info(
        "%s %s -> %s up %d down %d bytes in %.3f s: %s%s",
        fields["peer"],
        user_text(connection.user),
        connection.target,
        connection.bytes_up,
        connection.bytes_down,
        connection.seconds,
        end,
        in_brackets(connection.name),
        extra={"fields": fields},
    )


def _write_association(connection: Connection) -> None:
    fields = line_fields(peer=peer_text(connection.peer), user=connection.user)
    fields |= {
        "bytes_up": connection.bytes_up,
        "bytes_down": connection.bytes_down,
        "seconds": round(connection.seconds, 3),
        "network": "udp",
    }
    _access_log.info(
        "%s %s udp up %d down %d bytes in %.3f s",
        fields["peer"],
        user_text(connection.user),
        fields["bytes_up"],
        fields["bytes_down"],
        fields["seconds"],
        extra={"fields": fields},
    )
