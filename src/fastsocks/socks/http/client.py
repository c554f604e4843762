"""The client's side of HTTP CONNECT; bytes in, bytes out (RFC 9110 section 9.3.6)."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, NoReturn

from fastsocks.address import canonical
from fastsocks.errors import (
    AuthenticationError,
    HostNameError,
    ProtocolError,
    ReplyError,
    TruncatedError,
)

if TYPE_CHECKING:
    from fastsocks.address import Address
    from fastsocks.buffer import Buffer

#: Largest head of a response, in bytes.
LARGEST_HEAD = 16 * 1024

#: Interim responses that are read before the one that counts.
_MOST_INTERIM = 16

#: What says most by SOCKS reply codes of what a proxy says by its own.
_REPLIES = {403: 0x02, 405: 0x07, 501: 0x07, 504: 0x06}


class HttpClient:
    """One connection to an HTTP proxy, up to the end of its response's head.

    Send what :meth:`take_outgoing` holds, then :meth:`receive` until it returns bytes or raises.
    The head is taken apart by h11, which knows that nothing but the tunnel follows a CONNECT.

    :param address: the target; its name, if it is one, is left to the proxy to resolve.
    :param username: of Basic authentication (RFC 7617); without a colon.
    :param password: likewise.
    :raises ProtocolError: it is no host name.
    """

    __slots__ = ("_connection", "_interim", "_outgoing")

    def __init__(
        self, address: Address, *, username: bytes | None = None, password: bytes | None = None
    ) -> None:
        import h11

        self._interim = 0
        authority = _authority(address)
        headers = [("Host", authority)]
        if username is not None:
            login = b64encode(username + b":" + (password or b"")).decode("ascii")
            headers.append(("Proxy-Authorization", f"Basic {login}"))
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
        try:
            request = h11.Request(method="CONNECT", target=authority, headers=headers)
            self._outgoing = self._connection.send(request) or b""
            self._connection.send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            raise ProtocolError(f"HTTP cannot ask for this target: {error}") from error

    def take_outgoing(self) -> bytes:
        """Return what to send to the proxy now, and forget it."""
        outgoing = self._outgoing
        self._outgoing = b""
        return outgoing

    def receive(self, data: Buffer) -> bytes | None:
        """Take in what the proxy sent, cut anywhere.

        :return: once the tunnel stands what the target has already said; until then None.
        :raises AuthenticationError: the proxy wants a login, or another one.
        :raises ReplyError: it could not or would not connect.
        :raises ProtocolError: an answer that makes no sense. (All are ProtocolErrors.)
        """
        import h11

        self._connection.receive_data(bytes(data))
        try:
            while True:
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    return None
                if isinstance(event, h11.InformationalResponse):
                    self._interim += 1
                    if self._interim > _MOST_INTERIM:
                        raise ProtocolError("the HTTP proxy sends interim responses for ever")
                    continue
                if not isinstance(event, h11.Response):
                    raise ProtocolError("the HTTP proxy sends no response")
                break
        except h11.RemoteProtocolError as error:
            raise ProtocolError(f"the HTTP proxy's answer is none of HTTP/1.1: {error}") from error
        status = event.status_code
        if 200 <= status < 300:
            return bytes(self._connection.trailing_data[0])
        if status == 407:
            raise AuthenticationError("the HTTP proxy refuses these credentials, or wants some")
        raise ReplyError(f"the HTTP proxy answered {status}", _REPLIES.get(status, 0x01))

    def end_of_stream(self) -> NoReturn:
        """Turn the end of the proxy's stream into the error that it is.

        :raises TruncatedError: always; there was no complete answer.
        """
        raise TruncatedError("the HTTP proxy closed the connection before its answer")


def _authority(address: Address) -> str:
    """Return ``host:port`` for a request-target.

    A name is another's choice: in its one form there is nothing that a proxy could read as the
    end of the host, so that it goes where our rules took it to go.
    """
    try:
        return str(canonical(address))
    except HostNameError as error:
        raise ProtocolError(f"HTTP cannot ask for this name: {error}") from error
