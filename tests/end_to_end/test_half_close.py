"""When one side has finished sending, the other direction lives on to its own end."""

from __future__ import annotations

import pytest

from end_to_end.entrances import Entrance
from harness.socks import open_connection
from harness.targets import ServingTarget, echo
from harness.transfer import finish_client_first, finish_target_first


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_client_finishes_first(entrance: Entrance, size: int) -> None:
    finish_client_first(entrance.address, size)


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_target_finishes_first(entrance: Entrance, size: int) -> None:
    finish_target_first(entrance.address, size)


def test_end_of_the_client_comes_back_from_an_echo(entrance: Entrance) -> None:
    with ServingTarget(echo) as target, open_connection(entrance.address, target.address) as client:
        client.send(b"every byte of this")
        client.finish()
        assert client.read_to_end() == b"every byte of this"


def test_client_finishes_without_a_byte(entrance: Entrance) -> None:
    with ServingTarget(echo) as target, open_connection(entrance.address, target.address) as client:
        client.finish()
        assert client.read_to_end() == b""
