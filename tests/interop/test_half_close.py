"""One side ends its direction and the other lives on, with shadowsocks-rust, which can do it."""

from __future__ import annotations

import pytest

from harness.transfer import finish_client_first, finish_target_first
from interop.methods import ONE_PER_FAMILY, Case
from interop.pairs import PAIRS, Pair

_SIZE = 1_000_000


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(
    "case",
    [
        Case("rust", method, implementation)
        for method in ONE_PER_FAMILY["rust"]
        for implementation in ("cython", "python")
    ],
    ids=str,
)
def test_half_close_is_carried_through(pair: Pair, case: Case) -> None:
    with pair(case) as socks_server:
        finish_client_first(socks_server, _SIZE)
        finish_target_first(socks_server, _SIZE)
