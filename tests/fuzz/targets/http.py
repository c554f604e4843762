"""HTTP, which has no twins: both sides of a handshake, and what a plain request becomes."""

from __future__ import annotations

from fastsocks.address import Address
from fastsocks.errors import ProtocolError
from fastsocks.socks.http import HttpServer
from fastsocks.socks.http.client import HttpClient
from fastsocks.socks.http.head import HeadReader, build_head, end_to_end

from ..oracle import Input, agree, outcome, pieces_of

_HEAD_LIMIT = 1024
_WEBSOCKET = b"GET ws://a/ HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
_PLAIN = (
    b"POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def head(data: bytes) -> None:
    """A head of either kind; what can be read, can be written, and reads the same again."""
    chosen = Input(data)
    response, size = bool(chosen.byte() & 1), chosen.byte()
    wire = chosen.rest()
    found = _read_head(wire, size, response=response)
    agree([("pieces", found), ("at once", _read_head(wire, 0, response=response))])
    if isinstance(found, tuple):
        read, behind = found
        again = build_head(read.first_line, read.headers) + behind
        agree([("read", found), ("read again", _read_head(again, 0, response=response))])
        outcome(end_to_end, read)


def server(data: bytes) -> None:
    """A client's request, with its body where it has one."""
    chosen = Input(data)
    options, size = chosen.byte(), chosen.byte()
    wire = chosen.rest()
    check = _check if options & 1 else None
    agree(
        [
            ("pieces", _serve(HttpServer(check), wire, size)),
            ("at once", _serve(HttpServer(check), wire, 0)),
        ]
    )


def exchange(data: bytes) -> None:
    """What a target answers to a plain request, or to one for a WebSocket, on its way."""
    chosen = Input(data)
    options = chosen.byte()
    asked = _WEBSOCKET if options & 0x80 else _PLAIN
    wire = chosen.rest()
    agree([("pieces", _answer(wire, options & 0x7F, asked)), ("at once", _answer(wire, 0, asked))])


def client(data: bytes) -> None:
    """What a proxy answers to a CONNECT."""
    chosen = Input(data)
    size = chosen.byte()
    wire = chosen.rest()
    machine = HttpClient(Address.of("example.com", 443), username=b"user", password=b"pass")
    machine.take_outgoing()
    for piece in pieces_of(wire, size):
        try:
            if machine.receive(piece) is not None:
                return
        except ProtocolError:
            return


def _read_head(wire: bytes, size: int, *, response: bool) -> object:
    reader = HeadReader(_HEAD_LIMIT, response=response)
    pieces = pieces_of(wire, size)
    for piece in pieces:
        found = outcome(reader.read, piece)
        if isinstance(found, tuple):
            return found[0], found[1] + b"".join(pieces)
        if found is not None:
            return found
    return None


def _serve(machine: HttpServer, wire: bytes, size: int) -> object:
    """Return the request and all that goes to its target; only that it failed if it did."""
    request = None
    upstream = b""
    try:
        for piece in pieces_of(wire, size):
            if request is not None:
                upstream += piece if machine.codec is None else machine.codec.open(piece)
                continue
            request = machine.receive(piece)
            if request is not None:
                upstream += request.early_data
                machine.connected(None)
    except ProtocolError as error:
        if request is None and not machine.failed(error):
            raise AssertionError("a client is not told why it is refused") from error
        return "refused"
    if machine.codec is not None:
        return request and (request.address, request.user), _whole_body(upstream)
    # Behind CONNECT anything may come.
    return request and (request.address, request.user), upstream


def _whole_body(upstream: bytes) -> object:
    """Join the chunks of a body: how it is cut into them depends on how it came."""
    head, _, body = upstream.partition(b"\r\n\r\n")
    if b"\r\ntransfer-encoding: chunked" not in head.lower():
        return upstream
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return head, whole


def _answer(wire: bytes, size: int, asked: bytes) -> bytes:
    machine = HttpServer()
    if machine.receive(asked) is None or machine.codec is None:
        raise AssertionError("a plain request is not taken")
    return b"".join(machine.codec.seal(piece) for piece in pieces_of(wire, size))


def _check(username: bytes, password: bytes) -> str | None:
    return username.hex() if password == b"pass" else None
