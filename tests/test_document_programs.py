"""The Python that the documents show runs, and relays, on both implementations.

Each block is run in a process of its own, between what its reader would have around it: the names
that it takes for granted, and what is done with what it made.
"""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
import trustme

from harness.deadline import DEADLINE
from harness.documents import RUN, blocks
from harness.listener import free_port
from harness.services import Implementation, Service, environment, start_local, start_server
from harness.shadowsocks import generate_key
from harness.targets import ServingTarget, http_page, tls_page

METHOD = "2022-blake3-aes-128-gcm"
PAGE = "the page that a program fetches"

#: `await` may stand anywhere in a block.
_DRIVER = """
import ast, asyncio, inspect, sys
code = compile(sys.stdin.read(), "block", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
names = {"__name__": "__main__"}
if inspect.iscoroutine(done := eval(code, names)):
    asyncio.run(done)
"""

_BEFORE = """
import asyncio, os, ssl
import fastsocks

async def fetch(reader, writer):
    writer.write(b"GET / HTTP/1.1\\r\\nHost: here\\r\\nConnection: close\\r\\n\\r\\n")
    print(await reader.read())
    writer.close()
    await writer.wait_closed()

async def fetch_by(url):
    await fetch(*await fastsocks.open_connection(url, "PAGE HOST", PAGE_PORT))
"""


class Around(NamedTuple):
    """What a reader has around a block."""

    #: Some text of it.
    block: str
    before: str = ""
    after: str = ""
    #: How often it prints the page.
    pages: int = 1


_AROUND = [
    Around("asyncio.run(main())"),
    Around(
        "context = ssl.create_default_context()",
        after="""
await fetch(reader, writer)
ended = asyncio.get_running_loop().create_future()

class Client(asyncio.Protocol):
    def data_received(self, data):
        print(data)
    def connection_lost(self, error):
        ended.set_result(None)

transport.set_protocol(Client())
transport.write(b"GET / HTTP/1.1\\r\\nHost: here\\r\\nConnection: close\\r\\n\\r\\n")
await ended
""",
        pages=2,
    ),
    Around("async with fastsocks.Local(options)"),
    Around(
        "SharedState(workers=2)",
        before="""
import signal, threading

def end():
    # As a parent that is told to stop.
    url = f"ss://{options.method}:{PASSWORD}@127.0.0.1:{options.port}"
    try:
        asyncio.run(fetch_by(url))
    finally:
        for child in list(workers):
            os.kill(child, signal.SIGTERM)

def wait():
    if not threads:
        threads.append(threading.Thread(target=end))
        threads[0].start()
    return os_wait()

threads, os_wait, os.wait = [], os.wait, wait
""",
        after="""
threads[0].join()
""",
    ),
    Around(
        "class Accounting(fastsocks.Observer)",
        after="""
await proxy.start()
host, port = proxy.addresses[0]
await fetch_by(f"socks5://{host}:{port}")
try:
    await fastsocks.open_connection(f"socks5://{host}:{port}", "127.0.0.1", 1)
except fastsocks.ReplyError:
    pass
await proxy.close()
assert accounting.refusals == {"dial": 1}, accounting.refusals
assert accounting.bytes[None] > len("PAGE HOST"), accounting.bytes
""",
    ),
    Around(
        "async def authenticate",
        before="""
class database:
    async def password_is(username, password):
        return (username, password) == ("alice", "secret")
""",
        after="""
from fastsocks.errors import AuthenticationError

await proxy.start()
host, port = proxy.addresses[0]
await fetch_by(f"socks5://alice:secret@{host}:{port}")
try:
    await fetch_by(f"socks5://alice:wrong@{host}:{port}")
except AuthenticationError:
    print("refused")
else:
    raise SystemExit("let in")
await proxy.close()
""",
    ),
]


@pytest.fixture(scope="module")
def key() -> str:
    return generate_key(METHOD)


@pytest.fixture(scope="module")
def server(key: str) -> Iterator[Service]:
    with start_server(METHOD, key) as service:
        yield service


@pytest.fixture(scope="module")
def local(server: Service, key: str) -> Iterator[Service]:
    with start_local(server.address, METHOD, key) as service:
        yield service


def _programs() -> Iterator[tuple[str, str]]:
    for document in RUN:
        for block in blocks(document):
            if block.language == "python" and not block.reason:
                yield document, block.text


PROGRAMS = list(_programs())


@pytest.mark.parametrize(("document", "program"), PROGRAMS)
def test_a_program_is_known_here(document: str, program: str) -> None:
    assert sum(around.block in program for around in _AROUND) == 1


@pytest.mark.parametrize(
    ("around", "program"),
    [
        (around, text)
        for around in _AROUND
        # Some had other words in 0.1.0.
        for text in dict.fromkeys(text for _, text in PROGRAMS if around.block in text)
    ],
    ids=lambda value: value.block if isinstance(value, Around) else "",
)
def test_a_program_does_what_its_document_says(
    around: Around,
    program: str,
    server: Service,
    local: Service,
    key: str,
    implementation: Implementation,
    tmp_path: Path,
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    password = quote(key, safe="")
    with (
        ServingTarget(http_page(PAGE.encode())) as page,
        ServingTarget(tls_page(PAGE.encode(), context)) as secure_page,
    ):
        text = f"{_BEFORE}{around.before}{program}{around.after}"
        for old, new in {
            '"example.com", 443': f'"127.0.0.1", {secure_page.address.port}',
            '"example.com", 80': f'"127.0.0.1", {page.address.port}',
            '"PAGE HOST", PAGE_PORT': f'"127.0.0.1", {page.address.port}',
            "    ...  # SOCKS": '    await fetch_by(f"socks5://{host}:{port}")  # SOCKS',
            "ss://...": f"ss://{METHOD}:{password}@{server.address}",
            "127.0.0.1:1080": str(local.address),
            "198.51.100.7": server.address.host,
            "server_port=8388": f"server_port={server.address.port}",
            "ServerOptions(": f'ServerOptions(addresses=("127.0.0.1",), port={free_port()}, '
            "allow_private=True, ",
            "ProxyOptions(": "ProxyOptions(port=0, ",
            'password="..."': f'password="{key}"',
            "{PASSWORD}": password,
        }.items():
            text = text.replace(old, new)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", _DRIVER],
            env=environment(implementation, SSL_CERT_FILE=str(tmp_path / "authority.pem")),
            input=text,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count(PAGE) == around.pages
