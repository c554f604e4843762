"""One plain request and its response, as the relay moves their bytes (RFC 9112).

The client's end of the relay has an :class:`Exchange` for its codec. It lets the request through
up to its end and nothing beyond, whatever the client goes on to send: that would be for
another host, perhaps. Of responses it rewrites the heads. Where client and target agree on
WebSocket (RFC 6455), all that follows passes as it comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httptools

from fastsocks.errors import ProtocolError

from .head import HeadReader, RequestError, build_head, end_to_end

if TYPE_CHECKING:
    from fastsocks.buffer import Buffer

    from .head import Head, Headers

#: Longest head of a response that is rewritten, those of interim responses included, in bytes.
LONGEST_RESPONSE_HEAD: Final = 48 * 1024

#: Interim responses before the final one whose heads are rewritten; each costs a copy of what
#: came behind it.
_MOST_INTERIM: Final = 16

_CLOSE = (b"Connection", b"close")

#: The protocol that a request may change to (RFC 9110 section 7.8). Of others nothing is known:
#: what goes on behind them (h2c, say) would be requests that nobody has looked at.
_WEBSOCKET = b"websocket"


class Exchange:
    """The codec of a client whose one request goes to one target.

    Adds less than 64 KiB to what it is given at a time; see :mod:`fastsocks.relay`.

    :param body: what the request has behind its head.
    :param upgrade: whether the target was asked to change to WebSocket.
    """

    __slots__ = ("_body", "_changed", "_responses", "_upgrade")

    #: The relay has to ask it.
    transparent = False
    #: An end of the stream cuts no record; a target knows how much of a body is missing.
    incomplete = False

    def __init__(self, body: Body, *, upgrade: bool = False) -> None:
        self._body = body
        # Until the target has answered.
        self._upgrade = upgrade
        self._changed = False
        self._responses: _Responses | None = _Responses()

    def open(self, data: Buffer) -> bytes:
        """Return what of the client's bytes is to go to the target.

        :raises ProtocolError: the body is malformed, or there is more while the target has not said
            whether it changes to WebSocket, so that nobody knows what it is.
        """
        if self._changed:
            return bytes(data)
        if self._upgrade and data:
            raise RequestError("HTTP: more from a client that has to wait for its WebSocket")
        return self._body.take(bytes(data))

    def seal(self, data: Buffer) -> bytes:
        """Turn what the target sends into what the client gets."""
        if self._responses is None:
            return bytes(data)
        rewritten, final = self._responses.take(bytes(data), upgrade=self._upgrade)
        if final:
            self._changed = self._responses.changed
            self._responses = None
            self._upgrade = False
        return rewritten


class Body:
    """The body of a request that has none, or says its size.

    :param size: in bytes.
    """

    __slots__ = ("_rest",)

    def __init__(self, size: int = 0) -> None:
        self._rest = size

    def take(self, data: bytes) -> bytes:
        """Return what of `data` belongs to it."""
        data = data[: self._rest]
        self._rest -= len(data)
        return data


class ChunkedBody(Body):
    """The body of a request that comes in chunks (RFC 9112 section 7.1).

    The chunks are written anew, without extensions and trailers, so that nobody behind can read
    them in another way than they were read here.
    """

    __slots__ = ("_ended", "_out", "_parser")

    def __init__(self) -> None:
        super().__init__()
        self._out: list[bytes] = []
        self._ended = False
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """Take data of a chunk, for the parser."""
        if not self._ended:
            self._out.append(b"%x\r\n%b\r\n" % (len(data), data))

    def on_message_complete(self) -> None:
        """Take note of the last chunk, for the parser."""
        if not self._ended:
            self._ended = True
            self._out.append(b"0\r\n\r\n")

    def take(self, data: bytes) -> bytes:
        """Return what of `data` belongs to it, written anew.

        :raises ProtocolError: it is malformed.
        """
        if self._parser is None:
            return b""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            # What follows the end is not looked at.
            if not self._ended:
                self._parser = None
                raise ProtocolError(f"HTTP: the body of the request: {error}") from None
        if self._ended:
            # It and this object refer to each other.
            self._parser = None
        taken = b"".join(self._out)
        self._out.clear()
        return taken


def asks_for_websocket(head: Head) -> bool:
    """Tell whether a request asks its target to change to WebSocket (RFC 6455 section 4.1)."""
    return (
        head.method == b"GET"
        and head.version == "1.1"
        and b"upgrade" in head.tokens(b"connection")
        and head.tokens(b"upgrade") == [_WEBSOCKET]
        and not head.values(b"transfer-encoding")
        and head.values(b"content-length") in ([], [b"0"])
    )


def upgrade_fields() -> Headers:
    """Return the fields that ask for, or confirm, the change to WebSocket."""
    return [(b"Connection", b"Upgrade"), (b"Upgrade", _WEBSOCKET)]


def body_of(head: Head) -> Body:
    """Return the body that a request says it has.

    :raises RequestError: it says so in a way that could be read in two.
    """
    codings = head.values(b"transfer-encoding")
    sizes = head.values(b"content-length")
    if not codings:
        return Body(int(sizes[0]) if sizes else 0)
    if head.version != "1.1":
        raise RequestError("Transfer-Encoding in a request of HTTP/1.0")
    if len(codings) > 1 or codings[0].strip().lower() != b"chunked":
        raise RequestError("a Transfer-Encoding other than chunked", 501)
    return ChunkedBody()


class _Responses:
    """Rewrites the heads of interim responses and of the final one.

    A head that llhttp refuses, or that is too long or one too many, and all that follows it pass
    as they came: what the client makes of it is its business, and this connection carries nothing
    else.
    """

    __slots__ = ("_interim", "_reader", "_room", "changed")

    def __init__(self) -> None:
        #: Whether the final one changed the protocol.
        self.changed = False
        self._interim = 0
        # What is left of the longest head.
        self._room = LONGEST_RESPONSE_HEAD
        self._reader = HeadReader(self._room, response=True)

    def take(self, data: bytes, *, upgrade: bool) -> tuple[bytes, bool]:
        """Return what the client gets, and whether the rest passes as it comes.

        :param upgrade: as of :class:`Exchange`.
        """
        out = b""
        while data:
            reader = self._reader
            try:
                found = reader.read(data)
                if found is None:
                    return out, False
                head, rest = found
                fields = end_to_end(head)
            except RequestError:
                return out + reader.kept(), True
            if head.code == 101 and upgrade and head.tokens(b"upgrade") == [_WEBSOCKET]:
                self.changed = True
                return out + build_head(head.first_line, [*fields, *upgrade_fields()]) + rest, True
            if head.code >= 200 or head.code == 101:
                return out + build_head(head.first_line, [*fields, _CLOSE]) + rest, True
            out += build_head(head.first_line, fields)
            self._interim += 1
            if self._interim == _MOST_INTERIM:
                return out + rest, True
            self._room -= len(reader.kept()) - len(rest)
            data = rest
            self._reader = HeadReader(self._room, response=True)
        return out, False
