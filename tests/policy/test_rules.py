"""Which rule decides."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.config.rules import Rule, read_rule, read_rules
from fastsocks.policy.rules import Rules, Verdict
from fastsocks.request import CONNECT, UDP_ASSOCIATE


def decide(
    rules: list[str],
    host: str,
    port: int = 80,
    *,
    client: str = "198.51.100.1",
    user: str | None = None,
    command: int = CONNECT,
    resolved: str | None = None,
    by_name: bool = False,
) -> str:
    """Return the text of the rule, `pending`, or `none`."""
    target = Address.of(host, port)
    found = Rules(read_rules(rules)).verdict_on(
        command, client, user, target, resolved, by_name=by_name
    )
    return _told(found)


def _told(found: Verdict) -> str:
    return "pending" if found.pending else found.rule.text if found.rule else "none"


def test_nothing_holds() -> None:
    assert decide([], "a.example") == "none"
    assert decide(["deny port 25"], "a.example") == "none"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("example.com", "deny to example.com"),
        ("WWW.Example.COM.", "deny to example.com"),
        ("notexample.com", "none"),
        ("example.com.evil", "none"),
        ("exact.org", "deny to =exact.org"),
        ("www.exact.org", "none"),
        ("10.9.9.9", "deny to 10.0.0.0/8"),
        ("::ffff:10.9.9.9", "deny to 10.0.0.0/8"),
        ("64:ff9b::10.9.9.9", "deny to 10.0.0.0/8"),
        ("2002:a09:909::1", "deny to 10.0.0.0/8"),
        ("11.0.0.0", "none"),
        ("9.255.255.255", "none"),
        ("2001:db8::1", "deny to 2001:db8::/32"),
        ("bücher.example", "deny to xn--bcher-kva.example"),
    ],
)
def test_targets(host: str, expected: str) -> None:
    rules = [
        "deny to example.com",
        "deny to =exact.org",
        "deny to xn--bcher-kva.example",
        "deny to 10.0.0.0/8",
        "deny to 2001:db8::/32",
    ]
    assert decide(rules, host, by_name=True) == expected


def test_private() -> None:
    assert decide(["deny to private"], "192.168.1.1") == "deny to private"
    assert decide(["deny to private"], "1.1.1.1") == "none"
    assert decide(["deny to private"], "a.example", resolved="127.0.0.1") == "deny to private"
    for name in ("localhost", "LOCALHOST.", "db.localhost"):
        for by_name in (False, True):
            assert decide(["deny to private"], name, by_name=by_name) == "deny to private"
    assert decide(["deny to private"], "localhost.example", by_name=True) == "none"


def test_the_first_that_holds_decides() -> None:
    rules = ["allow to 10.1.0.0/16", "deny to 10.0.0.0/8", "allow"]
    assert decide(rules, "10.1.2.3") == "allow to 10.1.0.0/16"
    assert decide(rules, "10.2.2.3") == "deny to 10.0.0.0/8"
    assert decide(rules, "12.1.2.3") == "allow"
    assert decide(rules[::-1], "10.1.2.3") == "allow"


def test_clients_users_ports_and_commands() -> None:
    rules = [
        "allow user alice from 192.0.2.0/24 to 10.0.0.0/8 port 22",
        "deny command udp",
        "deny user bob",
        "deny from 192.0.2.128/25",
    ]
    alice = {"client": "192.0.2.1", "user": "alice"}
    assert decide(rules, "10.0.0.1", 22, **alice) == rules[0]  # type: ignore[arg-type]
    assert decide(rules, "10.0.0.1", 23, **alice) == "none"  # type: ignore[arg-type]
    assert decide(rules, "10.0.0.1", 22, client="198.51.100.1", user="alice") == "none"
    assert decide(rules, "10.0.0.1", 22, client="192.0.2.1", user="bob") == "deny user bob"
    assert decide(rules, "1.1.1.1", command=UDP_ASSOCIATE) == "deny command udp"
    assert decide(rules, "1.1.1.1", client="192.0.2.200") == rules[3]
    assert decide(rules, "1.1.1.1", client="::ffff:192.0.2.200") == rules[3]
    assert decide(rules, "1.1.1.1", client="fe80::1%eth0") == "none"


class TestNamesThatAreResolvedHere:
    def test_a_name_decides_where_no_network_comes_before(self) -> None:
        rules = ["deny to bad.example", "deny to 10.0.0.0/8"]
        assert decide(rules, "bad.example") == "deny to bad.example"
        assert decide(rules, "good.example") == "pending"

    def test_networks_come_first_where_they_stand_first(self) -> None:
        rules = ["deny to 10.0.0.0/8", "allow to good.example", "deny"]
        assert decide(rules, "good.example") == "pending"
        assert decide(rules, "good.example", resolved="10.0.0.1") == "deny to 10.0.0.0/8"
        assert decide(rules, "good.example", resolved="1.1.1.1") == "allow to good.example"
        assert decide(rules, "x.example", resolved="1.1.1.1") == "deny"

    def test_networks_that_cannot_hold_are_not_waited_for(self) -> None:
        assert decide(["deny to 10.0.0.0/8 port 25"], "a.example", 80) == "none"
        assert decide(["deny to 10.0.0.0/8 user bob"], "a.example", user="eve") == "none"
        rules = ["deny to 10.0.0.0/8 port 25", "deny to 11.0.0.0/8 port 80"]
        assert decide(rules, "a.example", 80) == "pending"

    def test_names_that_are_sent_on_are_matched_by_name(self) -> None:
        assert decide(["deny to 10.0.0.0/8"], "a.example", by_name=True) == "none"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (["deny command udp"], "deny command udp"),
        (["allow to 1.1.1.1 port 53", "deny command udp"], "none"),
        (["deny command connect", "deny user eve"], "none"),
        (["deny from 198.51.100.0/24", "allow"], "deny from 198.51.100.0/24"),
        (["allow", "deny command udp"], "allow"),
    ],
)
def test_associations(rules: list[str], expected: str) -> None:
    found = Rules(read_rules(rules)).verdict_on_all(UDP_ASSOCIATE, "198.51.100.1", None)
    assert _told(found) == expected


NETWORKS = st.builds(
    lambda address, prefix: str(ip_network((address, prefix), strict=False)),
    st.integers(0, 2**32 - 1).map(lambda value: str(IPv4Address(value & 0x0F0000FF))),
    st.sampled_from((0, 4, 8, 24, 31, 32)),
)


@given(st.lists(st.tuples(NETWORKS, st.booleans()), max_size=12), NETWORKS)
def test_bisection_finds_what_a_scan_finds(
    given_networks: list[tuple[str, bool]], where: str
) -> None:
    host = where.partition("/")[0]
    rules = [
        f"deny to {network}" + (" port 81" if narrow else "") for network, narrow in given_networks
    ]
    for port in (80, 81):
        expected = next(
            (
                rule
                for rule, (network, narrow) in zip(rules, given_networks, strict=True)
                if ip_address(host) in ip_network(network) and (port == 81 or not narrow)
            ),
            "none",
        )
        assert decide(rules, host, port) == expected


def test_thousands_are_found_without_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    rules: list[Rule] = []
    for number in range(3000):
        high, low = divmod(number, 256)
        rules.append(read_rule(f"deny to 10.{high}.{low}.0/24"))
        rules.append(read_rule(f"deny to name{number}.example"))
        rules.append(read_rule(f"deny from 11.{high}.{low}.0/24"))
    found = Rules(rules)
    compared: list[int] = []
    holds = Rules._holds

    def counted(self: Rules, number: int, *others: object) -> bool:
        compared.append(number)
        return holds(self, number, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Rules, "_holds", counted)
    for host, client in (
        ("10.5.5.5", "1.1.1.1"),
        ("www.name77.example", "1.1.1.1"),
        ("1.1.1.1", "11.3.3.3"),
        ("other.example", "1.1.1.1"),
    ):
        found.verdict_on(CONNECT, client, None, Address.of(host, 80))
    assert len(compared) < 10
