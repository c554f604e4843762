"""What a look-up has found, and what somebody who looks names up has to offer."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from .order import AddrInfo


class Failure(NamedTuple):
    """Why there are no addresses.

    Not an exception, which would collect a traceback each time that it is raised.
    """

    #: EAI_NONAME and its like, as :class:`socket.gaierror` has it.
    code: int
    reason: str
    #: What this host lacks, such as EMFILE, where it is about that.
    errno: int | None = None


#: The words are those of glibc.
NO_SUCH_NAME = Failure(socket.EAI_NONAME, "Name or service not known")
NO_ADDRESS = Failure(
    getattr(socket, "EAI_NODATA", socket.EAI_NONAME), "No address associated with hostname"
)


class Finding(NamedTuple):
    """Addresses, or why there are none."""

    #: In the order in which to try them; their port is 0.
    addresses: tuple[AddrInfo, ...]
    #: Seconds for which this may be kept.
    ttl: float
    #: Instead of addresses.
    failure: Failure | None = None
    #: Whether the failure says something of the name; otherwise nobody has answered.
    of_name: bool = True
    #: Whether a further finding of this look-up follows.
    more: bool = False


class LookUp(Protocol):
    """One that is under way."""

    def close(self) -> bool:
        """Give it up, and tell whether it is over; otherwise its last finding still comes."""
        ...


class Source(Protocol):
    """Somebody who looks names up."""

    def look_up(self, name: str, found: Callable[[Finding], None]) -> LookUp:
        """Begin to look a name up.

        :param name: in lower case and ASCII, without a final dot.
        :param found: takes what is found, later than this call.
        """
        ...

    async def close(self) -> None:
        """Wait until all that it began has ended, once every look-up is closed."""
        ...
