"""A server and a local of different makes, behind one SOCKS5 address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from harness.listener import SocketAddress
from harness.process import ProcessEndedError
from harness.services import (
    Service,
    peer_program,
    require_implementation,
    start_local,
    start_peer_local,
    start_peer_server,
    start_server,
)
from interop.methods import Case


@contextmanager
def peer_local_to_our_server(case: Case) -> Iterator[SocketAddress]:
    """Run the peer's local in front of fastsocks server."""
    key = case.generate_key()
    peer_program(case.peer, "local")
    with (
        _start_ours(
            case, lambda: start_server(case.method, key, implementation=case.implementation)
        ) as server,
        _start_peer(lambda: start_peer_local(case.peer, server.address, case.method, key)) as local,
    ):
        yield local.address


@contextmanager
def our_local_to_peer_server(case: Case) -> Iterator[SocketAddress]:
    """Run fastsocks local in front of the peer's server."""
    key = case.generate_key()
    with (
        _start_peer(lambda: start_peer_server(case.peer, case.method, key)) as server,
        _start_ours(
            case,
            lambda: start_local(
                server.address, case.method, key, implementation=case.implementation
            ),
        ) as local,
    ):
        yield local.address


Pair = Callable[[Case], AbstractContextManager[SocketAddress]]

PAIRS: list[Pair] = [peer_local_to_our_server, our_local_to_peer_server]


def _start_peer(start: Callable[[], Service]) -> Service:
    try:
        return start()
    except ProcessEndedError as error:
        # libev on Mbed TLS 3: no RC4.
        if "not found in crypto library" in str(error):
            pytest.skip("the peer is built without this method")
        raise


def _start_ours(case: Case, start: Callable[[], Service]) -> Service:
    require_implementation(case.implementation)
    try:
        return start()
    except ProcessEndedError as error:
        # RC4 needs OpenSSL's legacy provider, which not every libcrypto has.
        if case.method == "rc4-md5" and "legacy provider" in str(error):
            pytest.skip("this libcrypto has no RC4")
        raise
