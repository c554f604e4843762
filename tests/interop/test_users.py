"""Identity headers (SIP023) with shadowsocks-rust on either side."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.services import (
    Implementation,
    require_implementation,
    start_local,
    start_peer_local,
    start_rust_server_with_users,
    start_server,
)
from harness.shadowsocks import generate_key
from harness.transfer import both_ways, download, upload

_METHODS = ["2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"]
_USERS = ("alice", "bob")
_SIZE = 100_000

pytestmark = [
    pytest.mark.parametrize("implementation", ["cython", "python"]),
    pytest.mark.parametrize("method", _METHODS),
]


def test_rust_clients_as_users_of_our_server(method: str, implementation: Implementation) -> None:
    require_implementation(implementation)
    key = generate_key(method)
    users = {name: generate_key(method) for name in _USERS}
    flags = [flag for name, psk in users.items() for flag in ("--user", f"{name}:{psk}")]
    with start_server(method, key, *flags, implementation=implementation) as server:
        for psk in users.values():
            with start_peer_local("rust", server.address, method, f"{key}:{psk}") as local:
                upload(local.address, _SIZE)
                download(local.address, _SIZE)
                both_ways(local.address, _SIZE)


def test_our_clients_as_users_of_rust_server(
    method: str, implementation: Implementation, tmp_path: Path
) -> None:
    require_implementation(implementation)
    key = generate_key(method)
    users = {name: generate_key(method) for name in _USERS}
    with start_rust_server_with_users(method, key, users, tmp_path) as server:
        for psk in users.values():
            with start_local(
                server.address, method, f"{key}:{psk}", implementation=implementation
            ) as local:
                upload(local.address, _SIZE)
                download(local.address, _SIZE)
                both_ways(local.address, _SIZE)
