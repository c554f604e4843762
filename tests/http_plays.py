"""Requests to an HTTP proxy and what becomes of them, for tests."""

from __future__ import annotations

import pytest

from fastsocks.errors import ProtocolError
from fastsocks.request import Request
from fastsocks.socks.http import HttpServer
from socks_playbook import cut


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


def ask(data: bytes, server: HttpServer | None = None) -> Request:
    """Return the request that is made of `data`, in one piece and byte by byte."""
    request = (server or HttpServer()).receive(data)
    assert request is not None
    other = HttpServer() if server is None else server
    if server is None:
        complete = None
        for at in range(len(data)):
            if complete is None:
                complete = other.receive(data[at : at + 1])
        assert complete is not None
        assert request.early_data.startswith(complete.early_data)
        assert complete[0] == request[0]
    return request


def refusal(data: bytes, server: HttpServer | None = None) -> tuple[int, str]:
    """Return the status code with which `data` is refused and the reason that is logged."""
    machine = server or HttpServer()
    with pytest.raises(ProtocolError) as caught:
        list(map(machine.receive, cut(data, *range(len(data)))))
    answer = machine.failed(caught.value)
    assert machine.failed(caught.value) == b""
    line, _, rest = answer.partition(b"\r\n")
    assert b"\r\nConnection: close\r\n" in b"\r\n" + rest
    return int(line.split(b" ")[1]), str(caught.value)
