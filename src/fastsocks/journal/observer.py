"""What is told of connections: to the log, and to observers that a program writes."""

from __future__ import annotations

import asyncio
import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from fastsocks.errors import ConfigError
from fastsocks.policy.limits import client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fastsocks.address import Address
    from fastsocks.errors import FastsocksError
    from fastsocks.policy.limits import Cap
    from fastsocks.request import Peer

_NO_STAGES: Mapping[str, float] = MappingProxyType({})


class Connection:
    """A client's TCP connection or UDP association, as observers see it.

    It is one object from its beginning to its end, so that it may be the key of what a program
    keeps of it. What is not known yet is None or 0. Only the service writes to it.

    :param peer: see :attr:`peer`; likewise the others.
    """

    __slots__ = (
        "__weakref__",
        "bytes_down",
        "bytes_up",
        "command",
        "error",
        "name",
        "network",
        "peer",
        "seconds",
        "server",
        "stages",
        "target",
        "user",
    )

    def __init__(
        self,
        peer: Peer,
        name: str = "",
        network: str = "tcp",
        user: str | None = None,
        target: Address | None = None,
    ) -> None:
        #: The client's socket address: host and port; of UDP the host alone. A PROXY header may
        #: name another one before it is identified.
        self.peer = peer
        #: What names it in the lines of the log; "" for UDP.
        self.name = name
        #: ``tcp`` or ``udp``.
        self.network = network
        #: Who has logged in, or whose key it is; None where there are no users.
        self.user = user
        #: What the client asks for, of a BIND what came; None for UDP, which has many.
        self.target = target
        #: RFC 1928 CMD: 1 for CONNECT, 2 for BIND, 3 for UDP ASSOCIATE; 0 for UDP itself.
        self.command = 0
        #: The first Shadowsocks server on its way; None where there is none, or before its relay.
        self.server: Address | None = None
        #: Why it has failed; None as long as it has not.
        self.error: FastsocksError | None = None
        #: Payload from the client, in bytes; known once it is closed, as what follows is.
        self.bytes_up = 0
        #: Payload to the client, in bytes.
        self.bytes_down = 0
        #: From its beginning to its end.
        self.seconds = 0.0
        #: How long its stages took, in seconds, as the access log names them; of TCP only.
        self.stages = _NO_STAGES

    @property
    def client(self) -> str:
        """What counts as one client: an IPv4 address, or an IPv6 /64."""
        return client_of(str(self.peer[0]))


class LimitHit(NamedTuple):
    """A cap that was reached."""

    #: The name of the option, such as ``max_connections``.
    limit: str
    #: Whom it has hit: as :attr:`Connection.client`, or a user where the cap is one of users.
    client: str


class Observer:
    """Is told what happens to the connections of a service.

    A program derives its own from this class, with those methods that it has a use for: the
    others cost nothing. They are plain functions, called in the thread of the service's loop,
    and hold it up for as long as they take. What they raise ends no connection: the loop's
    exception handler is told, once for each method and type of exception.

    Of every connection come, in this order: :meth:`opened`, then :meth:`identified` unless it has
    ended before, then :meth:`refused` or :meth:`failed` where it does not end well, and
    :meth:`closed`, just once. What a cap turns away is never opened: see :meth:`limit_hit`.
    """

    def opened(self, connection: Connection) -> None:
        """A connection was accepted, or an association begins."""

    def identified(self, connection: Connection) -> None:
        """User and request are known; nothing has been decided on it."""

    def refused(self, connection: Connection) -> None:
        """It fails before anything is relayed; see :attr:`Connection.error`.

        Of UDP this is told of single targets, and of ways to them, by a connection of its own
        that was not opened and is not closed.
        """

    def failed(self, connection: Connection) -> None:
        """It was relayed, and ends by an error; see :attr:`Connection.error`."""

    def closed(self, connection: Connection) -> None:
        """It is over, and all is known of it."""

    def limit_hit(self, hit: LimitHit) -> None:
        """A cap was reached: something was refused, had to wait, or was ended for another."""

    def unanswered(self, connection: Connection, in_a_row: int) -> None:
        """It was closed without an answer of its Shadowsocks server, which seems to give none.

        :param in_a_row: as how many before it, and it.
        """

    def server_silent(self, server: Address, seconds: float) -> None:
        """For so many seconds a Shadowsocks server has answered to nobody."""

    def datagrams_dropped(self, reason: str, client: str | None, count: int) -> None:
        """Datagrams were dropped.

        :param reason: as :attr:`fastsocks.Server.datagrams` counts them.
        :param client: whose they are, an IP address; None where that is not known.
        :param count: how many, since it was told the last time.
        """


class Observers:
    """Tells several observers.

    Each event of :class:`Observer` is an attribute here: a function to be called with what the
    observers are given, or None where none of them has that method, so that nobody prepares it.

    :param observers: in the order in which they are told.
    :raises ConfigError: one of them is no Observer, or has a coroutine function for a method.
    """

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        observers = tuple(observers)
        for one in observers:
            if not isinstance(one, Observer):
                raise ConfigError(f"observers: {one!r} is no fastsocks.Observer")
        self.opened: Callable[[Connection], None] | None = _event("opened", observers)
        self.identified: Callable[[Connection], None] | None = _event("identified", observers)
        self.refused: Callable[[Connection], None] | None = _event("refused", observers)
        self.failed: Callable[[Connection], None] | None = _event("failed", observers)
        self.closed: Callable[[Connection], None] | None = _event("closed", observers)
        self.limit_hit: Callable[[LimitHit], None] | None = _event("limit_hit", observers)
        self.unanswered: Callable[[Connection, int], None] | None
        self.unanswered = _event("unanswered", observers)
        self.server_silent: Callable[[Address, float], None] | None
        self.server_silent = _event("server_silent", observers)
        self.datagrams_dropped: Callable[[str, str | None, int], None] | None
        self.datagrams_dropped = _event("datagrams_dropped", observers)

    def cap_reached(self, cap: Cap, client: str) -> None:
        """Tell of a cap; see :class:`LimitHit`."""
        if self.limit_hit is not None:
            self.limit_hit(LimitHit(cap.value, client))

    def refuse_datagrams(
        self,
        error: FastsocksError,
        client: str,
        target: Address | None = None,
        user: str | None = None,
    ) -> None:
        """Tell that datagrams cannot go to a target, or not at all.

        :param client: the IP address of whose they are.
        """
        if self.refused is not None:
            connection = Connection((client,), network="udp", user=user, target=target)
            connection.error = error
            self.refused(connection)


def _event(name: str, observers: Iterable[Observer]) -> Callable[..., None] | None:
    nothing = getattr(Observer, name)
    found = [getattr(one, name) for one in observers]
    methods = [one for one in found if getattr(one, "__func__", None) is not nothing]
    for method in methods:
        if inspect.iscoroutinefunction(method):
            raise ConfigError(f"observers: {method.__qualname__} has to be a plain function")
    if not methods:
        return None
    raised: set[tuple[Any, type[Exception]]] = set()

    def tell(*about: Any) -> None:
        for method in methods:
            try:
                method(*about)
            except Exception as error:  # noqa: BLE001
                if (method, type(error)) not in raised:
                    raised.add((method, type(error)))
                    asyncio.get_running_loop().call_exception_handler(
                        {"message": f"an observer failed in {name}", "exception": error}
                    )

    return tell
