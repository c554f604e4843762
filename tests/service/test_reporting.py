"""The log lines of failed connections."""

from __future__ import annotations

import itertools
import logging

import pytest

from fastsocks.address import Address
from fastsocks.errors import (
    DialError,
    FastsocksError,
    IdleTimeoutError,
    ResetError,
    StoppedError,
    TagError,
    TruncatedError,
)
from fastsocks.request import Request
from fastsocks.service.interfaces import Peer, Route
from fastsocks.service.reporting import ReportingService
from fastsocks.socks import SocksServer

PEER = ("192.0.2.1", 4711)
TARGET = Address.of("example.com", 443)


class Service(ReportingService):
    """Reports; the rest is what the proxy does."""

    now = 0.0

    def __init__(self) -> None:
        super().__init__(logging.getLogger("fastsocks.test"), clock=lambda: self.now)

    def inbound(self, peer: Peer) -> SocksServer:
        return SocksServer()

    def route(self, request: Request, peer: Peer) -> Route:
        return Route(request.address)


@pytest.fixture
def service(caplog: pytest.LogCaptureFixture) -> Service:
    caplog.set_level(logging.DEBUG)
    return Service()


def test_a_line_tells_reason_peer_and_target(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.report(DialError("Connection refused"), PEER, TARGET)
    service.report(TagError("wrong key"), ("2001:db8::1", 1, 0, 0), None)
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
    service: Service,
    caplog: pytest.LogCaptureFixture,
    error: FastsocksError,
    target: Address | None,
    level: str,
) -> None:
    service.report(error, PEER, target)
    assert [record.levelname for record in caplog.records] == [level]


def test_a_target_cannot_write_lines_of_its_own(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.report(DialError("x"), PEER, Address.of("a\nWARNING forged", 1))
    assert "\n" not in caplog.records[0].message


def test_lines_alike_are_counted(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    def report(port: int) -> None:
        service.report(TagError("wrong key"), ("192.0.2.1", port), None)

    for port in range(40):
        report(port)
    assert len(caplog.records) == 5
    # Others are not held back by them.
    service.report(TagError("wrong key"), ("192.0.2.2", 1), None)
    service.report(DialError("wrong key"), ("192.0.2.1", 1), TARGET)
    assert len(caplog.records) == 7
    caplog.clear()
    service.now = 11
    report(1)
    assert [record.message for record in caplog.records] == [
        "192.0.2.1: wrong key (35 more times)",
        "192.0.2.1:1: wrong key (tag)",
    ]


def test_what_is_owed_comes_at_the_end(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(7):
        service.report(DialError("x"), PEER, TARGET)
    caplog.clear()
    service.end_reports()
    service.end_reports()
    assert [record.message for record in caplog.records] == [
        "192.0.2.1 -> example.com:443: x (2 more times)"
    ]


def test_kinds_of_lines_are_bounded(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    hosts = (f"2001:db8::{number:x}" for number in itertools.count())
    for host in itertools.islice(hosts, 2 * service.SIZE):
        service.report(TagError("x"), (host, 1), None)
    assert len(service._counts) == service.SIZE
