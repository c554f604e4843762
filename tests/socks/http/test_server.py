"""Requests to an HTTP proxy: what is asked for, what is passed on, what is refused."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.errors import (
    CommandError,
    DialError,
    FastsocksError,
    HandshakeTimeoutError,
    PolicyError,
    ProtocolError,
    ResolveError,
    TruncatedError,
    UpstreamError,
)
from fastsocks.request import LONGEST_REQUEST_HEAD, UDP_ASSOCIATE, Request
from fastsocks.socks.http import HttpServer
from http_plays import ask, head, refusal
from socks_playbook import cut, feed

CONNECTS = {
    "name": ("example.com:443", "example.com:443"),
    "IPv4": ("192.0.2.1:80", "192.0.2.1:80"),
    "IPv6": ("[2001:db8::1]:443", "[2001:db8::1]:443"),
    "mapped IPv4": ("[::ffff:192.0.2.1]:1", "192.0.2.1:1"),
    "port 0": ("a:0", "a:0"),
    "longest name": ("a" * 255 + ":65535", "a" * 255 + ":65535"),
}


@pytest.mark.parametrize(("target", "address"), CONNECTS.values(), ids=CONNECTS)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_connect(target: str, address: str, version: str) -> None:
    data = head(f"CONNECT {target} HTTP/{version}", f"Host: {target}")
    server = HttpServer()
    request = ask(data + b"early\r\n\r\n", server)
    assert (str(request.address), request.early_data) == (address, b"early\r\n\r\n")
    assert server.codec is None
    assert server.connected(None) == b"HTTP/1.1 200 Connection established\r\n\r\n"


def test_connect_needs_no_host() -> None:
    assert str(ask(head("CONNECT a:1 HTTP/1.1")).address) == "a:1"


def test_an_empty_line_in_front() -> None:
    assert str(ask(b"\r\n" + head("CONNECT a:1 HTTP/1.1")).address) == "a:1"


def test_connect_of_no_body_at_all() -> None:
    assert ask(head("CONNECT a:1 HTTP/1.1", "Content-Length: 0")).early_data == b""


@pytest.mark.parametrize(
    "target",
    [
        *("a", "a:", ":80", "a:b", "a:-1", "a:65536", "a:123456", "::1:80", "[::1]", "[a]:80"),
        *("[::1:80", "::1]:80", "u@a:80", "http://a:80/", "http://a:80", "/", "*", "a:80/x"),
        *("a%00b:80", "a" * 256 + ":80", "[fe80::1%25eth0]:80", "a\\b:80", "?:80"),
    ],
)
def test_connect_to_nowhere(target: str) -> None:
    assert refusal(head(f"CONNECT {target} HTTP/1.1", "Host: a"))[0] == 400


@pytest.mark.parametrize("url", ["http://a/", "https://a", "http://a:80/", "//a", "a/b:c?d"])
def test_connect_to_a_url_is_not_told_of_a_port(url: str) -> None:
    code, reason = refusal(head(f"CONNECT {url} HTTP/1.1", "Host: a"))
    assert (code, reason) == (400, "HTTP: the request-target is not HOST:PORT")


@pytest.mark.parametrize(
    "field", ["Content-Length: 1", "Content-Length: 00", "Transfer-Encoding: chunked"]
)
def test_connect_with_a_body(field: str) -> None:
    code, reason = refusal(head("CONNECT a:1 HTTP/1.1", "Host: a:1", field))
    assert (code, reason) == (400, "HTTP: CONNECT has no body")


URLS = {
    "http://example.com/": ("example.com:80", "/", "example.com"),
    "http://example.com": ("example.com:80", "/", "example.com"),
    "HTTP://Example.com:8080/a?b=//c:d@e": ("Example.com:8080", "/a?b=//c:d@e", "Example.com:8080"),
    "http://example.com?a": ("example.com:80", "/?a", "example.com"),
    "http://[2001:db8::1]/x": ("[2001:db8::1]:80", "/x", "[2001:db8::1]"),
    "http://[2001:db8::1]:81/x": ("[2001:db8::1]:81", "/x", "[2001:db8::1]:81"),
    "http://192.0.2.1:/": ("192.0.2.1:80", "/", "192.0.2.1:"),
    "ws://a.example/chat": ("a.example:80", "/chat", "a.example"),
    "WS://a.example:81?x": ("a.example:81", "/?x", "a.example:81"),
}


@pytest.mark.parametrize(("url", "found"), URLS.items())
def test_plain_request(url: str, found: tuple[str, str, str]) -> None:
    address, path, host = found
    server = HttpServer()
    request = ask(head(f"GET {url} HTTP/1.1", "Host: other.example", "Accept: */*"), server)
    assert str(request.address) == address
    assert request.early_data == head(
        f"GET {path} HTTP/1.1", f"Host: {host}", "Accept: */*", "Connection: close"
    )
    assert server.codec is not None
    assert server.connected(None) == b""


def test_options_of_a_whole_server() -> None:
    request = ask(head("OPTIONS http://a HTTP/1.1", "Host: a", "Max-Forwards: 5"))
    assert request.early_data.startswith(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 4\r\n")


def test_a_request_of_1_0_stays_one() -> None:
    request = ask(head("GET http://a/ HTTP/1.0"))
    assert request.early_data == head("GET / HTTP/1.0", "Host: a", "Connection: close")


def test_what_concerns_this_connection_only_is_left_out() -> None:
    request = ask(
        head(
            "GET http://a/ HTTP/1.1",
            "Host: a",
            "Connection: keep-alive, X-Mine",
            "connection: , x-Also ,",
            "Proxy-Connection: keep-alive",
            "Keep-Alive: timeout=5",
            "Proxy-Authorization: Basic dXNlcjpwYXNz",
            "TE: trailers",
            "Trailer: X",
            "Upgrade: websocket",
            "X-Mine: 1",
            "X-Also: 2",
            "Via: 1.1 other",
            "X-Empty:",
            "Cookie: a=b",
        )
    )
    assert request.early_data == head(
        "GET / HTTP/1.1", "Host: a", "Via: 1.1 other", "X-Empty: ", "Cookie: a=b",
        "Connection: close",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        ("/caf\xe9", "/caf%E9"),
        ("/\xc3\xa9/\xf0\x9f\x98\x80?q=\xc3\xbc&r=%20", "/%C3%A9/%F0%9F%98%80?q=%C3%BC&r=%20"),
        ("?\x80\xff", "/?%80%FF"),
    ],
)
def test_a_path_as_users_write_it(sent: str, passed: str) -> None:
    for start in (b"", b"\r\n"):
        request = ask(start + head(f"GET http://a{sent} HTTP/1.1", "Host: a", "X: \xe9"))
        assert request.early_data == head(
            f"GET {passed} HTTP/1.1", "Host: a", "X: \xe9", "Connection: close"
        )


@pytest.mark.parametrize(
    "line",
    [
        "GET http://b\xfccher.example/ HTTP/1.1",
        "GET http://a/ HTTP/1.1\xe9",
        "G\xc9T http://a/ HTTP/1.1",
        "CONNECT b\xfccher.example:443 HTTP/1.1",
        "GET http://a/\x00 HTTP/1.1",
        "GET http://a/\x7f HTTP/1.1",
        "GET http://a/\xe9 b HTTP/1.1",
    ],
)
def test_elsewhere_no_such_bytes_are_taken(line: str) -> None:
    assert refusal(head(line, "Host: a"))[0] in {400, 501, 505}


WEBSOCKET = ("Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Key: x")
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: y\r\n\r\n"
)


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_websocket(scheme: str) -> None:
    server = HttpServer()
    request = ask(head(f"GET {scheme}://a/chat HTTP/1.1", "Host: a", *WEBSOCKET), server)
    assert request.early_data == head(
        "GET /chat HTTP/1.1", "Host: a", "Sec-WebSocket-Key: x",
        "Connection: Upgrade", "Upgrade: websocket",
    )  # fmt: skip
    codec = server.codec
    assert codec is not None
    for point in range(len(SWITCHED)):
        ask(head(f"GET {scheme}://a/chat HTTP/1.1", "Host: a", *WEBSOCKET), server := HttpServer())
        codec = server.codec
        assert codec is not None
        answer = b"".join(map(codec.seal, cut(SWITCHED + b"\x81\x00", point)))
        assert answer == head(
            "HTTP/1.1 101 Switching Protocols", "Sec-WebSocket-Accept: y",
            "Connection: Upgrade", "Upgrade: websocket",
        ) + b"\x81\x00"  # fmt: skip
        assert codec.open(b"GET http://b/ HTTP/1.1\r\n\r\n") == b"GET http://b/ HTTP/1.1\r\n\r\n"
        assert codec.seal(b"\x88\x00") == b"\x88\x00"


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("GET http://a/ HTTP/1.1", ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")),
        ("GET http://a/ HTTP/1.1", ("Connection: Upgrade", "Upgrade: websocket, h2c")),
        ("GET http://a/ HTTP/1.1", ("Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket")),
        ("GET http://a/ HTTP/1.1", ("Upgrade: websocket",)),
        ("GET http://a/ HTTP/1.1", ("Connection: Upgrade",)),
        ("POST http://a/ HTTP/1.1", ("Connection: Upgrade", "Upgrade: websocket")),
        ("GET http://a/ HTTP/1.0", ("Connection: Upgrade", "Upgrade: websocket")),
        (
            "GET http://a/ HTTP/1.1",
            ("Connection: Upgrade", "Upgrade: websocket", "Content-Length: 3"),
        ),
        (
            "GET http://a/ HTTP/1.1",
            ("Connection: Upgrade", "Upgrade: websocket", "Transfer-Encoding: chunked"),
        ),
    ],
)
def test_what_is_no_websocket_does_not_change_the_protocol(
    line: str, fields: tuple[str, ...]
) -> None:
    server = HttpServer()
    request = ask(head(line, "Host: a", *fields), server)
    assert b"pgrade" not in request.early_data
    assert server.codec is not None
    assert b"pgrade" not in server.codec.seal(SWITCHED)
    assert b"GET http://b/" not in server.codec.open(b"0\r\n\r\nGET http://b/ HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    ],
)
def test_a_websocket_that_the_target_does_not_want(answer: bytes) -> None:
    server = HttpServer()
    ask(head("GET http://a/ HTTP/1.1", "Host: a", *WEBSOCKET), server)
    assert server.codec is not None
    sealed = server.codec.seal(answer)
    assert b"\r\nConnection: close\r\n" in sealed
    assert b"pgrade:" not in sealed
    assert server.codec.open(b"GET http://b/ HTTP/1.1\r\n\r\n") == b""


def test_a_websocket_client_has_to_wait() -> None:
    request = head("GET http://a/ HTTP/1.1", "Host: a", *WEBSOCKET)
    assert refusal_at_once(request + b"\x81\x00") == 400
    server = HttpServer()
    ask(request, server)
    assert server.codec is not None
    with pytest.raises(ProtocolError, match="a client that has to wait for its WebSocket"):
        server.codec.open(b"\x81\x00")


def refusal_at_once(data: bytes) -> int:
    server = HttpServer()
    with pytest.raises(ProtocolError) as caught:
        server.receive(data)
    return int(server.failed(caught.value).split(b" ")[1])


def test_a_change_without_a_field_connection() -> None:
    server = HttpServer()
    ask(head("GET http://a/ HTTP/1.1", "Host: a", *WEBSOCKET), server)
    assert server.codec is not None
    answer = head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket")
    assert server.codec.seal(answer + b"\x81\x00").endswith(
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00"
    )
    assert server.codec.open(b"frame") == b"frame"


@pytest.mark.parametrize(
    ("fields", "body", "passed"),
    [
        ((), b"GET http://b/ HTTP/1.1\r\n", b""),
        (("Content-Length: 0",), b"more", b""),
        (("Content-Length: 5",), b"12345GET http://b/ HTTP/1.1\r\n", b"12345"),
        (("Content-Length: 5",), b"123", b"123"),
        (
            ("Transfer-Encoding: Chunked",),
            b"3;x=y\r\nabc\r\n0a\r\n0123456789\r\n0\r\nT: x\r\n\r\nGET http://b/ HTTP/1.1\r\n\r\n",
            b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n",
        ),
        (("Transfer-Encoding: chunked",), b"0\r\n\r\n" + b"\0\xff" * 9, b"0\r\n\r\n"),
    ],
)
def test_a_request_ends_where_it_ends(fields: tuple[str, ...], body: bytes, passed: bytes) -> None:
    start = head("POST http://a/ HTTP/1.1", "Host: a", *fields)
    sent = ask(start + body, HttpServer()).early_data
    assert sent[sent.index(b"\r\n\r\n") + 4 :] == passed
    # The same where the body comes later, in two pieces.
    for point in range(len(body) + 1):
        server = HttpServer()
        request = ask(start, server)
        assert server.codec is not None
        assert request.early_data + passed == sent
        pieces = [server.codec.open(piece) for piece in cut(body, point)]
        assert joined(pieces) == joined([passed])


def joined(pieces: list[bytes]) -> bytes:
    """Return a body, that of chunks without their sizes."""
    data = b"".join(pieces)
    if not data.endswith(b"0\r\n\r\n"):
        return data
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return body


REFUSED = {
    "no URL": ("GET / HTTP/1.1", ("Host: a",), 400),
    "https": ("GET https://a/ HTTP/1.1", ("Host: a",), 501),
    "wss": ("GET wss://a/ HTTP/1.1", ("Host: a", "Upgrade: websocket"), 501),
    "ftp": ("GET ftp://a/ HTTP/1.1", ("Host: a",), 501),
    "user in the URL": ("GET http://u:p@a/ HTTP/1.1", ("Host: a",), 400),
    "no host in the URL": ("GET http:///x HTTP/1.1", ("Host: a",), 400),
    "only a port": ("GET http://:80/ HTTP/1.1", ("Host: a",), 400),
    "bad port": ("GET http://a:70000/ HTTP/1.1", ("Host: a",), 400),
    "no Host": ("GET http://a/ HTTP/1.1", (), 400),
    "two Hosts": ("GET http://a/ HTTP/1.1", ("Host: a", "Host: a"), 400),
    "TRACE": ("TRACE http://a/ HTTP/1.1", ("Host: a",), 405),
    "OPTIONS at its end": ("OPTIONS http://a/ HTTP/1.1", ("Host: a", "Max-Forwards: 0"), 501),
    "unknown method": ("BREW http://a/ HTTP/1.1", ("Host: a",), 501),
    "lower case": ("get http://a/ HTTP/1.1", ("Host: a",), 501),
    "HTTP/2": ("PRI * HTTP/2.0", (), 400),
    "RTSP": ("GET http://a/ RTSP/1.0", ("Host: a",), 505),
    "two lengths": (
        "POST http://a/ HTTP/1.1", ("Host: a", "Content-Length: 1", "Content-Length: 2"), 400,
    ),
    "a list of lengths": ("POST http://a/ HTTP/1.1", ("Host: a", "Content-Length: 1, 1"), 400),
    "a sign": ("POST http://a/ HTTP/1.1", ("Host: a", "Content-Length: +1"), 400),
    "length and chunks": (
        "POST http://a/ HTTP/1.1",
        ("Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"),
        400,
    ),
    "chunks and length": (
        "POST http://a/ HTTP/1.1",
        ("Host: a", "Transfer-Encoding: chunked", "Content-Length: 1"),
        400,
    ),
    "other coding": ("POST http://a/ HTTP/1.1", ("Host: a", "Transfer-Encoding: gzip"), 400),
    "two codings": (
        "POST http://a/ HTTP/1.1", ("Host: a", "Transfer-Encoding: gzip, chunked"), 501,
    ),
    "chunked twice": (
        "POST http://a/ HTTP/1.1",
        ("Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        400,
    ),
    "chunks of 1.0": ("POST http://a/ HTTP/1.0", ("Transfer-Encoding: chunked",), 400),
    "space before the colon": (
        "POST http://a/ HTTP/1.1", ("Host: a", "Transfer-Encoding : chunked"), 400,
    ),
    "folded": ("GET http://a/ HTTP/1.1", ("Host: a", "X: a", " b"), 400),
    "NUL": ("GET http://a/ HTTP/1.1", ("Host: a\0b",), 400),
    "Connection drops Host": ("GET http://a/ HTTP/1.1", ("Host: a", "Connection: host"), 400),
    "Connection drops the length": (
        "POST http://a/ HTTP/1.1",
        ("Host: a", "Content-Length: 1", "Connection: close, Content-Length"),
        400,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("line", "fields", "code"), REFUSED.values(), ids=REFUSED)
def test_refused(line: str, fields: tuple[str, ...], code: int) -> None:
    found, reason = refusal(head(line, *fields))
    assert found == code
    assert reason.startswith("HTTP: ")


@pytest.mark.parametrize(
    "data", [b"GET http://a/ HTTP/1.1\nHost: a\n\n", b"GET http://a/\r\n\r\n", b"G\r\n", b"A\x80"]
)
def test_what_is_no_head_is_refused_at_once(data: bytes) -> None:
    assert refusal(data)[0] in {400, 501, 505}


def test_a_head_in_pieces_costs_no_more_than_its_bytes() -> None:
    size = 250_000
    target, value = "x" * size, "y" * size
    data = head(f"GET http://a/{target} HTTP/1.1", "Host: a", f"X: {value}")
    server = HttpServer(longest_head=len(data))
    # Were all that came before copied for each byte, it would take minutes.
    for at in range(len(data) - 1):
        assert server.receive(data[at : at + 1]) is None
    assert server.receive(data[-1:]) is not None


def test_of_an_incomplete_head_its_bytes_are_kept_and_no_more() -> None:
    server = HttpServer()
    tracemalloc.start()
    try:
        assert server.receive(b"GET http://a/ HTTP/1.1\r\n") is None
        for _ in range(10_000):
            assert server.receive(b"a:\r\n") is None
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 2 * LONGEST_REQUEST_HEAD


def test_the_longest_head() -> None:
    line = b"GET http://a/ HTTP/1.1\r\nHost: a\r\nX: "
    longest = line + b"x" * (LONGEST_REQUEST_HEAD - len(line) - 4) + b"\r\n\r\n"
    assert ask(longest)
    too_long = longest.replace(b"X: ", b"X: x")
    assert refusal(too_long)[0] == 431
    assert refusal(b"GET http://" + b"a" * LONGEST_REQUEST_HEAD)[0] == 431


def test_no_body_behind_the_refusal_of_head() -> None:
    server = HttpServer()
    server.receive(head("HEAD http://a/ HTTP/1.1", "Host: a"))
    assert server.failed(DialError("no")).endswith(b"\r\n\r\n")


def slow() -> DialError:
    error = DialError("connect timed out")
    error.reply = 6
    return error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PolicyError("rule 7 says no"), b"403 Forbidden"),
        (DialError("Connection refused"), b"502 Bad Gateway"),
        (ResolveError("no such name"), b"502 Bad Gateway"),
        (slow(), b"504 Gateway Timeout"),
        (UpstreamError("upstream http://10.1.2.3:1: rule 7"), b"502 Bad Gateway"),
    ],
)
def test_failed_dial(error: FastsocksError, line: bytes) -> None:
    server = HttpServer()
    server.receive(head("CONNECT a:1 HTTP/1.1"))
    answer = server.failed(error)
    assert answer.startswith(b"HTTP/1.1 " + line + b"\r\n")
    assert b"rule 7" not in answer
    assert server.failed(error) == b""


def test_amid_the_head() -> None:
    for error, start in (
        (HandshakeTimeoutError("late"), b"HTTP/1.1 408 "),
        (TruncatedError(""), b""),
    ):
        server = HttpServer()
        assert server.receive(b"GET ") is None
        assert server.failed(error)[:13] == start


def test_no_connections_are_offered() -> None:
    server = HttpServer(commands=(UDP_ASSOCIATE,))
    with pytest.raises(CommandError) as caught:
        server.receive(head("CONNECT a:1 HTTP/1.1"))
    assert server.failed(caught.value).startswith(b"HTTP/1.1 501 ")


def test_misuse_is_not_mistaken_for_the_client() -> None:
    server = HttpServer()
    with pytest.raises(RuntimeError):
        server.connected(None)
    server.receive(head("CONNECT a:1 HTTP/1.1"))
    with pytest.raises(RuntimeError):
        server.receive(b"x")
    server.connected(None)
    assert server.failed(DialError("late")) == b""


pieces = st.sampled_from(
    [
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"POST http://a/ HTTP/1.1\r\n",
        b"Host: a\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\n",
        b"GET ws://a/\xc3\xa9 HTTP/1.1\r\n",
        b"3\r\nabc\r\n",
        b"\r\n",
        b"0\r\n",
    ]
)
conversations = st.lists(pieces | st.binary(max_size=12), max_size=7).map(b"".join)


@given(conversations, st.data())
def test_any_bytes_at_any_split(data: bytes, cuts: st.DataObject) -> None:
    points = cuts.draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    passed: list[tuple[str, object, bytes]] = []
    for chunks in ([data], cut(data, *points)):
        server = HttpServer()
        request: Request | None = None
        sent = b""
        try:
            for chunk in filter(None, chunks):
                if request is None:
                    request = server.receive(chunk)
                    sent += b"" if request is None else request.early_data
                else:
                    sent += chunk if server.codec is None else server.codec.open(chunk)
        except ProtocolError as error:
            server.failed(error)
            # How much of a body had passed before what is wrong in it came is up to the cuts.
            passed.append((str(error), None, b""))
        else:
            ended, body = sent.partition(b"\r\n\r\n")[0], sent.partition(b"\r\n\r\n")[2]
            whole = request is None or server.codec is None
            passed.append(("", request and request[0], sent if whole else ended + joined([body])))
    assert passed[0] == passed[1]


def test_feeding_it_like_any_other_server() -> None:
    outcome = feed(HttpServer(), [b"CONNECT a:1 HTTP/1.1\r\n", b"\r\nearly"])
    assert outcome.event == "request 01 a:1 with b'early'"
