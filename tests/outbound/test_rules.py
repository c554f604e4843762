"""Rules where connections and datagrams ask for them."""

from __future__ import annotations

import pytest

from fastsocks.address import Address
from fastsocks.config import LocalOptions
from fastsocks.config.rules import read_rules
from fastsocks.errors import DialError, PolicyError
from fastsocks.journal.observer import Connection
from fastsocks.outbound.rules import AccessRules
from fastsocks.policy import is_public
from fastsocks.request import BIND, Request
from fastsocks.service.local import LocalService

PEER = ("192.0.2.1", 50000)
NAME = Address.of("a.example", 80)


def access_rules(*rules: str, guarded: bool = False, by_name: bool = False) -> AccessRules:
    return AccessRules(
        read_rules(rules), address_filter=is_public if guarded else None, by_name=by_name
    )


def test_names_that_are_resolved_here_are_asked_for_again() -> None:
    direct, verdict_on = access_rules("deny to 10.0.0.0/8").route(Request(NAME), PEER)
    assert not direct
    assert verdict_on is not None
    verdict_on("1.1.1.1")
    with pytest.raises(PolicyError, match=r'denied by .*"deny to 10\.0\.0\.0/8".*10\.1\.1\.1'):
        verdict_on("10.1.1.1")


def test_the_guard_holds_beside_rules() -> None:
    _, verdict_on = access_rules("deny to 1.1.1.1", guarded=True).route(Request(NAME), PEER)
    assert verdict_on is not None
    with pytest.raises(PolicyError, match="no public address"):
        verdict_on("127.0.0.1")


def test_names_that_are_sent_on_are_not_asked_for_again() -> None:
    rules = access_rules("deny to 10.0.0.0/8", by_name=True)
    assert rules.route(Request(NAME), PEER) == (False, None)


def test_directly_is_resolved_here() -> None:
    rules = access_rules("deny to 10.0.0.0/8", "direct to a.example", by_name=True)
    direct, verdict_on = rules.route(Request(NAME), PEER)
    assert direct
    assert verdict_on is not None
    verdict_on("1.1.1.1")
    with pytest.raises(PolicyError):
        verdict_on("10.0.0.1")


def test_a_denied_bind() -> None:
    request = Request(Address.of("0.0.0.0", 0), command=BIND)
    with pytest.raises(PolicyError):
        access_rules("deny command bind").bind(request, PEER)
    access_rules("deny command connect, udp").bind(request, PEER)
    with pytest.raises(PolicyError):
        access_rules("deny to 10.0.0.0/8").bind(
            Request(Address.of("10.0.0.1", 1), command=BIND), PEER
        )


def test_each_peer_of_a_bind_is_a_target() -> None:
    rules = access_rules("allow to 198.51.100.0/24 command bind", "deny", guarded=False)
    address_filter = rules.bind(Request(Address.of("0.0.0.0", 0), command=BIND), PEER)
    assert address_filter("198.51.100.7")
    assert not address_filter("203.0.113.1")
    address_filter = rules.bind(Request(Address.of("a.example", 1), command=BIND), PEER)
    assert address_filter("198.51.100.7")
    assert not address_filter("203.0.113.1")


def test_datagrams() -> None:
    rules = access_rules("deny to 10.0.0.0/8", "direct to a.example, 192.0.2.0/24", by_name=True)
    assert rules.datagram("198.51.100.1", None, NAME, None)
    assert rules.datagram("198.51.100.1", None, Address.of("192.0.2.9", 53), None)
    assert not rules.datagram("198.51.100.1", None, Address.of("b.example", 53), None)
    for target, resolved in ((Address.of("10.0.0.1", 53), None), (NAME, "10.0.0.1")):
        with pytest.raises(PolicyError):
            rules.datagram("198.51.100.1", None, target, resolved)


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        (("deny",), True),
        (("deny to a.example",), True),
        (("allow to 192.0.2.0/24", "deny"), False),
        (("deny to 192.0.2.0/24",), False),
        (("allow to b.example", "deny"), True),
    ],
)
def test_datagrams_to_names_before_they_are_looked_up(
    rules: tuple[str, ...], refused: bool
) -> None:
    asked = access_rules(*rules)
    if refused:
        with pytest.raises(PolicyError):
            asked.datagram("198.51.100.1", None, NAME, None)
    else:
        assert not asked.datagram("198.51.100.1", None, NAME, None)


def test_advice_about_what_cannot_be_dialed_names_who_was_dialed() -> None:
    options = LocalOptions(
        server="ss.example",
        method="aes-128-gcm",
        password="secret",
        rules=read_rules(["direct to a.example", "direct to 192.0.2.0/24 port 80"]),
    )
    service = LocalService(options)
    about_the_server = "this is about the Shadowsocks server, ss.example:8388"
    connection = Connection(PEER)
    connection.error = DialError("refused")
    for target in (None, Address.of("b.example", 80), Address.of("192.0.2.1", 81)):
        connection.target = target
        advice = service.advice(connection)
        assert advice is not None
        assert advice.startswith(about_the_server)
    for target in (NAME, Address.of("192.0.2.1", 80)):
        connection.target = target
        assert service.advice(connection) is None
