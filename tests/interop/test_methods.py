"""Every method, in both roles, against shadowsocks-libev and shadowsocks-rust."""

from __future__ import annotations

import pytest

from harness.transfer import both_ways, download, upload
from interop.datagrams import exchange_datagrams
from interop.methods import FAST, LARGE, Case
from interop.pairs import PAIRS, Pair, our_local_to_peer_server

_SIZES = (1, 2, 16383, 16384, 65535, 65536, 1_000_000)
_LARGE = 100_000_000


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("case", FAST, ids=str)
def test_every_size_arrives_intact(pair: Pair, case: Case) -> None:
    with pair(case) as socks_server:
        for size in _SIZES:
            upload(socks_server, size)
            download(socks_server, size)
        both_ways(socks_server, _SIZES[-1])
        exchange_datagrams(socks_server, case.peer, peer_is_server=pair is our_local_to_peer_server)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_100_mb_arrive_intact(pair: Pair, case: Case) -> None:
    with pair(case) as socks_server:
        upload(socks_server, _LARGE)
        download(socks_server, _LARGE)
        both_ways(socks_server, _LARGE)
