"""SOCKS: addresses, messages and the handshakes of both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import fastsocks.socks.client
import fastsocks.socks.server
from fastsocks.address import Address
from fastsocks.errors import DialError, ProtocolError
from fastsocks.request import BIND, CONNECT, UDP_ASSOCIATE
from fastsocks.socks import SocksClient, SocksServer
from fastsocks.socks.gssapi import ClientNegotiation, Protection, ServerNegotiation
from fastsocks.socks.socks4 import Socks4Server
from socks_playbook import READERS
from toy_security import ToyContext
from twins import IMPLEMENTATIONS, import_twin

from ..oracle import Input, agree, finish, outcome, pieces_of

_MESSAGES = {one: import_twin("fastsocks.socks", "_messages", one) for one in IMPLEMENTATIONS}
_HEADERS = {one: import_twin("fastsocks.address", "_header", one) for one in IMPLEMENTATIONS}
_SERVERS: dict[str, Any] = {
    one: import_twin("fastsocks.socks", "_first_byte", one).FirstByteServer
    for one in IMPLEMENTATIONS
}
_TARGET = Address.of("example.com", 443)
_BOUND = Address.of("2001:db8::5", 40000)
_LEVELS = (Protection.INTEGRITY, Protection.CONFIDENTIALITY)


def address(data: bytes) -> None:
    """One address, at an offset."""
    start, *rest = data or b"\0"
    for wire in (bytes(rest), bytearray(rest), memoryview(bytes(rest))):
        agree((one, outcome(_HEADERS[one].read_address, wire, start)) for one in IMPLEMENTATIONS)


def messages(data: bytes) -> None:
    """One message of SOCKS5, by any reader, at an offset."""
    chosen = Input(data)
    name = READERS[chosen.byte() % len(READERS)]
    start = chosen.byte() % 4
    wire = chosen.rest()
    for form in (wire, memoryview(wire)):
        agree((one, outcome(getattr(_MESSAGES[one], name), form, start)) for one in IMPLEMENTATIONS)


def server(data: bytes) -> None:
    """The server's side of a handshake, of whatever protocol the first byte begins."""
    chosen = Input(data)
    options, size = chosen.byte(), chosen.byte()
    wire = chosen.rest()

    def make(implementation: str) -> Any:
        return _SERVERS[implementation](
            _check if options & 1 else None,
            (CONNECT, BIND, UDP_ASSOCIATE) if options & 2 else (CONNECT,),
            gssapi=_server_negotiation if options & 4 else None,
        )

    _on_both(make, partial(serve, wire=wire, size=size))
    # Whatever the way in which it is cut; HTTP has a target of its own, with less to compare.
    if wire[:1] in {b"\4", b"\5"} and not options & 4:
        for one in IMPLEMENTATIONS:
            pieces, at_once = serve(make(one), wire, size), serve(make(one), wire, 0)
            agree([("pieces", pieces), ("at once", at_once)])


def server_4(data: bytes) -> None:
    """SOCKS4, which has no twins: only the ways to cut it are compared."""
    chosen = Input(data)
    options, size = chosen.byte(), chosen.byte()
    wire = b"\4" + chosen.rest()

    def make() -> Socks4Server:
        return Socks4Server(authenticated=bool(options & 1), commands=(CONNECT, BIND))

    agree([("pieces", serve(make(), wire, size)), ("at once", serve(make(), wire, 0))])


def client(data: bytes) -> None:
    """The client's side of a handshake."""
    chosen = Input(data)
    options, size = chosen.byte(), chosen.byte()
    wire = chosen.rest()

    def make(_: str) -> SocksClient:
        login: Any = {"username": b"user", "password": b"pass"} if options & 1 else {}
        negotiation = None
        if options & 4:
            negotiation = ClientNegotiation(ToyContext(initiator=True), _LEVELS)
        return SocksClient(_TARGET, gssapi=negotiation, **login)

    _on_both(make, partial(_ask, wire=wire, size=size))


def gssapi(data: bytes) -> None:
    """A negotiation of GSSAPI and what is protected by it."""
    chosen = Input(data)
    size = chosen.byte()
    wire = chosen.rest()

    def make() -> SocksServer:
        return SocksServer(None, (CONNECT,), _server_negotiation)

    whole = b"\5\1\1" + b"\1\1\0\5hello" + wire
    # A message that is changed behind a request that is malformed: the cut decides which is seen.
    agree(
        [("pieces", _told(serve(make(), whole, size))), ("at once", _told(serve(make(), whole, 0)))]
    )


def serve(machine: Any, wire: bytes, size: int) -> list[object]:
    """Feed the server's side; return what it asks for, its payload and all that it answers."""
    answers = b""
    payload = b""
    request = None
    error = None
    try:
        for piece in pieces_of(wire, size):
            if request is None:
                request = machine.receive(piece)
                while request is None and machine.pending is not None:
                    request = finish(machine.pending)
                answers += machine.take_outgoing()
                if request is not None:
                    payload += request.early_data
                    answers += machine.connected(_BOUND)
            elif machine.codec is None:
                payload += piece
            else:
                payload += machine.codec.open(piece)
    except ProtocolError as caught:
        error = type(caught)
        if request is None:
            answers += machine.failed(caught)
    if request is None and error is None:
        answers += machine.failed(DialError("the client leaves"))
        return [answers]
    asked = request and (request.address, request.user, request.command)
    # How much of what is behind an error was still opened depends on the cut.
    return [asked, error, answers, None if error else payload]


def _told(found: list[object]) -> object:
    return "refused" if len(found) > 1 and found[1] else found


def _ask(machine: SocksClient, wire: bytes, size: int) -> list[object]:
    trace: list[object] = [machine.take_outgoing()]
    reply = None
    try:
        for piece in pieces_of(wire, size):
            if reply is not None:
                trace.append(machine.codec.open(piece) if machine.codec else piece)
                continue
            reply = machine.receive(piece)
            while reply is None and (pending := machine.pending) is not None:
                reply = finish(pending)
            trace += [machine.take_outgoing(), reply]
    except ProtocolError as error:
        return [*trace, type(error)]
    if reply is None:
        trace.append(outcome(machine.end_of_stream))
    return trace


def _check(username: bytes, password: bytes) -> str | None:
    return username.hex() if password == b"pass" else None


def _server_negotiation() -> ServerNegotiation:
    return ServerNegotiation(ToyContext(), _LEVELS)


def _on_both(make: Callable[[str], Any], play: Callable[[Any], object]) -> None:
    found = []
    for one in IMPLEMENTATIONS:
        with _readers_of(one):
            found.append((one, play(make(one))))
    agree(found)


@contextmanager
def _readers_of(implementation: str) -> Iterator[None]:
    """Have both machines read by the readers of one twin."""
    modules: tuple[Any, ...] = (fastsocks.socks.server, fastsocks.socks.client)
    places = [(module, name) for module in modules for name in READERS if hasattr(module, name)]
    before = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, getattr(_MESSAGES[implementation], name))
    try:
        yield
    finally:
        for (module, name), reader in zip(places, before, strict=True):
            setattr(module, name, reader)
