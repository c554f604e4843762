"""The client's side of a SOCKS5 handshake; bytes in, a reply and bytes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from fastsocks.errors import (
    AuthenticationError,
    ConfigError,
    ProtocolError,
    ReplyError,
    TruncatedError,
)
from fastsocks.request import CONNECT

from .messages import (
    GSSAPI,
    NO_ACCEPTABLE_METHODS,
    NO_AUTHENTICATION,
    SUCCEEDED,
    USERNAME_PASSWORD,
    build_credentials,
    build_greeting,
    build_request,
    read_choice,
    read_reply,
    read_status,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from fastsocks.address import Address
    from fastsocks.buffer import Buffer

    from .gssapi import ClientNegotiation, ProtectedStream

# What the server owes next.
_CHOICE: Final = 0
_STATUS: Final = 1
_NEGOTIATION: Final = 2
_REPLY: Final = 3
_DONE: Final = 4

_OWED = (
    "its choice of method",
    "the outcome of the login",
    "the end of the GSSAPI negotiation",
    "its reply",
)

_REASONS = {
    0x01: "general failure",
    0x02: "not allowed by its rules",
    0x03: "network unreachable",
    0x04: "host unreachable",
    0x05: "connection refused",
    0x06: "TTL expired",
    0x07: "command not supported",
    0x08: "address type not supported",
}


class Reply(NamedTuple):
    """A SOCKS server's success."""

    #: BND.ADDR BND.PORT: what the server says is its end of the connection to the target.
    bound: Address
    #: What the target has already said.
    early_data: bytes


