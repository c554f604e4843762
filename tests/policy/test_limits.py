"""How many connections there may be, against a plain model of the rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.policy import Admission, Cap, ClientLimits
from fastsocks.policy.client_counts import CONNECTIONS, HANDSHAKES, ClientCounts
from fastsocks.policy.limits import client_of

ONE = "192.0.2.1"
TWO = "192.0.2.2"


def admit(limits: ClientLimits, host: str) -> Admission:
    admission = limits.admit(host)
    assert admission is not None
    return admission


def test_no_caps(limits_class: Any) -> None:
    limits = limits_class()
    admissions = [admit(limits, ONE) for _ in range(100)]
    assert (limits.connections, limits.handshakes) == (100, 100)
    for admission in admissions:
        admission.established()
    assert (limits.connections, limits.handshakes) == (100, 0)
    assert not limits.hits


@pytest.mark.parametrize(
    ("caps", "hosts", "cap"),
    [
        ({"max_connections": 2}, (ONE, TWO, "192.0.2.3"), Cap.CONNECTIONS),
        ({"max_connections_per_client": 2}, (ONE, ONE, ONE), Cap.CONNECTIONS_PER_CLIENT),
        ({"max_handshakes": 2}, (ONE, TWO, "192.0.2.3"), Cap.HANDSHAKES),
        ({"max_handshakes_per_client": 2}, (ONE, ONE, ONE), Cap.HANDSHAKES_PER_CLIENT),
    ],
)
def test_one_too_many_is_not_admitted(
    limits_class: Any, caps: dict[str, Any], hosts: tuple[str, str, str], cap: Cap
) -> None:
    hits: list[tuple[Cap, str]] = []
    limits = limits_class(**caps, hit=lambda *hit: hits.append(hit))
    first, _ = admit(limits, hosts[0]), admit(limits, hosts[1])
    assert limits.admit(hosts[2]) is None
    assert hits == [(cap, hosts[2])]
    assert limits.hits == {cap: 1}
    if cap.per_client:
        admit(limits, TWO).leave()
    if "handshakes" in cap.value:
        first.established()
        admit(limits, hosts[2]).leave()
    first.leave()
    admit(limits, hosts[2])


def test_leaving_gives_back_once(limits_class: Any) -> None:
    limits = limits_class(max_connections=2)
    stays, goes = admit(limits, ONE), admit(limits, ONE)
    for _ in range(3):
        goes.leave()
        goes.established()
    assert (limits.connections, limits.handshakes) == (1, 1)
    stays.leave()
    assert limits.clients == 0


def test_a_client_without_connections_is_forgotten(limits_class: Any) -> None:
    limits = limits_class(max_connections=10, max_connections_per_client=1)
    for number in range(1000):
        admission = admit(limits, f"2001:db8:0:{number:x}::1")
        assert limits.admit(f"2001:db8:0:{number:x}::2") is None
        admission.leave()
        assert limits.clients == 0


def test_a_refused_stranger_is_not_remembered(limits_class: Any) -> None:
    limits = limits_class(max_connections=1)
    admit(limits, ONE)
    assert limits.admit(TWO) is None
    assert limits.clients == 1


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_what_is_one_client(limits_class: Any, host: str, client: str) -> None:
    assert client_of(host) == client
    assert admit(limits_class(), host).client == client


STATES = ("handshake", "established")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["admit", "established", "leave"]),
            st.integers(0, 9),
            st.sampled_from([ONE, TWO, "2001:db8::1", "2001:db8::2"]),
        ),
        max_size=80,
    )
)
def test_counts_are_those_of_a_model(limits_class: Any, steps: list[tuple[str, int, str]]) -> None:
    limits = limits_class(
        max_connections=6,
        max_connections_per_client=4,
        max_handshakes=4,
        max_handshakes_per_client=3,
    )
    # Admission, client, state; a list because those who left stay to be used again.
    model: list[tuple[Admission, str, str]] = []

    def count(state: str, client: str | None = None) -> int:
        return sum(found == state and client in (None, owner) for _, owner, found in model)

    for step, number, host in steps:
        client = client_of(host)
        if step == "admit":
            open_now = [owner for _, owner, state in model if state in STATES]
            allowed = (
                len(open_now) < 6
                and open_now.count(client) < 4
                and count("handshake") < 4
                and count("handshake", client) < 3
            )
            admission = limits.admit(host)
            assert (admission is not None) == allowed
            if admission is not None:
                model.append((admission, client, "handshake"))
        elif model:
            index = number % len(model)
            admission, client, state = model[index]
            if step == "established":
                admission.established()
                state = "established" if state == "handshake" else state
            else:
                admission.leave()
                state = "gone"
            model[index] = (admission, client, state)
        assert limits.connections == sum(count(state) for state in STATES)
        assert limits.handshakes == count("handshake")
        assert limits.clients == len({owner for _, owner, state in model if state in STATES})


def test_a_connection_moves_to_the_client_that_it_is_of(limits_class: Any) -> None:
    limits = limits_class(max_connections_per_client=2, max_handshakes_per_client=1)
    first, second = limits.admit_front(ONE), limits.admit_front(ONE)
    assert (limits.connections, limits.handshakes, limits.clients) == (2, 2, 1)
    assert first.move(TWO)
    assert first.client == TWO
    assert {name: client.handshakes for name, client in limits.known.items()} == {ONE: 1, TWO: 1}
    # It has its one handshake.
    assert not second.move(TWO)
    assert second.client == ONE
    assert limits.hits == {Cap.HANDSHAKES_PER_CLIENT: 1}
    first.established()
    assert second.move(TWO)
    assert limits.known[TWO].connections == limits.connections == 2
    second.established()
    # An established one may not be a third, but stay what it is.
    assert not limits.admit_front(ONE).move(TWO)
    assert first.move(TWO)
    first.leave()
    assert not first.move(ONE)
    second.leave()
    assert (limits.connections, limits.handshakes) == (1, 1)


def test_of_a_front_only_the_caps_of_all_hold(limits_class: Any) -> None:
    limits = limits_class(max_connections=3, max_connections_per_client=1)
    admissions = [limits.admit_front(ONE) for _ in range(4)]
    assert [admission is None for admission in admissions] == [False, False, False, True]
    assert limits.hits == {Cap.CONNECTIONS: 1}
    for admission in admissions[:3]:
        admission.leave()
    assert (limits.connections, limits.handshakes, limits.clients) == (0, 0, 0)


def test_a_move_is_known_to_other_processes(limits_class: Any) -> None:
    counts = ClientCounts(2)
    limits = limits_class(counts=counts)
    admission = limits.admit_front(ONE)
    assert admission.move(TWO)
    counts.enter(1)
    assert counts.elsewhere(CONNECTIONS) == counts.elsewhere(HANDSHAKES) == 1
    assert counts.elsewhere_of(counts.places(ONE), CONNECTIONS) == 0
    assert counts.elsewhere_of(counts.places(TWO), HANDSHAKES) == 1
    counts.enter(0)
    admission.leave()
    counts.enter(1)
    assert counts.elsewhere_of(counts.places(TWO), CONNECTIONS) == 0
    assert counts.elsewhere(CONNECTIONS) == counts.elsewhere(HANDSHAKES) == 0
