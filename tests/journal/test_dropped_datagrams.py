"""Lines about datagrams that were dropped."""

from __future__ import annotations

import logging

import pytest

from fastsocks.config import LocalOptions, ServerOptions
from fastsocks.journal.dropped_datagrams import DROPS
from fastsocks.journal.line_limiter import LineLimiter
from fastsocks.service.local import LocalService
from fastsocks.service.server import ServerService
from shadowsocks_ends import password

METHOD = "2022-blake3-aes-128-gcm"
CLIENT = "192.0.2.7"


@pytest.fixture
def server() -> ServerService:
    return ServerService(ServerOptions(method=METHOD, password=password(METHOD)))


def test_a_line_says_what_to_do(server: ServerService, caplog: pytest.LogCaptureFixture) -> None:
    server.log.datagrams_dropped("tag", CLIENT, 12)
    server.log.datagrams_dropped("timestamp", CLIENT, 1)
    server.log.datagrams_dropped("not-sent", None, 3)
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert caplog.messages == [
        (
            "192.0.2.7: 12 datagrams dropped: wrong password or method, or tampering (tag); "
            "password or method mismatch, or a probe"
        ),
        (
            "192.0.2.7: 1 datagram dropped: the clock of the sender is more than 30 s off: check "
            "NTP on both (timestamp)"
        ),
        (
            "3 datagrams dropped: the kernel did not take them (not-sent); check routes and open "
            "files; full buffers: net.core.wmem_max"
        ),
    ]
    assert vars(caplog.records[0])["fields"] == {
        "peer": CLIENT,
        "status": "tag",
        "advice": "password or method mismatch, or a probe",
        "datagrams": 12,
        "network": "udp",
    }


def test_local_has_a_server_to_complain_of(caplog: pytest.LogCaptureFixture) -> None:
    options = LocalOptions(server="192.0.2.1", method=METHOD, password=password(METHOD))
    LocalService(options).log.datagrams_dropped("tag", "127.0.0.1", 1)
    assert "the server's answer: password or method differ there" in caplog.messages[-1]


def test_many_are_held_back_and_none_is_lost(
    server: ServerService, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        server.log.datagrams_dropped("replay", CLIENT, 7)
    assert len(caplog.records) == 5
    server.close()
    assert caplog.messages[-1] == (
        "192.0.2.7: datagrams dropped: seen before, or too old to tell (315 more times)"
    )


@pytest.mark.parametrize("reason", ["closed", "no-client", "upstream"])
def test_what_is_ordinary_is_for_debugging(
    server: ServerService, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    server.log.datagrams_dropped(reason, CLIENT, 1)
    assert not caplog.records
    caplog.set_level(logging.DEBUG)
    server.log.datagrams_dropped(reason, CLIENT, 1)
    assert caplog.messages == [f"192.0.2.7: 1 datagram dropped ({reason})"]
    assert reason not in DROPS


def test_lines_that_tell_of_many_count_as_many_where_they_are_left_out() -> None:
    left_out: list[tuple[object, int]] = []
    others: list[int] = []
    limiter = LineLimiter(
        lambda key, times: left_out.append((key, times)), others.append, burst=1, most=2
    )
    for key, times in (("a", 3), ("a", 4), ("b", 1), ("c", 6), ("b", 2)):
        limiter.passes(key, times)
    limiter.end()
    assert left_out == [("a", 4), ("b", 2)]
    assert others == [6]
