"""The log lines of failed connections."""

from __future__ import annotations

import errno
import logging
import resource
import socket
from typing import Any, NamedTuple, cast

import pytest

from fastsocks.address import Address
from fastsocks.config import LocalOptions, ProxyOptions, ServerOptions
from fastsocks.errors import (
    AddressTypeError,
    AuthenticationError,
    DialError,
    FastsocksError,
    HandshakeTimeoutError,
    IdleTimeoutError,
    ResetError,
    StoppedError,
    TagError,
    TruncatedError,
    UserError,
    VersionError,
    dial_error,
)
from fastsocks.journal.access_log import AccessLog
from fastsocks.journal.associations import Associations
from fastsocks.journal.log import Log
from fastsocks.journal.observer import Connection, Observers
from fastsocks.policy import Cap
from fastsocks.request import CONNECT, Peer
from fastsocks.service.local import LocalService
from fastsocks.service.proxy import ProxyService
from fastsocks.service.reporting import ReportingService
from fastsocks.service.server import ServerService

PEER = ("192.0.2.1", 4711)
TARGET = Address.of("example.com", 443)
CANARY = "canary-27c1"


class Journal(Log):
    """A log whose clock is the test's."""

    now = 0.0

    def __init__(self) -> None:
        super().__init__(logging.getLogger("fastsocks.test"), {}, clock=lambda: self.now)

    def report(self, error: FastsocksError, peer: Peer, target: Address | None) -> None:
        self.refused(failed(error, peer, target))


def failed(error: FastsocksError, peer: Peer, target: Address | None) -> Connection:
    """Make a connection that has failed."""
    connection = Connection(peer, target=target)
    connection.error = error
    return connection


def ended(
    user: str | None,
    target: Address,
    bytes_up: int,
    bytes_down: int,
    seconds: float,
    error: FastsocksError | None = None,
) -> Connection:
    """Make a connection that is over."""
    connection = Connection(PEER, user=user, target=target)
    connection.command, connection.error = CONNECT, error
    connection.bytes_up, connection.bytes_down = bytes_up, bytes_down
    connection.seconds = seconds
    return connection


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Journal:
    caplog.set_level(logging.DEBUG)
    return Journal()


def test_a_line_tells_reason_peer_and_target(
    log: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    log.report(DialError("Connection refused"), PEER, TARGET)
    log.report(TagError("wrong key"), ("2001:db8::1", 1, 0, 0), None)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "192.0.2.1:4711 -> example.com:443: Connection refused (dial)"),
        ("WARNING", "[2001:db8::1]:1: wrong key (tag)"),
    ]


@pytest.mark.parametrize(
    ("error", "target", "level"),
    [
        (ResetError("reset by peer"), TARGET, "DEBUG"),
        (IdleTimeoutError("idle"), TARGET, "DEBUG"),
        (StoppedError("stopped"), None, "DEBUG"),
        (TruncatedError("left during its handshake"), None, "DEBUG"),
        (TruncatedError("ended inside a record"), TARGET, "WARNING"),
    ],
)
def test_what_is_no_problem_is_for_debugging(
    log: Journal,
    caplog: pytest.LogCaptureFixture,
    error: FastsocksError,
    target: Address | None,
    level: str,
) -> None:
    log.report(error, PEER, target)
    assert [record.levelname for record in caplog.records] == [level]


