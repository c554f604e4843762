"""``fastsocks explain``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from fastsocks.config.url import ServerURL
from fastsocks.errors import ConfigError
from fastsocks.explain import Explanation, explain_datagram, explain_stream, format_table
from fastsocks.explain.capture import is_capture, read_capture, stream_of
from fastsocks.shadowsocks import client_key

if TYPE_CHECKING:
    from fastsocks.explain.capture import End
    from fastsocks.shadowsocks import ClientKey


class Wanted(NamedTuple):
    """What is to be explained."""

    #: Hexadecimal digits, the name of a file, or ``-`` for standard input.
    source: str
    url: str | None
    method: str | None
    key: str | None
    from_server: bool
    udp: bool
    #: Unix time in seconds; None is now, or what a capture says.
    at: float | None
    port: int | None


def print_explanations(wanted: Wanted) -> None:
    """Print a table for each direction and each datagram.

    :raises ConfigError: the source is neither hexadecimal nor a file, or the key does not suit.
    """
    key = _key(wanted)
    data = _read(wanted.source)
    first = True
    explanations = _captured(data, wanted, key) if is_capture(data) else _given(data, wanted, key)
    for explanation in explanations:
        click.echo(("" if first else "\n") + format_table(explanation))
        first = False
    if first:
        raise ConfigError("there is nothing to explain")


def _key(wanted: Wanted) -> ClientKey | None:
    if wanted.url is not None:
        server = ServerURL.parse(wanted.url)
        return client_key(server.method, server.password)
    if wanted.method is None and wanted.key is None:
        return None
    if wanted.method is None:
        raise ConfigError("method: which one is the key for?")
    return client_key(wanted.method, wanted.key or "")


def _read(source: str) -> bytes:
    if source == "-":
        data = sys.stdin.buffer.read()
    else:
        try:
            return bytes.fromhex(source.replace(":", " "))
        except ValueError:
            pass
        try:
            data = Path(source).read_bytes()
        except (OSError, ValueError):
            raise ConfigError(
                "neither hexadecimal digits nor a file that can be read; write bytes as 050100"
            ) from None
    try:
        return bytes.fromhex(data.decode("ascii").replace(":", " "))
    except ValueError:
        return data


def _given(data: bytes, wanted: Wanted, key: ClientKey | None) -> Iterator[Explanation]:
    now = time.time() if wanted.at is None else wanted.at
    if wanted.udp:
        yield explain_datagram(data, key, now, from_server=wanted.from_server)
    elif wanted.from_server:
        yield from explain_stream(b"", data, key, now)
    else:
        yield from explain_stream(data, b"", key, now)


def _captured(data: bytes, wanted: Wanted, key: ClientKey | None) -> Iterator[Explanation]:
    connections, datagrams = read_capture(data)
    port = wanted.port
    for connection in connections:
        if port is None or connection.server[1] == port:
            where = f"{_end(connection.client)} -> {_end(connection.server)}: "
            now = connection.time if wanted.at is None else wanted.at
            for explanation in explain_stream(
                stream_of(connection.up), stream_of(connection.down), key, now
            ):
                yield Explanation(where + explanation.title, explanation.fields, explanation.fault)
    # Without their port nobody knows which datagrams of a capture are meant, nor their direction.
    for datagram in datagrams if port is not None else ():
        if port in (datagram.source[1], datagram.target[1]):
            where = f"{_end(datagram.source)} -> {_end(datagram.target)}: "
            now = datagram.time if wanted.at is None else wanted.at
            one = explain_datagram(datagram.data, key, now, from_server=datagram.source[1] == port)
            yield Explanation(where + one.title, one.fields, one.fault)


def _end(end: End) -> str:
    host = str(ip_address(end[0]))
    return f"[{host}]:{end[1]}" if ":" in host else f"{host}:{end[1]}"
