"""The server's side of an HTTP proxy; bytes in, a request and bytes out."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastsocks.errors import (
    AuthenticationError,
    BusyError,
    CommandError,
    HandshakeTimeoutError,
    PolicyError,
    ProtocolError,
    TruncatedError,
    UpstreamError,
)
from fastsocks.request import CONNECT, LONGEST_REQUEST_HEAD, Request

from .exchange import Exchange, asks_for_websocket, body_of, upgrade_fields
from .head import HeadReader, RequestError, build_head, end_to_end
from .target import read_absolute, read_authority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection

    from fastsocks.address import Address
    from fastsocks.buffer import Buffer
    from fastsocks.errors import FastsocksError
    from fastsocks.socks.server import Check

    from .head import Head, Headers

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_CHALLENGE = (b"Proxy-Authenticate", b'Basic realm="fastsocks", charset="UTF-8"')
#: REP of a dial that took too long.
_TTL_EXPIRED = 0x06


class HttpServer:
    """One accepted connection of an HTTP proxy, up to its request (RFC 9110, RFC 9112).

    It is used as :class:`fastsocks.socks.server.SocksServer` is. CONNECT becomes a tunnel. A
    plain request, in absolute-form, is rewritten for its target, and goes there as early data;
    :attr:`codec` then keeps the connection to this one request.

    What is kept between two reads is the bytes of one incomplete head; while a check takes its
    time, what the client had sent ahead.

    :param check: as of :class:`fastsocks.socks.server.SocksServer`; clients log in by Basic (RFC
        7617).
    :param commands: what is offered here; without CONNECT nothing is.
    :param longest_head: most bytes of a request's head.
    """

    __slots__ = (
        "_bodyless",
        "_check",
        "_commands",
        "_dialing",
        "_ended",
        "_reader",
        "_tunnel",
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
        longest_head: int = LONGEST_REQUEST_HEAD,
    ) -> None:
        self._check = check
        self._commands = commands
        self._reader: HeadReader | None = HeadReader(longest_head)
        self._tunnel = False
        self._bodyless = False
        self._dialing = False
        self._ended = False
        #: Of a plain request; a tunnel is plain bytes.
        self.codec: Exchange | None = None
        #: The rest of the handshake, to be awaited, while `check` takes its time.
        self.pending: Awaitable[Request | None] | None = None
        #: Who has logged in by now.
        self.user: str | None = None

    def receive(self, data: Buffer) -> Request | None:
        """Take in what the client sent, cut anywhere.

        :param data: 1 byte or more; not referred to afterwards.
        :return: the request once its head is complete, with what follows it as early data;
            until then None. Nothing can be received after it.
        :raises RequestError: the head is malformed, too long or asks for what is not done here.
        :raises AuthenticationError: no credentials, or wrong ones.
        :raises BusyError: they could not be checked.
        :raises CommandError: no connections are offered here. (All are ProtocolErrors.)
        """
        if self._reader is None:
            raise RuntimeError("this handshake has ended")
        try:
            found = self._reader.read(bytes(data))
            if found is None:
                return None
            self._reader = None
            return self._log_in(*found)
        except RequestError as error:
            self._reader = None
            raise _named(error) from None

    def take_outgoing(self) -> bytes:
        """Return nothing: a server of HTTP only answers requests."""
        return b""

    def connected(self, bound: Address | None) -> bytes:
        """Return what to send to the client once the dial stands: of a tunnel status 200."""
        if not self._dialing:
            raise RuntimeError("there is no request to answer")
        self._dialing = False
        self._ended = True
        return _ESTABLISHED if self._tunnel else b""

    def failed(self, error: FastsocksError) -> bytes:
        """Return what to send to the client before closing because of `error`.

        That is nothing to a client that has left or was answered.
        """
        if self._ended or isinstance(error, TruncatedError):
            return b""
        self._ended = True
        self._dialing = False
        return _answer(error, bodyless=self._bodyless)

    def _log_in(self, head: Head, rest: bytes) -> Request | None:
        self._bodyless = head.method == b"HEAD"
        if len(head.values(b"host")) > 1:
            raise RequestError("several fields Host")
        if self._check is None:
            return self._request(head, rest)
        verdict = self._check(*_credentials(head))
        if verdict is None or isinstance(verdict, str):
            self.user = _known(verdict)
            return self._request(head, rest)
        self.pending = self._go_on(verdict, head, rest)
        return None

    async def _go_on(
        self, verdict: Awaitable[str | None], head: Head, rest: bytes
    ) -> Request | None:
        """Wait whether the client may log in, and carry on with its request."""
        user = await verdict
        self.pending = None
        try:
            self.user = _known(user)
            return self._request(head, rest)
        except RequestError as error:
            raise _named(error) from None

    def _request(self, head: Head, rest: bytes) -> Request:
        if CONNECT not in self._commands:
            raise CommandError("HTTP requests are not offered")
        if head.method == b"CONNECT":
            request = self._connect(head, rest)
        else:
            request = self._plain(head, rest)
        self._dialing = True
        return request

    def _connect(self, head: Head, rest: bytes) -> Request:
        sizes = head.values(b"content-length")
        if head.values(b"transfer-encoding") or sizes not in ([], [b"0"]):
            raise RequestError("CONNECT has no body")
        address = read_authority(head.target)
        self._tunnel = True
        return Request(address, rest, self.user)

    def _plain(self, head: Head, rest: bytes) -> Request:
        if head.method == b"TRACE":
            # It would show the client what others add on the way, and nobody needs it.
            raise RequestError("TRACE is not passed on", 405)
        target = read_absolute(head.target, head.method)
        if head.version == "1.1" and not head.values(b"host"):
            raise RequestError("the field Host is missing")
        body = body_of(head)
        upgrade = asks_for_websocket(head)
        fields = [
            # RFC 9112 section 3.2.2: what the client has there does not count.
            (b"Host", target.authority),
            *_one_hop_further(head.method, end_to_end(head, b"host")),
            *(upgrade_fields() if upgrade else [(b"Connection", b"close")]),
        ]
        # Not always 1.1: a client of 1.0 could not read the chunks that it may bring.
        line = b"%b %b HTTP/%b" % (head.method, target.path, head.version.encode())
        codec = Exchange(body, upgrade=upgrade)
        first = build_head(line, fields) + codec.open(rest)
        request = Request(target.address, first, self.user)
        self.codec = codec
        return request


def _known(user: str | None) -> str:
    """Return the user's name.

    :raises AuthenticationError: it is nobody's.
    """
    if user is None:
        raise AuthenticationError("HTTP: wrong username or password")
    return user


def _named(error: RequestError) -> RequestError:
    """Return an error that says which protocol it is about."""
    return RequestError(f"HTTP: {error}", error.code)


def _credentials(head: Head) -> tuple[bytes, bytes]:
    """Return username and password of Proxy-Authorization (RFC 7617).

    :raises AuthenticationError: there are none.
    """
    values = head.values(b"proxy-authorization")
    scheme, _, text = values[0].strip().partition(b" ") if len(values) == 1 else (b"", b"", b"")
    if scheme.lower() == b"basic":
        try:
            username, colon, password = base64.b64decode(text.strip(), validate=True).partition(
                b":"
            )
        except binascii.Error:
            colon = b""
        if colon:
            return username, password
    raise AuthenticationError("HTTP: the client sends no credentials")


def _one_hop_further(method: bytes, fields: Headers) -> Headers:
    """Count down Max-Forwards (RFC 9110 section 7.6.2).

    :raises RequestError: the request may go no further.
    """
    if method != b"OPTIONS":
        return fields
    counted = []
    for name, value in fields:
        if name.lower() == b"max-forwards" and value.isdigit():
            if not int(value[:9]):
                raise RequestError("Max-Forwards ends here", 501)
            counted.append((name, b"%d" % (int(value[:9]) - 1)))
        else:
            counted.append((name, value))
    return counted


def _answer(error: FastsocksError, *, bodyless: bool) -> bytes:
    """Build the response that tells a client of an error."""
    status = _status_of(error)
    # Of the rules, accounts and upstreams of this place a client learns what it has to, not how
    # they read.
    told = status >= 500 or isinstance(error, ProtocolError)
    if isinstance(error, AuthenticationError | UpstreamError):
        told = False
    text = f"{error}\n".encode("utf-8", "backslashreplace") if told else b""
    body = text or f"{status.phrase}\n".encode()
    fields = [
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Connection", b"close"),
    ]
    if status is HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        fields.insert(0, _CHALLENGE)
    elif status is HTTPStatus.SERVICE_UNAVAILABLE:
        fields.insert(0, (b"Retry-After", b"5"))
    elif status is HTTPStatus.METHOD_NOT_ALLOWED:
        fields.insert(0, (b"Allow", b"CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"))
    line = f"HTTP/1.1 {status.value} {status.phrase}".encode()
    return build_head(line, fields) + (b"" if bodyless else body)


def _status_of(error: FastsocksError) -> HTTPStatus:
    if isinstance(error, RequestError):
        return HTTPStatus(error.code)
    if isinstance(error, AuthenticationError):
        return HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
    if isinstance(error, BusyError):
        return HTTPStatus.SERVICE_UNAVAILABLE
    if isinstance(error, HandshakeTimeoutError):
        return HTTPStatus.REQUEST_TIMEOUT
    if isinstance(error, PolicyError):
        return HTTPStatus.FORBIDDEN
    if isinstance(error, CommandError):
        return HTTPStatus.NOT_IMPLEMENTED
    if isinstance(error, ProtocolError):
        return HTTPStatus.BAD_REQUEST
    if error.reply == _TTL_EXPIRED:
        return HTTPStatus.GATEWAY_TIMEOUT
    return HTTPStatus.BAD_GATEWAY
