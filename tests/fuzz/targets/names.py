"""Names from a client's request to what is dialed or sent on, through rules and the guard.

What is decided on has to be what is dialed or sent on, by the set-up of both twins; and nothing
leaves that rules or guard refuse, or that is no host name.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import cache
from typing import Any, cast

import idna
import uvloop

from fastsocks.address import Address
from fastsocks.config import ProxyOptions
from fastsocks.config.rules import Action, read_rules
from fastsocks.errors import AddressError, DialError, HostNameError, PolicyError
from fastsocks.policy import is_public
from fastsocks.policy.rules import Rules
from fastsocks.policy.targets import is_own_name
from fastsocks.request import CONNECT
from fastsocks.service.proxy import ProxyService
from fastsocks.setup.roles import Route
from setup_ends import import_setup
from twins import IMPLEMENTATIONS, import_twin

from ..oracle import DifferenceError, Input, agree, outcome

_PATIENCE = 8
_CLIENT = "127.0.0.1"
_PORT = 443
_NAMES = {one: import_twin("fastsocks.address", "_host_name", one) for one in IMPLEMENTATIONS}
_SETUPS = {one: import_setup(one).setup for one in IMPLEMENTATIONS}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


def names(data: bytes) -> None:
    """Whether names are sent on, whether there is a guard; a name, and rules about it."""
    chosen = Input(data)
    choices = chosen.byte()
    name, _, text = chosen.rest().partition(b"\n")
    rules = outcome(read_rules, text.decode("utf-8", "replace"))
    try:
        Address.of(name[:255].decode("utf-8", "surrogateescape"), _PORT)
    except AddressError:
        return
    if not isinstance(rules, tuple):
        return
    _check_form(name[:255])
    sent_on, guarded = bool(choices & 1), bool(choices & 2)
    if not (rules or guarded):
        return
    expected = _expected(name[:255], rules, sent_on=sent_on, guarded=guarded)
    agree(
        [
            ("expected", expected),
            *(
                (one, _left(one, name[:255], rules, sent_on=sent_on, guarded=guarded))
                for one in IMPLEMENTATIONS
            ),
        ]
    )


def _check_form(name: bytes) -> None:
    """Compare the twins with each other, and with what idna and inet_aton say."""
    host = name.decode("utf-8", "surrogateescape")
    found = [(one, outcome(_NAMES[one].host_name, host)) for one in IMPLEMENTATIONS]
    agree(found)
    form = found[0][1]
    if not isinstance(form, str):
        return
    agree([("form", form), ("again", _NAMES["python"].host_name(form))])
    try:
        other = idna.encode(host, uts46=True).decode("ascii").removesuffix(".")
    except idna.IDNAError:
        return
    with contextlib.suppress(OSError):
        other = socket.inet_ntoa(socket.inet_aton(other))
    if _PLAIN.issuperset(other):
        agree([("form", form), ("idna", other)])


def _expected(name: bytes, rules: Any, *, sent_on: bool, guarded: bool) -> str | None:
    """Return the target that may leave; None where none may."""
    address = Address.of(name.decode("utf-8", "surrogateescape"), _PORT)
    try:
        address = _NAMES["python"].canonical(address)
        verdict = Rules(rules).verdict_on(CONNECT, _CLIENT, None, address, by_name=sent_on)
    except HostNameError:
        return None
    if verdict.action is Action.DENY and not verdict.pending:
        return None
    host = address.host
    if guarded and (sent_on and is_own_name(host) if address.ip is None else not is_public(host)):
        return None
    return str(address)


def _left(
    implementation: str, name: bytes, rules: Any, *, sent_on: bool, guarded: bool
) -> str | None:
    """Ask a proxy for the name, and return what it would dial or send on."""
    loop = _loop()
    asked = _ask(implementation, name, rules, sent_on=sent_on, guarded=guarded)
    found: set[str] = loop.run_until_complete(asyncio.wait_for(asked, _PATIENCE))
    if len(found) > 1:
        raise DifferenceError(f"{implementation} went to several: {found}")
    return next(iter(found), None)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return uvloop.new_event_loop()


class _Dialer:
    """Notes what it is to dial, and reaches nobody."""

    plain = False

    def __init__(self, address_filter: Any, noted: set[str]) -> None:
        self.address_filter = address_filter
        self._noted = noted

    def literal(self, address: Address, verdict_on: Any = None) -> None:
        return None

    async def dial(
        self, address: Address, client: str = "", verdict_on: Any = None, resolved: Any = None
    ) -> socket.socket:
        # As the resolver reads it; what that finds is what may be dialed or not.
        address = _NAMES["python"].canonical(address)
        if not address.is_name:
            if verdict_on is not None:
                verdict_on(address.host)
            elif self.address_filter is not None and not self.address_filter(address.host):
                raise PolicyError("the guard")
        self._noted.add(str(address))
        raise DialError("nobody is there")

    approach = dial

    def not_there(self, host: str, error: DialError) -> None:
        return


class _Chain:
    """Notes what it is to lead to."""

    def __init__(self, noted: set[str]) -> None:
        self._noted = noted

    def route(self, request: Any, accepted: Any) -> Route:
        self._noted.add(str(request.address))
        raise DialError("nobody is there")


async def _ask(
    implementation: str, name: bytes, rules: Any, *, sent_on: bool, guarded: bool
) -> set[str]:
    noted: set[str] = set()
    options = ProxyOptions(
        addresses=("0.0.0.0",) if guarded else ("127.0.0.1",),
        rules=rules,
        upstream=("socks5://192.0.2.1",) if sent_on else (),
    )
    service = ProxyService(options)
    if service.outbound is not None and sent_on:
        service.outbound._way = _Chain(noted)  # type: ignore[assignment]
    acceptor = _SETUPS[implementation].Acceptor(
        asyncio.get_running_loop(),
        inbounds=service.inbounds(),
        outbound=service.leading(cast("Any", _Dialer(service.address_filter, noted))),
        observer=service.observer,
        limits=service.limits,
        timeout=float(_PATIENCE),
    )
    listener = socket.create_server((_CLIENT, 0))
    listener.setblocking(False)
    port = listener.getsockname()[1]
    acceptor.listen(listener)
    try:
        reader, writer = await asyncio.open_connection(_CLIENT, port)
        target = b"\x03" + bytes((len(name),)) + name + _PORT.to_bytes(2, "big")
        writer.write(b"\x05\x01\x00\x05\x01\x00" + target)
        answer = await reader.read()
        if len(answer) < 4 or answer[3] == 0:
            raise DifferenceError(f"{implementation} answered {answer!r}")
        writer.close()
    finally:
        acceptor.stop_listening()
        acceptor.abort()
        await acceptor.wait_idle()
        service.close()
    return noted
