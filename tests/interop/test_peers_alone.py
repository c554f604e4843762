"""The peers with each other: where this fails, the fault is not in fastsocks."""

from __future__ import annotations

import pytest

from harness.services import PeerName, start_peer_local, start_peer_server
from harness.shadowsocks import generate_key
from harness.transfer import both_ways, download, upload


@pytest.mark.parametrize(("server", "local"), [("libev", "rust"), ("rust", "libev")])
def test_the_exchange_works_between_peers(server: PeerName, local: PeerName) -> None:
    key = generate_key("aes-256-gcm")
    with (
        start_peer_server(server, "aes-256-gcm", key) as far,
        start_peer_local(local, far.address, "aes-256-gcm", key) as near,
    ):
        for size in (1, 16384, 1_000_000):
            upload(near.address, size)
            download(near.address, size)
        both_ways(near.address, 1_000_000)
