"""How many of everything a service may have: by its options, and by its limit of open files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .descriptors import lookups_of_client, possible_associations, possible_connections
from .limits import Cap, ClientLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsocks.config import Options

    from .client_counts import ClientCounts

#: Fewer connections than this are not enough for more than a few users.
_FEW_CONNECTIONS = 1000

#: Those that :class:`ClientLimits` keeps.
_OF_CONNECTIONS = (
    Cap.CONNECTIONS,
    Cap.CONNECTIONS_PER_CLIENT,
    Cap.HANDSHAKES,
    Cap.HANDSHAKES_PER_CLIENT,
)


class Caps:
    """The caps of a service.

    :param options: None is no cap at all.
    :param workers: how many processes run the service.
    """

    def __init__(self, options: Options | None = None, workers: int = 1) -> None:
        #: What each is set to; 0 is no cap.
        self.counts: dict[Cap, int] = {}
        #: How many connections the processes have room for, where that is fewer than are wanted,
        #: or than a few users need.
        self.too_few: int | None = None
        #: What is asked for; 0 is no cap.
        self.wanted = 0
        self._files_rule = False
        self._possible = possible_connections(udp=options is not None and options.relays_udp)
        if options is None:
            return
        self.counts = {cap: getattr(options, cap.value) for cap in Cap}
        self.counts[Cap.LOOKUPS_PER_CLIENT] = lookups_of_client(options.max_lookups_per_client)
        self.wanted = options.max_connections
        if self._possible is None:
            return
        possible = self._possible * workers
        if possible < (self.wanted or _FEW_CONNECTIONS):
            self.too_few = possible
        if not 0 < self.wanted <= possible:
            # Better to refuse a client than to accept one and have nothing left to dial with.
            self.counts[Cap.CONNECTIONS] = possible
            self._files_rule = True

    def files_rule(self, cap: Cap) -> bool:
        """Tell whether it is the limit of open files that caps this."""
        if cap is Cap.CONNECTIONS:
            return self._files_rule
        if cap is not Cap.UDP_ASSOCIATIONS:
            return False
        possible, wanted = possible_associations(), self.counts[cap]
        return possible is not None and not 0 < wanted <= possible

    def apply(self, limits: ClientLimits) -> None:
        """Let those on connections hold from now on."""
        limits.change(**self._of_connections())

    def limits(
        self, hit: Callable[[Cap, str], None], counts: ClientCounts | None = None
    ) -> ClientLimits:
        """Make what keeps those on connections; the parameters are those of ClientLimits."""
        return ClientLimits(
            **self._of_connections(),
            hit=hit,
            counts=counts,
            max_connections_here=self._possible or 0,
        )

    def _of_connections(self) -> dict[str, int]:
        return {cap.value: self.counts.get(cap, 0) for cap in _OF_CONNECTIONS}
