"""The server's side of a SOCKS5 handshake; bytes in, a request and bytes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from fastsocks.errors import (
    AuthenticationError,
    CommandError,
    ProtocolError,
    VersionError,
)
from fastsocks.request import BIND, CONNECT, Request

from .messages import (
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
    from collections.abc import Awaitable, Callable, Collection

    from fastsocks.address import Address
    from fastsocks.errors import FastsocksError

    from .messages import Buffer

    #: Tells whose user name and password these are; None is nobody's, and refuses.
    Check: TypeAlias = Callable[[bytes, bytes], str | Awaitable[str | None] | None]

# What the client owes next, then what we owe it.
_GREETING: Final = 0
_CREDENTIALS: Final = 1
_CHECKING: Final = 2
_REQUEST: Final = 3
_BINDING: Final = 4
_DIALING: Final = 5
_REFUSED: Final = 6
_DONE: Final = 7

_CHOICES = {
    method: build_choice(method)
    for method in (NO_AUTHENTICATION, USERNAME_PASSWORD, NO_ACCEPTABLE_METHODS)
}
_WELCOME = build_status(0)
_WRONG_CREDENTIALS = build_status(1)


class SocksServer:
    """One accepted connection of a SOCKS5 server (RFC 1928, RFC 1929), up to its request.

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

    What is kept between two reads is one incomplete message, less than 513 bytes; while a check
    takes its time, what the client had sent ahead.

    :param check: is given user name and password of a client, any bytes, and returns the user's
        name, or None, which refuses, or what is to be awaited for that. With it every client has
        to log in; None lets everybody in.
    :param commands: what is offered here; other commands are refused with reply 7.
    """

    __slots__ = (
        "_check",
        "_commands",
        "_kept",
        "_outgoing",
        "_refusal",
        "_stage",
        "_user",
        "pending",
    )

    #: What follows the handshake is plain bytes.
    codec: None = None
    #: A client is told what it did wrong.
    silent = False

    def __init__(
        self,
        check: Check | None = None,
        commands: Collection[int] = (CONNECT,),
    ) -> None:
        #: The rest of the handshake, to be awaited, while `check` takes its time.
        self.pending: Awaitable[Request | None] | None = None
        self._check = check
        self._commands = commands
        self._stage = _GREETING
        self._kept = b""
        self._outgoing = b""
        self._refusal = b""
        self._user: str | None = None

    def receive(self, data: Buffer) -> Request | None:
        """Take in what the client sent, cut anywhere.

        :param data: 1 byte or more; not referred to afterwards.
        :return: the request once it is complete, with what followed it as early data;
            until then None. Nothing can be received after it.
        :raises VersionError: not SOCKS5, or not the message that is due.
        :raises AuthenticationError: no acceptable method, or wrong credentials.
        :raises AddressError: ATYP is unknown, or the name is empty or contains NUL.
        :raises CommandError: the command is not offered here.
        :raises ProtocolError: the greeting has no methods. (All are ProtocolErrors.)
        """
        if self._stage > _REQUEST or self._stage == _CHECKING:
            raise RuntimeError("this handshake has ended, or waits")
        if self._kept:
            data = self._kept + data
            self._kept = b""
        try:
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
        return self.take_outgoing() + build_reply(SUCCEEDED, bound)

    def failed(self, error: FastsocksError) -> bytes:
        """Return what to send to the client before closing because of `error`.

        After a request that is the reply with the code of `error`. After `receive` has
        raised it is the refusal that belongs to the stage: 05 FF, 01 01, a reply, or
        nothing to a peer that does not speak SOCKS5 at all. Amid the handshake (timeout,
        end of stream) and after an answer nothing is added.
        """
        if self._stage in (_BINDING, _DIALING):
            self._refusal = build_reply(error.reply)
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
        if self._stage == _CREDENTIALS:
            credentials = read_credentials(data, position)
            if credentials is None:
                self._kept = bytes(data[position:])
                return None
            username, password, position = credentials
            verdict = self._check(username, password) if self._check is not None else None
            if verdict is not None and not isinstance(verdict, str):
                self._stage = _CHECKING
                self.pending = self._go_on(verdict, bytes(data[position:]))
                return None
            self._log_in(verdict)
        return self._read_request(data, position)

    async def _go_on(self, verdict: Awaitable[str | None], data: bytes) -> Request | None:
        """Wait whether the client may log in, and read what it has sent ahead."""
        user = await verdict
        self.pending = None
        self._stage = _CREDENTIALS
        try:
            self._log_in(user)
            return self._read_request(data, 0)
        except ProtocolError as error:
            self._refuse(error)
            raise

    def _read_request(self, data: Buffer, position: int) -> Request | None:
        request = read_request(data, position)
        if request is None:
            self._kept = bytes(data[position:])
            return None
        command, address, position = request
        if command not in self._commands:
            raise CommandError(f"command {command:#04x} is not offered")
        self._stage = _BINDING if command == BIND else _DIALING
        return Request(address, bytes(data[position:]), self._user, command)

    def _choose_method(self, methods: bytes) -> None:
        if self._check is None:
            method, stage = NO_AUTHENTICATION, _REQUEST
        else:
            method, stage = USERNAME_PASSWORD, _CREDENTIALS
        if method not in methods:
            raise AuthenticationError(f"the client does not offer method {method:#04x}")
        self._outgoing = _CHOICES[method]
        self._stage = stage

    def _log_in(self, user: str | None) -> None:
        if user is None:
            raise AuthenticationError("wrong username or password")
        self._user = user
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
        return build_reply(error.reply)