def test_a_target_cannot_write_lines_of_its_own(
    log: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    log.report(DialError("x"), PEER, Address.of("a\nWARNING forged", 1))
    assert "\n" not in caplog.records[0].message


def test_lines_alike_are_counted(log: Journal, caplog: pytest.LogCaptureFixture) -> None:
    def report(port: int) -> None:
        log.report(TagError("wrong key"), ("192.0.2.1", port), None)

    for port in range(40):
        report(port)
    assert len(caplog.records) == 5
    # Others are not held back by them.
    log.report(TagError("wrong key"), ("192.0.2.2", 1), None)
    log.report(DialError("wrong key"), ("192.0.2.1", 1), TARGET)
    assert len(caplog.records) == 7
    caplog.clear()
    log.now = 11
    report(1)
    assert [record.message for record in caplog.records] == [
        "192.0.2.1: wrong key (35 more times)",
        "192.0.2.1:1: wrong key (tag)",
    ]


def test_what_is_owed_comes_at_the_end(log: Journal, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(7):
        log.report(DialError("x"), PEER, TARGET)
    caplog.clear()
    log.close()
    log.close()
    assert [record.message for record in caplog.records] == [
        "192.0.2.1 -> example.com:443: x (2 more times)"
    ]


def test_lines_are_few_in_all(log: Journal, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1000):
        log.report(TagError("x"), (f"2001:db8::{number:x}", 1), None)
    assert len(caplog.records) == 200
    log.close()
    assert caplog.records[-1].message == "800 more lines about connections were left out"
    assert fields(caplog) == {"times": 800}
    caplog.clear()
    log.report(TagError("x"), PEER, None)
    assert len(caplog.records) == 1


def fields(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """Return the fields of the last record."""
    return cast(dict[str, Any], vars(caplog.records[-1])["fields"])


def test_what_a_line_says_is_in_its_fields(log: Journal, caplog: pytest.LogCaptureFixture) -> None:
    log.report(DialError("Connection refused"), PEER, TARGET)
    assert fields(caplog) == {
        "peer": "192.0.2.1:4711",
        "target": "example.com:443",
        "status": "dial",
    }


def test_advice_follows(log: Journal, caplog: pytest.LogCaptureFixture) -> None:
    for cause, part in (
        (OSError(errno.EMFILE, "x"), "ulimit -n"),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), "resolver"),
    ):
        log.report(dial_error(cause), PEER, TARGET)
        assert part in caplog.records[-1].message
        assert part in fields(caplog)["advice"]


SERVER = ServerService(
    ServerOptions(method="aes-128-gcm", password=CANARY, addresses=("127.0.0.1",), port=0)
)
LOCAL = LocalService(LocalOptions(method="aes-128-gcm", password=CANARY, server="192.0.2.9"))
PROXY = ProxyService(ProxyOptions(accounts={"alice": CANARY}))


@pytest.mark.parametrize(
    ("service", "error", "part"),
    [
        (SERVER, TagError("x"), "password or method mismatch, or a probe"),
        (SERVER, AddressTypeError("x"), "password or method mismatch, or a probe"),
        (SERVER, UserError("x"), "add the user"),
        (SERVER, HandshakeTimeoutError("x"), "mismatch"),
        (PROXY, VersionError("x"), "--protocols"),
        (PROXY, AuthenticationError("x"), "user name and password"),
        (LOCAL, DialError("Connection refused"), "192.0.2.9:8388"),
        (LOCAL, TagError("x"), "password or method differ"),
    ],
)
def test_advice_depends_on_the_service(
    service: ReportingService,
    error: FastsocksError,
    part: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = service.observer.refused
    assert refused is not None
    refused(failed(error, PEER, TARGET))
    service.close()
    assert part in caplog.records[-1].message
    assert CANARY not in caplog.text + repr(service)


LIMITS = {
    "max_connections": 3,
    "max_connections_per_client": 2,
    "max_handshakes": 2,
    "max_lookups_per_client": 1,
    "udp_max_associations": 2,
    "udp_max_associations_per_user": 1,
}


def test_a_limit_is_named_with_its_option(log: Journal, caplog: pytest.LogCaptureFixture) -> None:
    limited = ProxyService(ProxyOptions(**LIMITS))  # type: ignore[arg-type]
    for cap, client, line in (
        (
            Cap.CONNECTIONS,
            "192.0.2.1",
            "3 connections are open; further ones are closed (limit); --max-connections raises it",
        ),
        (
            Cap.CONNECTIONS_PER_CLIENT,
            "2001:db8::/64",
            (
                "2001:db8::/64: 2 connections of this client are open; further ones are closed "
                "(limit); --max-connections-per-client raises it"
            ),
        ),
        (
            Cap.LOOKUPS_PER_CLIENT,
            "192.0.2.1",
            (
                "192.0.2.1: 1 name look-ups of this client are under way; further ones wait "
                "(limit); --max-lookups-per-client raises it"
            ),
        ),
        (
            Cap.UDP_ASSOCIATIONS,
            "192.0.2.1",
            (
                "as many UDP associations as there may be; of whoever has most, the one not used "
                "for longest was ended (limit); --udp-max-associations raises it"
            ),
        ),
        (
            Cap.UDP_ASSOCIATIONS_PER_USER,
            "alice",
            (
                "alice: 1 UDP associations of this user are open; the one not used for longest was "
                "ended (limit); --udp-max-associations-per-user raises it"
            ),
        ),
    ):
        limited.observer.cap_reached(cap, client)
        assert caplog.records[-1].message == line
        assert fields(caplog)["limit"] == cap.value


def test_hits_of_a_limit_of_all_are_alike(log: Journal, caplog: pytest.LogCaptureFixture) -> None:
    limited = ProxyService(ProxyOptions(**LIMITS))  # type: ignore[arg-type]
    admitted = [limited.limits.admit(f"192.0.2.{number}") for number in range(50)]
    assert len([one for one in admitted if one]) == 2
    assert limited.limits.hits == {Cap.HANDSHAKES: 48}
    assert len(caplog.records) == 5
    limited.close()
    assert caplog.records[-1].message.endswith("(43 more times)")


def test_too_few_files_are_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (276, 276))
    limited = ProxyService(ProxyOptions(max_connections=500, mode="tcp_only"))
    assert "room for 81 connections, not for the 500 of --max-connections" in caplog.text
    assert "LimitNOFILE=" in caplog.text
    for number in range(82):
        admission = limited.limits.admit(f"192.0.2.{number}")
        if admission is not None:
            admission.established()
    assert "81 connections are open" in caplog.records[-1].message
    assert "ulimit -n" in caplog.records[-1].message
    caplog.clear()
    ProxyService(ProxyOptions())
    assert "room for 56 connections;" in caplog.text


def test_enough_files_are_not_worth_a_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (131_072, 131_072))
    ProxyService(ProxyOptions())
    ProxyService(ProxyOptions(max_connections=30000))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    ProxyService(ProxyOptions(max_connections=10**9))
    assert not caplog.records


