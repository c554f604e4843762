"""What set-up and the protocols of clients speak of, in pure Python; the twin of ``_inbound.pyx``.

An :class:`Inbound` speaks a client's protocol, and :class:`Inbounds` makes one for each accepted
connection. Classes of Python need not derive from them: what has their members will do, and may
leave out those that have a default here. All calls come from the loop's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..address import Address
    from ..buffer import Buffer
    from ..errors import FastsocksError
    from ..request import Peer, Request


class Accepted(Protocol):
    """An accepted connection, as those may see it who decide about it."""

    @property
    def peer(self) -> Peer:
        """Who the client is: for rules, caps, fairness and logs."""

    @property
    def client(self) -> int:
        """The descriptor of the client's connection, set-up's own; -1 once it is relayed."""

    @property
    def local_host(self) -> str:
        """The IP address of our end, as a socket names it; for BIND and UDP ASSOCIATE, else ""."""

    def local(self) -> Peer:
        """Return the socket address of our end: where the client came to.

        :raises OSError: the connection is over.
        """

    def rename(self, peer: Peer) -> None:
        """Let it be another client's, whom somebody trusted names before the request is known.

        What the connection takes up counts as that client's from now on.

        :param peer: a socket address; host and port will do.
        :raises LimitError: the client has too many connections; let it pass, and the connection is
            closed as one that is not admitted.
        """

    def hand_to(self, inbound: Inbound) -> None:
        """Let another Inbound go on with it, before the request is known.

        For an Inbound of what comes before the protocol of a client: it returns what the other one
        makes of the bytes that are left, or None.
        """


class Inbound(Protocol):
    """One accepted connection, until its request is known."""

    #: What follows a ProtocolError: drain in silence (True), or send and close.
    silent: bool = False
    #: Whether an answer can end inside a record: then its client, who alone can tell, is told of
    #: no break but by an end that :meth:`failed` returns bytes for.
    cuts_answers: bool = False
    #: Whether :meth:`connected` tells its client which address the target is reached from; where
    #: not, that is not asked for.
    tells_address: bool = True
    #: Whether it is not told IPv6 addresses that targets are reached from.
    short_replies: bool = False

    def begin(self, accepted: Accepted) -> Request | None:
        """Begin, before anything has come.

        Asked only of those whose :class:`Inbounds` need no byte.

        :return: the request already, where no byte is needed for it.
        :raises ProtocolError: there can be none.
        """
        return None

    def receive(self, data: Buffer) -> Request | None:
        """Take in 1 byte or more from the client.

        :return: the request, once it is known; early data that came with it is in it.
        :raises ProtocolError: the client broke the protocol.
        """
        raise NotImplementedError

    @property
    def codec(self) -> Any:
        """The relay's codec for this end, a :class:`fastsocks.relay.RelayCodec`; None: plain."""
        return None

    @property
    def pending(self) -> Awaitable[Request | None] | None:
        """What the handshake waits for, other than the client: a password's check, say.

        Looked at only when :meth:`receive` or :meth:`begin` has returned None. Where there is
        something, set-up sends what :meth:`take_outgoing` returns, awaits it instead of reading on,
        and takes its result, or the FastsocksError that it raises, as those of :meth:`receive`. So
        an Inbound keeps what the client sent ahead, and goes on with it in a coroutine::

            def receive(self, data):
                ...
                self.pending = self._go_on(check(username, password), data[position:])
                return None

            async def _go_on(self, verdict, data):
                user = await verdict
                self.pending = None  # or the next one
                ...

        The time limit of the handshake and the end of the service cancel it: what others wait
        for too is for the Inbound to shield. After the time limit :meth:`failed` is called.
        """
        return None

    @property
    def user(self) -> str | None:
        """Who has logged in, for observers of a request that cannot be read; else None."""
        return None

    def take_outgoing(self) -> bytes:
        """Return what to send to the client now, and forget it."""
        return b""

    def connected(self, bound: Address | None) -> bytes:
        """Return what to send to the client once the dial stands.

        It is called twice for a BIND; see :class:`fastsocks.setup.roles.Outbound`.

        :param bound: the local address of the outgoing connection, where it is known and told.
        """
        return b""

    def failed(self, error: FastsocksError) -> bytes:
        """Return what to send to the client before closing because of `error`."""
        return b""


class Inbounds(Protocol):
    """Makes the Inbound of each connection of a service."""

    #: Whether the request may be known before the client has sent anything, so that
    #: :meth:`Inbound.begin` is asked, and the kernel tells of connections that are silent yet.
    needs_no_byte: bool = False
    #: Is asked whether the host of an accepted connection is a front, which names its clients
    #: (:meth:`Accepted.rename`): no cap on one client then acts when it is accepted. None: no host.
    is_front: Callable[[str], bool] | None = None

    def inbound(self, accepted: Accepted) -> Inbound:
        """Make the Inbound of a connection that was just accepted."""
        raise NotImplementedError
