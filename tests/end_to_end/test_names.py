"""Names of targets and of servers: addresses that move, that are dead, that nobody tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from harness import socks
from harness.listener import SocketAddress, refusing_address
from harness.name_server import SILENT, Answer, NameServer
from harness.services import Implementation, Service, start_fastsocks, start_server
from harness.shadowsocks import generate_key
from harness.socks import ReplyError, Socks5Client, open_connection
from harness.targets import ServingTarget, echo
from harness.udp import Echo, UdpAssociation

METHOD = "2022-blake3-aes-128-gcm"
KEY = generate_key(METHOD)


@pytest.fixture
def names() -> Iterator[NameServer]:
    with NameServer() as server:
        yield server


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start_proxy(names: NameServer, implementation: Implementation, *flags: str) -> Service:
    where = ("proxy", "-b", "127.0.0.1", "-l", "0")
    return start_fastsocks(*where, "-d", names.address, *flags, implementation=implementation)


def start_local(
    stack: ExitStack, names: NameServer, implementation: Implementation, server: str
) -> Service:
    """Start a server at 127.0.0.1, and a local that calls it by a name."""
    theirs = stack.enter_context(start_server(METHOD, KEY, implementation=implementation))
    return stack.enter_context(
        start_fastsocks(
            *("local", "-s", server, "-p", str(theirs.address.port), "-m", METHOD, "-k", KEY),
            *("-b", "127.0.0.1", "-l", "0", "-d", names.address),
            implementation=implementation,
        )
    )


def echoes(service: Service, address: SocketAddress) -> None:
    with open_connection(service.address, address) as client:
        client.send(b"ping")
        assert client.read(4) == b"ping"


def test_a_target_that_has_moved_is_found(
    names: NameServer, implementation: Implementation
) -> None:
    with ServingTarget(echo) as target, start_proxy(names, implementation) as proxy:
        port = target.address.port
        name = SocketAddress("moves.test", port)
        with refusing_address("127.0.0.2") as (nowhere, _):
            # Twice: looked up, then as it is remembered.
            for before, after in ((nowhere, "127.0.0.1"), ("127.0.0.1", "127.0.0.1")):
                names.answers["moves.test"] = before
                with suppress(ReplyError):
                    echoes(proxy, name)
                names.answers["moves.test"] = after
                echoes(proxy, name)
        asked = len(names.names)
        echoes(proxy, name)
        assert len(names.names) == asked


def test_a_remembered_address_that_is_gone_is_looked_up_again(
    names: NameServer, implementation: Implementation
) -> None:
    with ServingTarget(echo) as target, start_proxy(names, implementation) as proxy:
        names.answers["moves.test"] = "127.0.0.3"
        with ServingTarget(echo, "127.0.0.3") as first:
            echoes(proxy, SocketAddress("moves.test", first.address.port))
        names.answers["moves.test"] = "127.0.0.1"
        with pytest.raises(ReplyError) as refused:
            # It is known, with one address, and dialed as it is.
            echoes(proxy, SocketAddress("moves.test", first.address.port))
        assert refused.value.code == socks.CONNECTION_REFUSED
        echoes(proxy, SocketAddress("moves.test", target.address.port))


def test_a_good_name_beside_a_hundred_silent_ones(
    names: NameServer, implementation: Implementation, stack: ExitStack
) -> None:
    target = stack.enter_context(ServingTarget(echo))
    proxy = stack.enter_context(start_proxy(names, implementation))
    names.answers |= {f"silent{number}.test": SILENT for number in range(100)}
    names.answers["good.test"] = "127.0.0.1"
    for number in range(100):
        client = stack.enter_context(Socks5Client(proxy.address))
        client.negotiate()
        client.send(socks.request(SocketAddress(f"silent{number}.test", 80)))
    names.wait_for(100)
    # They all wait still.
    echoes(proxy, SocketAddress("good.test", target.address.port))
    assert "silent" not in proxy.process.output


def test_a_server_is_called_by_its_last_address_while_nobody_tells(
    names: NameServer, implementation: Implementation, stack: ExitStack
) -> None:
    names.answers["server.test"] = Answer(("127.0.0.1",), ttl=1)
    local = start_local(stack, names, implementation, "server.test")
    target = stack.enter_context(ServingTarget(echo))
    echoes(local, target.address)
    names.answers["server.test"] = Answer(rcode="SERVFAIL")
    asked = len(names.names)
    while len(names.names) == asked:  # until the answer is no longer good
        echoes(local, target.address)
    echoes(local, target.address)


def test_connections_and_datagrams_go_to_the_same_address(
    names: NameServer, implementation: Implementation, stack: ExitStack
) -> None:
    # Nobody is at the first one.
    names.answers["two.test"] = "127.0.0.77 127.0.0.1"
    local = start_local(stack, names, implementation, "two.test")
    target = stack.enter_context(Echo())
    association = stack.enter_context(UdpAssociation(local.address))
    assert association.exchange(b"ping", target.address) == b"ping"


@pytest.mark.parametrize(("flag", "host"), [("--ipv4-only", "127.0.0.1"), ("--ipv6-only", "::1")])
def test_one_family_of_names_alone(
    names: NameServer, implementation: Implementation, flag: str, host: str
) -> None:
    names.answers["two.test"] = "127.0.0.1 ::1"
    with (
        ServingTarget(echo, host) as target,
        start_proxy(names, implementation, flag) as proxy,
    ):
        echoes(proxy, SocketAddress("two.test", target.address.port))
        assert {one.kind for one in names.questions} == {"A" if host == "127.0.0.1" else "AAAA"}


def test_domains_are_searched_where_that_is_set(
    names: NameServer, implementation: Implementation
) -> None:
    names.answers |= {"db.corp.test": "127.0.0.1", "www.test": "127.0.0.1"}
    searching = ("--search-domains", "none.test,corp.test", "--rule", "deny to secret.corp.test")
    with (
        ServingTarget(echo) as target,
        start_proxy(names, implementation) as plain,
        start_proxy(names, implementation, *searching) as proxy,
    ):
        port = target.address.port
        with pytest.raises(ReplyError):
            echoes(plain, SocketAddress("db", port))
        assert names.names == ["db"]
        names.questions.clear()
        echoes(proxy, SocketAddress("DB", port))
        echoes(proxy, SocketAddress("www.test", port))
        assert names.names == ["db.none.test", "db.corp.test", "www.test"]
        names.questions.clear()
        for name, code in (
            ("db.", socks.HOST_UNREACHABLE),  # complete
            ("nobody", socks.HOST_UNREACHABLE),
            ("secret", socks.NOT_ALLOWED),
        ):
            with pytest.raises(ReplyError) as refused:
                echoes(proxy, SocketAddress(name, port))
            assert refused.value.code == code
        wanted = ["db", "nobody.none.test", "nobody.corp.test", "nobody", "secret.none.test"]
        assert names.names == wanted