class SocksClient:
    """One connection to a SOCKS5 server (RFC 1928, 1929, 1961), up to its reply.

    Send what :meth:`take_outgoing` holds, at the start and after every :meth:`receive`,
    until `receive` returns a :class:`Reply` or raises. At an end of stream before that,
    call :meth:`end_of_stream`. With GSSAPI :attr:`pending` is to be awaited after every
    `receive` that returns None.

    The server is offered a login only where there are credentials, and never only a login.

    :param address: the target; its name, if it is one, is left to the server to resolve.
    :param username: 1..255 bytes, any; None goes with no password.
    :param password: 1..255 bytes, any.
    :param command: RFC 1928 CMD, 0..255.
    :param gssapi: a new negotiation; then nothing else is offered.
    :raises ConfigError: one of the credentials is missing, empty or too long.
    """

    __slots__ = (
        "_credentials",
        "_kept",
        "_negotiation",
        "_outgoing",
        "_request",
        "_stage",
        "_token",
        "codec",
    )

    def __init__(
        self,
        address: Address,
        *,
        username: bytes | None = None,
        password: bytes | None = None,
        command: int = CONNECT,
        gssapi: ClientNegotiation | None = None,
    ) -> None:
        self._credentials = None
        if gssapi is None:
            self._credentials = _check_credentials(username, password)
        self._negotiation = gssapi
        # What the negotiation is to go on with; empty at its start.
        self._token: bytes | None = None
        #: What protects all that follows the negotiation; None for plain bytes.
        self.codec: ProtectedStream | None = None
        self._request = build_request(command, address)
        methods = [NO_AUTHENTICATION if gssapi is None else GSSAPI]
        if self._credentials is not None:
            methods.append(USERNAME_PASSWORD)
        self._outgoing = build_greeting(bytes(methods))
        self._kept = b""
        self._stage = _CHOICE

    def take_outgoing(self) -> bytes:
        """Return what to send to the server now, and forget it."""
        outgoing = self._outgoing
        self._outgoing = b""
        return outgoing

    def receive(self, data: Buffer) -> Reply | None:
        """Take in what the server sent, cut anywhere.

        :param data: 1 byte or more; not referred to afterwards.
        :return: the server's reply once it is complete, with what followed it as early
            data; until then None. Nothing can be received after it, nor while there is
            :attr:`pending`.
        :raises VersionError: the server does not speak SOCKS5.
        :raises AuthenticationError: the server accepts no method, or not the credentials.
        :raises ReplyError: the server could not or would not connect; raised at the reply's
            second byte, because some servers cut a failure short (ss-local of
            shadowsocks-libev: after 4 bytes).
        :raises ProtectionError: a GSSAPI message that was changed, or with less protection.
        :raises ProtocolError: an answer that makes no sense. (All are ProtocolErrors.)
        """
        if self._stage == _DONE:
            raise RuntimeError("this handshake has ended")
        try:
            if self.codec is not None:
                data = self.codec.open(data)
            if self._kept:
                data = self._kept + data
                self._kept = b""
            return self._advance(data)
        except ProtocolError:
            self._stage = _DONE
            raise

    @property
    def pending(self) -> Awaitable[Reply | None] | None:
        """What has to be awaited before more is received: one step of GSSAPI.

        A new awaitable each time, whose result and errors are those of :meth:`receive`.
        """
        return None if self._token is None else self._negotiate(self._token)

    def end_of_stream(self) -> NoReturn:
        """Turn the end of the server's stream into the error that it is.

        :raises TruncatedError: always; there was no complete answer.
        """
        if self._stage == _DONE:
            raise RuntimeError("this handshake has ended")
        owed = _OWED[self._stage]
        self._stage = _DONE
        raise TruncatedError(f"the SOCKS server closed the connection before {owed}")

    def _advance(self, data: Buffer) -> Reply | None:
        position = 0
        if self._stage == _CHOICE:
            choice = read_choice(data)
            if choice is None:
                self._kept = bytes(data)
                return None
            method, position = choice
            self._follow_choice(method)
        if self._stage == _NEGOTIATION and self._negotiation is not None:
            self._negotiation.receive(data[position:])
            if self._token is None:
                self._token = self._negotiation.take_token()
            return None
        if self._stage == _STATUS:
            answer = read_status(data, position)
            if answer is None:
                self._kept = bytes(data[position:])
                return None
            status, position = answer
            if status:
                raise AuthenticationError("the SOCKS server refuses these credentials")
            self._send_request()
        return self._read_reply(data, position)

    def _follow_choice(self, method: int) -> None:
        if method == GSSAPI and self._negotiation is not None:
            self._stage = _NEGOTIATION
            self._token = b""
        elif method == NO_AUTHENTICATION and self._negotiation is None:
            self._send_request()
        elif method == USERNAME_PASSWORD and self._credentials is not None:
            self._outgoing += self._credentials
            self._stage = _STATUS
        elif method == NO_ACCEPTABLE_METHODS:
            raise AuthenticationError("the SOCKS server accepts none of our methods")
        else:
            raise ProtocolError(f"the SOCKS server chose method {method:#04x} unasked")

    async def _negotiate(self, token: bytes) -> Reply | None:
        negotiation = self._negotiation
        if negotiation is None:
            raise RuntimeError("there is no negotiation")
        try:
            self._outgoing += await negotiation.step(token)
            if not negotiation.done:
                self._token = negotiation.take_token()
                return None
            self._token = self._negotiation = None
            self.codec = negotiation.open_stream()
            self._send_request()
            data = negotiation.take_rest()
            return self._advance(data if self.codec is None else self.codec.open(data))
        except ProtocolError:
            self._stage = _DONE
            raise

    def _send_request(self) -> None:
        request = self._request
        self._outgoing += request if self.codec is None else self.codec.seal(request)
        self._stage = _REPLY

    def _read_reply(self, data: Buffer, position: int) -> Reply | None:
        # VER and REP, laid out as in a choice of method.
        head = read_choice(data, position)
        if head is not None and head[0] != SUCCEEDED:
            code = head[0]
            reason = _REASONS.get(code, "unknown reason")
            raise ReplyError(f"the SOCKS server answered {code:#04x}, {reason}", code)
        reply = read_reply(data, position)
        if reply is None:
            self._kept = bytes(data[position:])
            return None
        _, bound, position = reply
        self._stage = _DONE
        return Reply(bound, bytes(data[position:]))


def _check_credentials(username: bytes | None, password: bytes | None) -> bytes | None:
    if username is None or password is None:
        if username is not password:
            raise ConfigError("SOCKS credentials are a username and a password, not one of them")
        return None
    for name, value in (("username", username), ("password", password)):
        if not 1 <= len(value) <= 255:
            raise ConfigError(f"a SOCKS {name} of {len(value)} bytes; it takes 1..255")
    return build_credentials(username, password)
