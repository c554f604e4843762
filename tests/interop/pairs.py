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
    server = _start_ours(
        case, lambda: start_server(case.method, key, implementation=case.implementation)
    )
    try:
        local = start_peer_local(case.peer, server.address, case.method, key)
        try:
            yield local.address
        finally:
            local.stop()
    finally:
        code = server.stop()
    assert code == 0, f"fastsocks server ended with {code}"


@contextmanager
def our_local_to_peer_server(case: Case) -> Iterator[SocketAddress]:
    """Run fastsocks local in front of the peer's server."""
    key = case.generate_key()
    server = start_peer_server(case.peer, case.method, key)
    try:
        local = _start_ours(
            case,
            lambda: start_local(
                server.address, case.method, key, implementation=case.implementation
            ),
        )
        try:
            yield local.address
        finally:
            code = local.stop()
        assert code == 0, f"fastsocks local ended with {code}"
    finally:
        server.stop()


Pair = Callable[[Case], AbstractContextManager[SocketAddress]]

PAIRS: list[Pair] = [peer_local_to_our_server, our_local_to_peer_server]


def _start_ours(case: Case, start: Callable[[], Service]) -> Service:
    require_implementation(case.implementation)
    try:
        return start()
    except ProcessEndedError as error:
        # RC4 needs OpenSSL's legacy provider, which not every libcrypto has.
        if case.method == "rc4-md5" and "legacy provider" in str(error):
            pytest.skip("this libcrypto has no RC4")
        raise
