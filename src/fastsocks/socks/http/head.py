"""Heads of HTTP messages: read by llhttp, judged and rewritten here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import httptools

from fastsocks.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

Headers: TypeAlias = list[tuple[bytes, bytes]]

#: Fields that concern one connection only (RFC 9110 section 7.6.1), and those that are the
#: proxy's: whoever is behind it must not see credentials, nor ask for any in its name.
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"upgrade",
    )
)

#: Fields that tell where a message ends or whom it is for. A message whose Connection names one
#: would be read in two ways, by who drops it and by who does not.
_NEVER_DROPPED = frozenset((b"content-length", b"host", b"transfer-encoding"))

_END = b"\r\n\r\n"
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")

_AnyParser: TypeAlias = httptools.HttpRequestParser | httptools.HttpResponseParser


class RequestError(ProtocolError):
    """A request that HTTP has a status code for; ``code`` holds it."""

    status = "http-request"

    def __init__(self, message: str, code: int = 400) -> None:
        super().__init__(message)
        self.code = code


class Head(NamedTuple):
    """The head of a request or a response."""

    #: Without the end of line.
    first_line: bytes
    headers: Headers
    #: ``1.0`` or ``1.1``.
    version: str
    #: Of a request; empty of a response.
    method: bytes
    #: Request-target of a request; empty of a response.
    target: bytes
    #: Status code of a response; 0 of a request.
    code: int

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a field.

        :param name: in lower case.
        """
        return [value for key, value in self.headers if key.lower() == name]

    def tokens(self, name: bytes) -> list[bytes]:
        """Return the members of a field that is a list, in lower case.

        :param name: in lower case.
        """
        return [token.strip().lower() for value in self.values(name) for token in value.split(b",")]


class HeadReader:
    """Reads one head, cut anywhere, in time that grows with its size and not with its pieces.

    What is kept of an incomplete head is its bytes, and no more.

    :param limit: most bytes of a head, its empty line included.
    :param response: read a response in the place of a request.
    """

    __slots__ = ("_checker", "_completion", "_encoder", "_kept", "_kind", "_limit")

    def __init__(self, limit: int, *, response: bool = False) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._kind = httptools.HttpResponseParser if response else httptools.HttpRequestParser
        self._encoder = None if response else _TargetEncoder()
        # Of an incomplete head, which it tells malformed as early as can be.
        self._checker: _AnyParser | None = None
        self._completion = _Completion()

    def read(self, data: bytes) -> tuple[Head, bytes] | None:
        """Take in more bytes.

        :return: the head and what followed it; None while it is incomplete.
        :raises RequestError: it is malformed or too long. Nothing can be read after that, nor
            after the head.
        """
        before = len(self._kept)
        self._kept += data if self._encoder is None else self._encoder.encode(data)
        end = self._kept.find(_END, max(0, before - len(_END) + 1))
        size = len(self._kept) if end < 0 else end + len(_END)
        if size > self._limit:
            raise RequestError(f"a head of more than {self._limit} bytes", 431)
        if end >= 0:
            fields = _Fields()
            parser = self._kind(fields)
            _feed(parser, bytes(self._kept[:size]), fields)
            if not fields.complete:
                raise RequestError("an empty line where there is no head")
            return self._head(parser, fields), bytes(self._kept[size:])
        if self._checker is None:
            self._checker = self._kind(self._completion)
        _feed(self._checker, bytes(self._kept[before:]), self._completion)
        if self._completion.complete:
            # llhttp takes LF alone for the end of a line.
            raise RequestError("a head that does not end in an empty line")
        return None

    def kept(self) -> bytes:
        """Return what was taken in."""
        return bytes(self._kept)

    def _head(self, parser: _AnyParser, fields: _Fields) -> Head:
        # llhttp takes empty lines in front of the first one (RFC 9112 section 2.2).
        line = bytes(self._kept.lstrip(b"\r\n").partition(b"\r\n")[0])
        version = parser.get_http_version()
        if isinstance(parser, httptools.HttpResponseParser):
            return Head(line, fields.headers, version, b"", b"", parser.get_status_code())
        if not line.endswith((b" HTTP/1.1", b" HTTP/1.0")):
            raise RequestError("neither HTTP/1.1 nor HTTP/1.0", 505)
        return Head(line, fields.headers, version, parser.get_method(), fields.target, 0)


class _Completion:
    """Learns from a parser that a head is complete, and keeps nothing of it."""

    __slots__ = ("complete",)

    def __init__(self) -> None:
        self.complete = False

    def on_headers_complete(self) -> None:
        self.complete = True


class _Fields(_Completion):
    """Takes a head from a parser that is given all of it at once.

    Of one that comes in pieces httptools would copy what it has with each of them.
    """

    __slots__ = ("headers", "target")

    def __init__(self) -> None:
        super().__init__()
        self.target = b""
        self.headers: Headers = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))


def _feed(parser: _AnyParser, data: bytes, completion: _Completion) -> None:
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        # CONNECT, or a request that would change the protocol: complete all the same.
        pass
    except httptools.HttpParserInvalidMethodError:
        raise RequestError("an unknown method", 501) from None
    except httptools.HttpParserError as error:
        # Of a change without a field Connection llhttp makes an error, behind the head.
        if not (completion.complete and _changes_protocol(parser)):
            raise RequestError(str(error)) from None


def _changes_protocol(parser: _AnyParser) -> bool:
    return isinstance(parser, httptools.HttpResponseParser) and parser.get_status_code() == 101


class _TargetEncoder:
    """Percent-encodes bytes beyond ASCII in a request-target, as its sender had to (RFC 3986).

    Clients send paths as users write them. Who is behind reads the one form that all know.
    """

    __slots__ = ("_in_target", "_over", "_started")

    def __init__(self) -> None:
        self._started = False
        self._in_target = False
        self._over = False

    def encode(self, data: bytes) -> bytes:
        """Return the next bytes of a head as they are to be read."""
        if self._over:
            return data
        start = 0
        if not self._started:
            # Empty lines may stand in front.
            start = len(data) - len(data.lstrip(b"\r\n"))
            self._started = start < len(data)
        end = data.find(b"\n", start)
        self._over = end >= 0
        if not self._over:
            end = len(data)
        if not self._in_target:
            start = data.find(b" ", start, end)
            if start < 0:
                return data
            self._in_target = True
        line = data[start:end]
        if line.isascii():
            return data
        encoded = _BEYOND_ASCII.sub(lambda found: b"%%%02X" % found[0][0], line)
        return data[:start] + encoded + data[end:]


def end_to_end(head: Head, *also: bytes) -> Headers:
    """Return the fields that go on to the other side.

    :param also: names in lower case of further fields to leave out.
    :raises RequestError: Connection names a field that no message can do without.
    """
    named = set(head.tokens(b"connection"))
    if named & _NEVER_DROPPED:
        raise RequestError("Connection names a field that has to stay")
    left_out = HOP_BY_HOP | named | set(also)
    return [(name, value) for name, value in head.headers if name.lower() not in left_out]


def build_head(first_line: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Build a head, its empty line included."""
    fields = b"".join(b"%b: %b\r\n" % field for field in headers)
    return b"%b\r\n%b\r\n" % (first_line, fields)
