"""Logins of HTTP clients, and how requests are answered that cannot be served."""

from __future__ import annotations

import asyncio
import base64

import pytest

from fastsocks.errors import AuthenticationError, ProtocolError
from fastsocks.request import Request
from fastsocks.socks.http import HttpServer
from http_plays import ask, head
from socks_playbook import checker

ACCOUNTS = {b"user": b"pass:word", b"\xc3\xbc": b""}


def basic(text: bytes, scheme: str = "Basic") -> str:
    return f"Proxy-Authorization: {scheme} {base64.b64encode(text).decode()}"


@pytest.mark.parametrize(
    ("text", "user"), [(b"user:pass:word", "user"), ("ü:".encode(), "ü")], ids=["user", "ü"]
)
@pytest.mark.parametrize("scheme", ["Basic", "basic"])
def test_log_in(text: bytes, user: str, scheme: str) -> None:
    for line in ("CONNECT a:1 HTTP/1.1", "GET http://a:1/ HTTP/1.1"):
        server = HttpServer(checker(ACCOUNTS))
        request = ask(head(line, "Host: a:1", basic(text, scheme)), server)
        assert (str(request.address), request.user) == ("a:1", user)
        assert b"Authorization" not in request.early_data


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (basic(b"user:pass"),),
        (basic(b"user:"),),
        (basic(b"User:pass:word"),),
        (basic(b":"),),
        (basic(b"user"),),
        (basic(b"user:pass:word"),) * 2,
        (basic(b"user:pass:word", "Digest"),),
        ("Proxy-Authorization: Basic dXNlcjpwYXNzOndvcmQ",),
        ("Proxy-Authorization: Basic ****",),
        ("Proxy-Authorization:",),
        ("Authorization: Basic dXNlcjpwYXNzOndvcmQ=",),
    ],
)
def test_who_does_not_log_in(fields: tuple[str, ...]) -> None:
    server = HttpServer(checker(ACCOUNTS))
    with pytest.raises(ProtocolError) as caught:
        server.receive(head("CONNECT a:1 HTTP/1.1", "Host: a:1", *fields))
    answer = server.failed(caught.value)
    assert answer.startswith(b"HTTP/1.1 407 Proxy Authentication Required\r\n")
    assert b'\r\nProxy-Authenticate: Basic realm="fastsocks", charset="UTF-8"\r\n' in answer
    assert b"word" not in answer
    assert "pass:" not in str(caught.value)


@pytest.mark.parametrize("user", ["ü", None])
def test_a_check_that_takes_its_time(user: str | None) -> None:
    async def check(username: bytes, password: bytes) -> str | None:
        assert (username, password) == (b"user", b"pass:word")
        return user

    async def wait() -> Request | None:
        assert server.pending is not None
        return await server.pending

    server = HttpServer(check)
    data = head("CONNECT a:1 HTTP/1.1", "Host: a:1", basic(b"user:pass:word"))
    assert server.receive(data + b"early") is None
    assert server.take_outgoing() == b""
    with pytest.raises(RuntimeError):
        server.receive(b"more")
    if user is None:
        with pytest.raises(AuthenticationError) as caught:
            asyncio.run(wait())
        assert server.failed(caught.value).startswith(b"HTTP/1.1 407 ")
        return
    request = asyncio.run(wait())
    assert server.pending is None
    assert request is not None
    assert (str(request.address), request.early_data, request.user) == ("a:1", b"early", user)


def test_a_bad_request_behind_a_check() -> None:
    async def check(username: bytes, password: bytes) -> str | None:
        return "user"

    async def wait() -> Request | None:
        assert server.pending is not None
        return await server.pending

    server = HttpServer(check)
    assert server.receive(head("GET / HTTP/1.1", "Host: a:1", basic(b"user:pass"))) is None
    with pytest.raises(ProtocolError, match=r"^HTTP: ") as caught:
        asyncio.run(wait())
    assert server.failed(caught.value).startswith(b"HTTP/1.1 400 ")
