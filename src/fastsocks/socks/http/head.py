"""Heads of HTTP messages: read by llhttp, judged and rewritten here."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeAlias

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


class HeadReader:
    """Reads one head, cut anywhere.

    :param limit: most bytes of a head, its empty line included.
    :param response: read a response in the place of a request.
    """

    __slots__ = ("_complete", "_headers", "_kept", "_limit", "_parser", "_response", "_target")

    def __init__(self, limit: int, *, response: bool = False) -> None:
        self._limit = limit
        self._response = response
        self._kept = bytearray()
        self._target = b""
        self._headers: Headers = []
        self._complete = False
        kind = httptools.HttpResponseParser if response else httptools.HttpRequestParser
        self._parser: httptools.HttpRequestParser | httptools.HttpResponseParser = kind(self)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request-target, for the parser."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field, for the parser."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take note of the end of the head, for the parser."""
        self._complete = True

    def read(self, data: bytes) -> tuple[Head, bytes] | None:
        """Take in more bytes.

        :return: the head and what followed it; None while it is incomplete.
        :raises RequestError: it is malformed or too long. Nothing can be read after that, nor
            after the head.
        """
        before = len(self._kept)
        self._kept += data
        end = self._kept.find(_END, max(0, before - len(_END) + 1))
        size = len(self._kept) if end < 0 else end + len(_END)
        if size > self._limit:
            self._give_up(f"a head of more than {self._limit} bytes", 431)
        self._parse(bytes(self._kept[before:size]))
        if end < 0:
            if self._complete:
                # llhttp takes LF alone for the end of a line.
                self._give_up("a head that does not end in an empty line")
            return None
        if not self._complete:
            self._give_up("an empty line where there is no head")
        return self._head(), bytes(self._kept[size:])

    def kept(self) -> bytes:
        """Return what was taken in."""
        return bytes(self._kept)

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # CONNECT, or a request that would change the protocol: complete all the same.
            pass
        except httptools.HttpParserInvalidMethodError:
            self._give_up("an unknown method", 501)
        except httptools.HttpParserError as error:
            self._give_up(str(error))

    def _head(self) -> Head:
        parser = self._parser
        del self._parser  # It and this object refer to each other.
        # llhttp takes empty lines in front of the first one (RFC 9112 section 2.2).
        line = bytes(self._kept.lstrip(b"\r\n").partition(b"\r\n")[0])
        version = parser.get_http_version()
        if isinstance(parser, httptools.HttpResponseParser):
            return Head(line, self._headers, version, b"", b"", parser.get_status_code())
        if not line.endswith((b" HTTP/1.1", b" HTTP/1.0")):
            raise RequestError("neither HTTP/1.1 nor HTTP/1.0", 505)
        return Head(line, self._headers, version, parser.get_method(), self._target, 0)

    def _give_up(self, message: str, code: int = 400) -> NoReturn:
        del self._parser
        raise RequestError(message, code)


def end_to_end(head: Head, *also: bytes) -> Headers:
    """Return the fields that go on to the other side.

    :param also: names in lower case of further fields to leave out.
    :raises RequestError: Connection names a field that no message can do without.
    """
    named = {
        name.strip().lower() for value in head.values(b"connection") for name in value.split(b",")
    }
    if named & _NEVER_DROPPED:
        raise RequestError("Connection names a field that has to stay")
    left_out = HOP_BY_HOP | named | set(also)
    return [(name, value) for name, value in head.headers if name.lower() not in left_out]


def build_head(first_line: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Build a head, its empty line included."""
    fields = b"".join(b"%b: %b\r\n" % field for field in headers)
    return b"%b\r\n%b\r\n" % (first_line, fields)