def test_the_access_log(log: Journal, caplog: pytest.LogCaptureFixture) -> None:
    assert ProxyService(ProxyOptions()).observer.closed is None
    assert ProxyService(ProxyOptions(access_log=True)).observer.closed is not None
    access_log = AccessLog()
    access_log.closed(ended("al\nice", Address.of("a\nb", 1), 10, 2000, 1.23456))
    record = caplog.records[-1]
    assert (record.name, record.levelname) == ("fastsocks.access", "INFO")
    assert fields(caplog) == {
        "peer": "192.0.2.1:4711",
        "user": "al\nice",
        "target": "a\\nb:1",
        "bytes_up": 10,
        "bytes_down": 2000,
        "seconds": 1.235,
        "end": "finished",
    }
    access_log.closed(ended(None, TARGET, 0, 0, 0.5, DialError("x")))
    assert (
        caplog.records[-1].message
        == "192.0.2.1:4711 - -> example.com:443 up 0 down 0 bytes in 0.500 s: dial"
    )


class _Association(NamedTuple):
    user: str | None
    client_host: str = "192.0.2.1"
    bytes_up: int = 10
    bytes_down: int = 2000


def test_the_access_log_of_associations(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    associations = Associations(Observers([AccessLog()]), clock=lambda: now)
    assert associations.watched
    for user in ("alice", None):
        association: Any = _Association(user)
        associations.began(association)
        now += 1.5
        associations.over(association)
    assert fields(caplog) == {
        "peer": "192.0.2.1",
        "bytes_up": 10,
        "bytes_down": 2000,
        "seconds": 1.5,
        "network": "udp",
    }
    assert caplog.messages[-2:] == [
        "192.0.2.1 alice udp up 10 down 2000 bytes in 1.500 s",
        "192.0.2.1 - udp up 10 down 2000 bytes in 1.500 s",
    ]


def test_associations_leave_no_line_without_an_access_log(
    log: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    observer = Observers([log])
    associations = Associations(observer)
    assert not associations.watched
    association: Any = _Association("alice")
    associations.began(association)
    associations.over(association)
    assert not caplog.records


def test_nobody_forges_fields_of_a_line(log: Journal, caplog: pytest.LogCaptureFixture) -> None:
    forged = "x:1 up 9 down 9 bytes in 9.000 s: finished"
    access_log, target = AccessLog(), Address.of(f"evil -> {forged}", 443)
    access_log.closed(ended(f"bob -> {forged}", target, 1, 2, 0.5, DialError("x")))
    words = caplog.records[-1].message.split()
    assert words[0] == "192.0.2.1:4711"
    assert words[1] == f"bob -> {forged}".replace(" ", r"\x20")
    assert words[3] == f"evil -> {forged}:443".replace(" ", r"\x20")
    assert " ".join((words[2], *words[4:])) == "-> up 1 down 2 bytes in 0.500 s: dial"
    for user, word in (("-", r"\x2d"), ("", '""'), (None, "-")):
        access_log.closed(ended(user, TARGET, 0, 0, 0.5))
        assert caplog.records[-1].message.split()[1] == word
    log.report(DialError("x"), PEER, Address.of("a: no (dial); b", 1))
    assert caplog.records[-1].message.startswith(
        r"192.0.2.1:4711 -> a:\x20no\x20(dial);\x20b:1: x (dial)"
    )
