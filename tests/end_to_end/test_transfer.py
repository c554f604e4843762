"""Every byte arrives, in both directions, at the sizes where records and buffers end."""

from __future__ import annotations

import pytest

from end_to_end.entrances import METHODS, PROXY, Entrance, find_entrance
from harness.pool import ServicePool
from harness.services import Implementation, require_implementation
from harness.transfer import both_ways, download, upload

_SIZES = [0, 1, 2, 16383, 16384, 65535, 65536, 1_000_000]
_LARGE = 100_000_000


@pytest.mark.parametrize("size", _SIZES)
def test_upload(entrance: Entrance, size: int) -> None:
    upload(entrance.address, size)


@pytest.mark.parametrize("size", _SIZES)
def test_download(entrance: Entrance, size: int) -> None:
    download(entrance.address, size)


def test_both_directions_at_once(entrance: Entrance) -> None:
    both_ways(entrance.address, 1_000_000)


def test_100_mb_both_directions_at_once(pool: ServicePool) -> None:
    require_implementation("cython")
    both_ways(find_entrance(pool, "cython", "2022-blake3-aes-128-gcm").address, _LARGE)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [PROXY, *METHODS])
def test_100_mb_each_way(pool: ServicePool, implementation: Implementation, name: str) -> None:
    address = find_entrance(pool, implementation, name).address
    upload(address, _LARGE)
    download(address, _LARGE)
    both_ways(address, _LARGE)
