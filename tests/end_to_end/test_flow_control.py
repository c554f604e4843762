"""Who reads slowly slows the sender down, and costs the relay no memory."""

from __future__ import annotations

import socket
import threading

import pytest

from end_to_end.entrances import PROXY, Entrance, find_entrance
from harness.pattern import SendingThread, Verifier, blocks, fill, read_to_end
from harness.pool import ServicePool
from harness.services import Implementation
from harness.socks import open_connection
from harness.targets import Target, reset
from harness.transfer import both_ways

_TOTAL = 64_000_000
_MAX_GROWTH = 16 << 20


@pytest.fixture(params=[PROXY, "aes-256-gcm", "2022-blake3-aes-128-gcm"])
def entrance(
    request: pytest.FixtureRequest, implementation: Implementation, pool: ServicePool
) -> Entrance:
    """The plain proxy and a tunnel of each record size."""
    return find_entrance(pool, implementation, request.param)


def _send_rest(connection: socket.socket, sent: int) -> None:
    for block in blocks(_TOTAL - sent, start=sent):
        connection.sendall(block)
    connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("reader", ["client", "target"])
def test_who_never_reads(entrance: Entrance, reader: str) -> None:
    before = [service.process.resident_bytes for service in entrance.services]
    with (
        Target(receive_buffer=65536) as target,
        open_connection(entrance.address, target.address, receive_buffer=65536) as client,
    ):
        ends = {"client": client.connection, "target": target.accept()}
        slow = ends.pop(reader)
        (fast,) = ends.values()
        sent = fill(fast, limit=_TOTAL)
        for service, start in zip(entrance.services, before, strict=True):
            growth = service.process.resident_bytes - start
            assert growth < _MAX_GROWTH, f"{service.process.name} grew by {growth} bytes"
        sender = threading.Thread(target=_send_rest, args=(fast, sent), daemon=True)
        sender.start()
        assert Verifier().read_to_end(slow) == _TOTAL
        sender.join()


def test_a_stalled_direction_does_not_stall_the_other(entrance: Entrance) -> None:
    with Target() as target, open_connection(entrance.address, target.address) as client:
        accepted = target.accept()
        fill(accepted, limit=_TOTAL)
        sender = SendingThread(client.connection, 1_000_000, finish=False)
        Verifier().read(accepted, 1_000_000)
        sender.join()


@pytest.mark.parametrize("reader", ["client", "target"])
def test_what_waits_for_one_reader_is_not_overwritten_by_others(
    entrance: Entrance, reader: str
) -> None:
    with (
        Target(receive_buffer=65536) as target,
        open_connection(entrance.address, target.address, receive_buffer=65536) as client,
    ):
        ends = {"client": client.connection, "target": target.accept()}
        slow = ends.pop(reader)
        (fast,) = ends.values()
        sent = fill(fast, limit=_TOTAL)
        both_ways(entrance.address, 2_000_000)
        fast.shutdown(socket.SHUT_WR)
        assert Verifier().read_to_end(slow) == sent


def test_client_resets_while_the_target_reads_nothing(entrance: Entrance) -> None:
    with (
        Target(receive_buffer=65536) as target,
        open_connection(entrance.address, target.address) as client,
    ):
        accepted = target.accept()
        fill(client.connection, limit=_TOTAL)
        reset(client.connection)
        with pytest.raises(ConnectionResetError):
            read_to_end(accepted)
