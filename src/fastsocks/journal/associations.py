"""What observers learn of UDP associations."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .observer import Connection, Observers

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsocks.relay.udp import Association


class Associations:
    """Follows associations from their beginning to their end.

    :param observer: is told.
    :param clock: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        observer: Observers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observer = observer
        self._clock = clock
        # What observers are given, and when it began.
        self._open: dict[Association, tuple[Connection, float]] = {}

    @property
    def watched(self) -> bool:
        """Whether there is anything to tell of those that begin, or have begun."""
        observer = self._observer
        return bool(observer.opened or observer.identified or observer.closed or self._open)

    def use(self, observer: Observers) -> None:
        """Tell this one from now on."""
        self._observer = observer

    def began(self, association: Association) -> None:
        """Follow an association from now on."""
        user, observer = association.user, self._observer
        connection = Connection((association.client_host,), network="udp")
        self._open[association] = connection, self._clock()
        if observer.opened is not None:
            observer.opened(connection)
        connection.user = user
        if observer.identified is not None:
            observer.identified(connection)

    def over(self, association: Association) -> None:
        """Tell of the end of an association."""
        connection, since = self._open.pop(association, (None, 0.0))
        if connection is not None and self._observer.closed is not None:
            # It may go on from another address than it began at.
            connection.peer = (association.client_host,)
            connection.bytes_up = association.bytes_up
            connection.bytes_down = association.bytes_down
            connection.seconds = self._clock() - since
            self._observer.closed(connection)
