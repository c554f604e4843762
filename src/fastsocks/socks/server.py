"""The server's side of a SOCKS5 handshake; bytes in, a request and bytes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from fastsocks.errors import (
    AuthenticationError,
    BusyError,
    CommandError,
    ProtectionError,
    ProtocolError,
    VersionError,
)
from fastsocks.request import BIND, CONNECT, UDP_ASSOCIATE, Request

from .gssapi_messages import REFUSAL
from .messages import (
    GSSAPI,
    NO_ACCEPTABLE_METHODS,
    NO_AUTHENTICATION,
    SUCCEEDED,
    USERNAME_PASSWORD,
    build_choice,
    build_reply,
    build_status,
    read_credentials,
    read_greeting,
    read_request,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator
    from typing import Any

    from fastsocks.address import Address
    from fastsocks.buffer import Buffer
    from fastsocks.errors import FastsocksError

    from .gssapi import ProtectedStream, ServerNegotiation

    #: Tells whose user name and password these are; None is nobody's, and refuses.
    Check: TypeAlias = Callable[[bytes, bytes], str | Awaitable[str | None] | None]

# What the client owes next, then what we owe it.
_GREETING: Final = 0
_CREDENTIALS: Final = 1
_CHECKING: Final = 2
_NEGOTIATION: Final = 3
_REQUEST: Final = 4
_BINDING: Final = 5
_DIALING: Final = 6
_REFUSED: Final = 7
_DONE: Final = 8

_CHOICES = {
    method: build_choice(method)
    for method in (NO_AUTHENTICATION, GSSAPI, USERNAME_PASSWORD, NO_ACCEPTABLE_METHODS)
}
_WELCOME = build_status(0)
_WRONG_CREDENTIALS = build_status(1)


class SocksServer:
    """One accepted connection of a SOCKS5 server (RFC 1928, 1929, 1961), up to its request.

    The caller hands every read to :meth:`receive` and sends what :meth:`take_outgoing`
    then holds, until one of these ends it:

    - a :class:`~fastsocks.request.Request` comes back: dial, and send what
      :meth:`connected` or :meth:`failed` returns; for a BIND `connected` is due twice;
    - `receive` raises: send what :meth:`failed` returns for that error, and close;
    - :attr:`pending` is there after None was returned: await it, and take what it returns or
      raises as that of `receive`;
    - the client leaves or takes too long: `failed` returns nothing to add, close.

    `connected` and `failed` return everything still owed, in order: also what
    `take_outgoing` was not asked for. None of it is owed twice.

    What is kept between two reads is one incomplete message, less than 513 bytes, or 65539 of
    GSSAPI; while a check takes its time, what the client had sent ahead.

    :param check: is given user name and password of a client, any bytes, and returns the user's
        name, or None, which refuses, or what is to be awaited for that. A BusyError, raised now or
        then, refuses the request with a general failure. With it every client has
        to log in; None lets everybody in, unless there is `gssapi`.
    :param commands: what is offered here; other commands are refused with reply 7.
    :param gssapi: begins a negotiation of GSSAPI, for clients that do not offer to log in with
        a password, or cannot.
    """

    __slots__ = (
        "_busy",
        "_check",
        "_commands",
        "_gssapi",
        "_kept",
        "_negotiation",
        "_outgoing",
        "_refusal",
        "_stage",
        "codec",
        "pending",
        "user",
    )

    #: A client is told what it did wrong.
    silent = False

    def __init__(
        self,
        check: Check | None = None,
        commands: Collection[int] = (CONNECT,),
        gssapi: Callable[[], ServerNegotiation] | None = None,
    ) -> None:
        #: The rest of the handshake, to be awaited, while `check` or GSSAPI takes its time.
        self.pending: Awaitable[Request | None] | None = None
        #: What protects all that follows a negotiation; None for plain bytes.
        self.codec: ProtectedStream | None = None
        self._gssapi = gssapi
        self._negotiation: ServerNegotiation | None = None
        self._check = check
        self._commands = commands
        self._stage = _GREETING
        self._kept = b""
        self._outgoing = b""
        self._refusal = b""
        #: Who has logged in by now.
        self.user: str | None = None
        # Why the client's request will be refused, whatever it is.
        self._busy: BusyError | None = None

    def receive(self, data: Buffer) -> Request | None:
        """Take in what the client sent, cut anywhere.

        :param data: 1 byte or more; not referred to afterwards.
        :return: the request once it is complete, with what followed it as early data;
            until then None. Nothing can be received after it.
        :raises VersionError: not SOCKS5, or not the message that is due.
        :raises AuthenticationError: no acceptable method, or wrong credentials.
        :raises BusyError: the login could not be checked.
        :raises AddressError: ATYP is unknown, or the name is empty or contains NUL.
        :raises CommandError: the command is not offered here.
        :raises ProtectionError: GSSAPI messages that were changed, or with less protection.
        :raises ProtocolError: the greeting has no methods. (All are ProtocolErrors.)
        """
        if self._stage > _REQUEST or self._stage == _CHECKING:
            raise RuntimeError("this handshake has ended, or waits")
        try:
            if self.codec is not None:
                data = self.codec.open(data)
            if self._kept:
                data = self._kept + data
                self._kept = b""
            return self._advance(data)
        except ProtocolError as error:
            self._refuse(error)
            raise

    def take_outgoing(self) -> bytes:
        """Return what to send to the client now, and forget it."""
        outgoing = self._outgoing
        self._outgoing = b""
        return outgoing

    def connected(self, bound: Address | None) -> bytes:
        """Return what to send to the client once the dial stands: reply 0.

        Of the two replies to a BIND (RFC 1928 section 6) the first is due once we listen, the
        second, or what :meth:`failed` returns, once the peer has connected.

        :param bound: the local address of the connection to the target; of a BIND where we
            listen, then the address of the peer. None, where it is not known, is sent as
            0.0.0.0:0.
        """
        if self._stage not in (_BINDING, _DIALING):
            raise RuntimeError("there is no request to answer")
        self._stage = _DIALING if self._stage == _BINDING else _DONE
        return self.take_outgoing() + self._seal(build_reply(SUCCEEDED, bound))

    def failed(self, error: FastsocksError) -> bytes:
        """Return what to send to the client before closing because of `error`.

        After a request that is the reply with the code of `error`. After `receive` has
        raised it is the refusal that belongs to the stage: 05 FF, 01 01, 01 FF, a reply, or
        nothing to a peer that does not speak SOCKS5 at all. Amid the handshake (timeout,
        end of stream) and after an answer nothing is added.
        """
        if self._stage in (_BINDING, _DIALING):
            self._refusal = self._seal(build_reply(error.reply))
        refusal = self._refusal
        self._refusal = b""
        self._stage = _DONE
        return self.take_outgoing() + refusal

    def _advance(self, data: Buffer) -> Request | None:
        position = 0
        if self._stage == _GREETING:
            greeting = read_greeting(data)
            if greeting is None:
                self._kept = bytes(data)
                return None
            methods, position = greeting
            self._choose_method(methods)
        if self._negotiation is not None:
            self._negotiation.receive(data[position:])
            self._negotiate(self._negotiation)
            return None
        if self._stage == _CREDENTIALS:
            credentials = read_credentials(data, position)
            if credentials is None:
                self._kept = bytes(data[position:])
                return None
            username, password, position = credentials
            try:
                verdict = self._check(username, password) if self._check is not None else None
            except BusyError as error:
                self._put_off(error)
                return self._read_request(data, position)
            if verdict is not None and not isinstance(verdict, str):
                self._stage = _CHECKING
                self.pending = _Pending(self._go_on, verdict, bytes(data[position:]))
                return None
            self._log_in(verdict)
        return self._read_request(data, position)

    async def _go_on(self, verdict: Awaitable[str | None], data: bytes) -> Request | None:
        """Wait whether the client may log in, and read what it has sent ahead."""
        busy = user = None
        try:
            user = await verdict
        except BusyError as error:
            busy = error
        self.pending = None
        self._stage = _CREDENTIALS
        try:
            if busy is None:
                self._log_in(user)
            else:
                self._put_off(busy)
            return self._read_request(data, 0)
        except ProtocolError as error:
            self._refuse(error)
            raise

    def _read_request(self, data: Buffer, position: int) -> Request | None:
        request = read_request(data, position)
        if request is None:
            self._kept = bytes(data[position:])
            return None
        if self._busy is not None:
            raise self._busy
        command, address, position = request
        if command not in self._commands:
            raise CommandError(f"command {command:#04x} is not offered")
        if command == UDP_ASSOCIATE and self.codec is not None:
            raise CommandError("UDP ASSOCIATE is not offered with messages that GSSAPI protects")
        self._stage = _BINDING if command == BIND else _DIALING
        return Request(address, bytes(data[position:]), self.user, command)

    def _choose_method(self, methods: bytes) -> None:
        if self._check is not None and USERNAME_PASSWORD in methods:
            method, self._stage = USERNAME_PASSWORD, _CREDENTIALS
        elif self._gssapi is not None and GSSAPI in methods:
            method, self._stage = GSSAPI, _NEGOTIATION
            self._negotiation = self._gssapi()
        elif self._check is None and self._gssapi is None and NO_AUTHENTICATION in methods:
            method, self._stage = NO_AUTHENTICATION, _REQUEST
        else:
            accepted = [
                f"{method:#04x}"
                for method, known in ((GSSAPI, self._gssapi), (USERNAME_PASSWORD, self._check))
                if known is not None
            ] or [f"{NO_AUTHENTICATION:#04x}"]
            raise AuthenticationError(f"the client does not offer method {' or '.join(accepted)}")
        self._outgoing = _CHOICES[method]

    def _negotiate(self, negotiation: ServerNegotiation) -> None:
        token = negotiation.take_token()
        self.pending = None if token is None else _Pending(self._step, negotiation, token)

    async def _step(self, negotiation: ServerNegotiation, token: bytes) -> Request | None:
        """Go on by one message of GSSAPI, and to the request behind the last one."""
        try:
            self._outgoing += await negotiation.step(token)
            if not negotiation.done:
                self._negotiate(negotiation)
                return None
            self.pending = self._negotiation = None
            self.user = negotiation.principal
            self.codec = negotiation.open_stream()
            self._stage = _REQUEST
            data = negotiation.take_rest()
            return self._advance(data if self.codec is None else self.codec.open(data))
        except ProtocolError as error:
            self.pending = self._negotiation = None
            self._refuse(error)
            raise

    def _put_off(self, error: BusyError) -> None:
        """Let a client, of whom nobody knows who it is, ask for what it will not get.

        RFC 1929 has no status but success for who did not give a wrong password; a reply to a
        request does.
        """
        self._busy = error
        self._outgoing += _WELCOME
        self._stage = _REQUEST

    def _log_in(self, user: str | None) -> None:
        if user is None:
            raise AuthenticationError("wrong username or password")
        self.user = user
        self._outgoing += _WELCOME
        self._stage = _REQUEST

    def _refuse(self, error: ProtocolError) -> None:
        self._refusal = self._build_refusal(error)
        self._stage = _REFUSED

    def _build_refusal(self, error: ProtocolError) -> bytes:
        if self._stage == _GREETING:
            return b"" if isinstance(error, VersionError) else _CHOICES[NO_ACCEPTABLE_METHODS]
        if self._stage == _CREDENTIALS:
            return _WRONG_CREDENTIALS
        if self._stage == _NEGOTIATION:
            return REFUSAL
        return self._seal(build_reply(error.reply))

    def _seal(self, reply: bytes) -> bytes:
        if self.codec is None:
            return reply
        try:
            return self.codec.seal(reply)
        except ProtectionError:
            # The context has ended: nothing can be said any more, as the relay will find, too.
            return b""


class _Pending:
    """Calls a coroutine function when it is awaited.

    Whoever finds the client gone may drop it; Python would complain of a dropped coroutine.
    """

    __slots__ = ("_arguments", "_function")

    def __init__(
        self, function: Callable[..., Coroutine[Any, Any, Request | None]], *arguments: object
    ) -> None:
        self._function = function
        self._arguments = arguments

    def __await__(self) -> Generator[Any, None, Request | None]:
        return self._function(*self._arguments).__await__()
