"""The log: one line per failed connection, few where many are alike."""

from __future__ import annotations

import errno
import logging
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from fastsocks.errors import IdleTimeoutError, ResetError, StoppedError, TruncatedError
from fastsocks.policy import Cap
from fastsocks.policy.caps import Caps
from fastsocks.policy.descriptors import lookups_of_client

from .advice import UNANSWERED_ADVICE
from .cap_lines import CAP_LINES, MORE_FILES
from .dropped_datagrams import ADVICE as DROP_ADVICE
from .dropped_datagrams import DROPS
from .line_limiter import LineLimiter
from .lines import in_brackets, line_fields, peer_text, subject
from .observer import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from fastsocks.address import Address

    from .observer import Connection, LimitHit

#: Ends that come with the life of a network, and are nobody's problem.
_ORDINARY = (ResetError, IdleTimeoutError, StoppedError)


class _Key(NamedTuple):
    """What lines that are alike have in common."""

    message: str
    status: str
    host: str
    target: Address | None


class Log(Observer):
    """Writes a line about what goes wrong, with what to do about it.

    Lines are alike if they tell the same reason, client host and target; see
    :class:`.line_limiter.LineLimiter` for how many pass.

    Each record carries what its line says as ``fields`` too, a dict for logs in JSON: of
    ``status``, ``advice``, ``peer``, ``target``, ``user``, ``times``, ``limit``, ``datagrams``
    and ``network`` (``udp``) those that apply.

    :param log: takes the lines, at WARNING; at DEBUG what is no problem: resets, idle and
        stopped connections, and clients that leave before they ask for anything.
    :param advice: what to do about errors and drops of this service, by their status.
    :param look: is asked for advice on a connection that has failed; None leaves it to `advice`.
    :param caps: what the caps are set to.
    :param burst: how many lines alike are written within `window` seconds; of the others
        the number follows when the window is over.
    :param most: how many lines are written within `window` seconds in all.
    :param clock: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        log: logging.Logger,
        advice: Mapping[str, str],
        look: Callable[[Connection], str | None] | None = None,
        caps: Caps | None = None,
        *,
        burst: int = 5,
        most: int = 200,
        window: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._advice = advice
        self._look = look
        self._caps = caps or Caps()
        self._limiter = LineLimiter(
            self._left_out,
            self._others_left_out,
            burst=burst,
            most=most,
            window=window,
            clock=clock,
        )
        if self._caps.too_few is not None:
            wanted = self._caps.wanted
            self._log.warning(
                "the limit of open files leaves room for %d connections%s; %s",
                self._caps.too_few,
                f", not for the {wanted} of --max-connections" if wanted else "",
                MORE_FILES,
            )

    def use(self, look: Callable[[Connection], str | None], caps: Caps) -> None:
        """Let these hold from now on; see :class:`Log`."""
        self._look, self._caps = look, caps

    def refused(self, connection: Connection) -> None:
        """Write why it has failed."""
        error, target = connection.error, connection.target
        if error is None:
            return
        ordinary = isinstance(error, _ORDINARY) or (
            target is None and isinstance(error, TruncatedError)
        )
        if ordinary:
            if not self._log.isEnabledFor(logging.DEBUG):
                return
        elif not self._limiter.passes(
            _Key(str(error), error.status, str(connection.peer[0]), target)
        ):
            return
        advice = None if ordinary else self._advice_on(connection)
        self._write(
            logging.DEBUG if ordinary else logging.WARNING,
            str(error),
            _fields_of(connection, error.status, advice),
        )

    def failed(self, connection: Connection) -> None:
        """Write why it has failed."""
        self.refused(connection)

    def unanswered(self, connection: Connection, in_a_row: int) -> None:
        """Write that a Shadowsocks server has not answered."""
        server = connection.server
        message = (
            f"the Shadowsocks server {server} took {connection.bytes_up} bytes and answered "
            f"nothing for {connection.seconds:.0f} s"
        )
        if in_a_row > 1:
            message = f"{message}, as to the {in_a_row - 1} before"
        alike = f"the Shadowsocks server {server} answered nothing"
        if self._limiter.passes(_Key(alike, "unanswered", "", None)):
            fields = _fields_of(connection, "unanswered", UNANSWERED_ADVICE)
            self._write(logging.WARNING, message, fields)

    def server_silent(self, server: Address, seconds: float) -> None:
        """Write that a Shadowsocks server answers to nobody."""
        message = f"the Shadowsocks server {server} has answered to nobody for {seconds:g} s"
        fields = line_fields(status="unanswered", advice=UNANSWERED_ADVICE)
        self._write(logging.WARNING, message, fields)

    def limit_hit(self, hit: LimitHit) -> None:
        """Write that a cap was reached."""
        cap, counts = Cap(hit.limit), self._caps.counts
        where = hit.client if cap.per_client else ""
        message = CAP_LINES[cap].format(count=counts[cap])
        if not self._limiter.passes(_Key(message, "limit", where, None)):
            return
        advice = f"--{cap.value.replace('_', '-')} raises it"
        if self._caps.files_rule(cap):
            advice = MORE_FILES
        elif cap is Cap.LOOKUPS_PER_CLIENT and counts[cap] >= lookups_of_client(0):
            advice = "nobody has more than a quarter of all look-ups"
        self._write(
            logging.WARNING,
            message,
            line_fields(peer=where, status="limit", limit=cap.value, advice=advice),
        )

    def datagrams_dropped(self, reason: str, client: str | None, count: int) -> None:
        """Write that datagrams were dropped."""
        text = DROPS.get(reason)
        key = _Key(f"datagrams dropped: {text}", reason, client or "", None)
        if text is None:
            if not self._log.isEnabledFor(logging.DEBUG):
                return
        elif not self._limiter.passes(key, count):
            return
        advice = self._advice.get(reason) or DROP_ADVICE.get(reason)
        self._write(
            logging.DEBUG if text is None else logging.WARNING,
            f"{count} datagram{'' if count == 1 else 's'} dropped{f': {text}' if text else ''}",
            line_fields(peer=client, status=reason, advice=advice, datagrams=count, network="udp"),
        )

    def notice(self, client: str, text: str, status: str, advice: str) -> None:
        """Write what is to be known of a client, rather than of one connection of it."""
        if self._limiter.passes(_Key(text, status, client, None)):
            fields = line_fields(peer=client, status=status, advice=advice)
            self._write(logging.WARNING, text, fields)

    def close(self) -> None:
        """Write the numbers that are still owed."""
        self._limiter.end()

    def _advice_on(self, connection: Connection) -> str | None:
        error = connection.error
        found = None if self._look is None else self._look(connection)
        if found is not None or error is None:
            return found
        cause = error.__cause__
        if isinstance(cause, OSError):
            if cause.errno in (errno.EMFILE, errno.ENFILE):
                return MORE_FILES
            if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN:
                return "check the resolver of this host"
        return self._advice.get(error.status)

    def _write(self, level: int, message: str, fields: Mapping[str, Any]) -> None:
        about, advice = subject(fields), fields.get("advice")
        self._log.log(
            level,
            "%s%s (%s)%s%s",
            f"{about}: " if about else "",
            message,
            fields["status"],
            f"; {advice}" if advice else "",
            in_brackets(fields.get("connection", "")),
            extra={"fields": fields},
        )

    def _left_out(self, key: Hashable, times: int) -> None:
        alike = cast("_Key", key)
        fields = line_fields(peer=alike.host, target=alike.target, status=alike.status, times=times)
        about = subject(fields)
        self._log.warning(
            "%s%s (%d more times)",
            f"{about}: " if about else "",
            alike.message,
            times,
            extra={"fields": fields},
        )

    def _others_left_out(self, times: int) -> None:
        self._log.warning(
            "%d more lines about connections were left out",
            times,
            extra={"fields": {"times": times}},
        )


def _fields_of(connection: Connection, status: str, advice: str | None) -> dict[str, Any]:
    return line_fields(
        peer=peer_text(connection.peer),
        user=connection.user,
        target=connection.target,
        status=status,
        advice=advice,
        connection=connection.name,
    )
