"""Several workers: one service towards its clients, whichever of them takes a connection."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from fastsocks.address import Address
from fastsocks.shadowsocks import client_key, packet_client
from harness.deadline import DEADLINE, wait_until
from harness.listener import SocketAddress
from harness.services import (
    Implementation,
    Service,
    environment,
    fastsocks_command,
    start_proxy,
    start_server,
)
from harness.shadowsocks import RequestWriter, address_header, generate_key
from harness.socks import Socks5Client, open_connection
from harness.targets import REQUEST, ServingTarget, Target, source
from harness.udp import UdpTarget, open_socket

METHODS = ("aes-256-gcm", "2022-blake3-aes-128-gcm")
_SOURCES = 64
_LONG_GRACE = ("--grace", "600")


def workers_of(service: Service) -> list[int]:
    """Return the process ids of the workers, in the order of their numbers."""
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    numbered = {}
    for child in children:
        with suppress(FileNotFoundError, ProcessLookupError):
            title = Path(f"/proc/{child}/cmdline").read_bytes().decode()
            if found := re.search(r"\[worker (\d+)\]", title):
                numbered[int(found[1])] = int(child)
    return [numbered[number] for number in sorted(numbered)]


def refuses(address: SocketAddress) -> bool:
    try:
        socket.create_connection(address, DEADLINE).close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("method", METHODS)
def test_a_recorded_request_passes_at_no_worker(
    implementation: Implementation, method: str
) -> None:
    key = generate_key(method)
    with (
        start_server(method, key, "--workers", "4", implementation=implementation) as server,
        Target() as target,
    ):
        recorded = RequestWriter(method, key).request(address_header(target.address), b"payload")
        with socket.create_connection(server.address, DEADLINE) as first:
            first.sendall(recorded)
            accepted = target.accept()
            assert accepted.recv(7) == b"payload"
            with ExitStack() as stack:
                replays = []
                for _ in range(_SOURCES):
                    replay = socket.create_connection(server.address, DEADLINE)
                    replays.append(stack.enter_context(replay))
                    replay.sendall(recorded)
                    replay.shutdown(socket.SHUT_WR)
                # The end of a stream is answered by an end, once it was looked at.
                assert [replay.recv(1) for replay in replays] == [b""] * _SOURCES
            assert not target.was_dialed
        server.process.wait_for_line(r"\(replay\)")
        who = set(re.findall(r"worker (\d): .*\(replay\)", server.process.output))
        assert len(who) > 1, server.process.output


@pytest.mark.parametrize("method", METHODS)
def test_a_recorded_packet_passes_from_no_address(
    implementation: Implementation, method: str
) -> None:
    key = generate_key(method)
    packets = packet_client(client_key(method, key))
    with (
        start_server(method, key, "--workers", "4", implementation=implementation) as server,
        UdpTarget() as target,
        ExitStack() as stack,
    ):
        address = Address.of(*target.address)
        senders = [stack.enter_context(open_socket()) for _ in range(_SOURCES)]
        recorded = packets.seal(address, b"recorded", time.time())
        senders[0].sendto(recorded, server.address)
        assert target.receive().payload == b"recorded"
        for sender in senders:
            sender.sendto(recorded, server.address)
        senders[0].sendto(packets.seal(address, b"another", time.time()), server.address)
        assert target.receive().payload == b"another"
        assert not target.was_reached


def test_a_killed_worker_is_replaced_and_nobody_refused(implementation: Implementation) -> None:
    with start_proxy("--workers", "2", implementation=implementation) as service:
        for number in (1, 2):
            worker = workers_of(service)[number - 1]
            # What it has not accepted its successor accepts.
            os.kill(worker, signal.SIGSTOP)
            with ExitStack() as stack:
                clients = []
                for _ in range(16):
                    clients.append(stack.enter_context(Socks5Client(service.address)))
                    clients[-1].send(b"\5\1\0")
                os.kill(worker, signal.SIGKILL)
                service.process.wait_for_line(
                    rf"worker {number} ended: killed by SIGKILL; another starts now"
                )
                for client in clients:
                    assert client.read(2) == b"\5\0"
            wait_until(lambda: len(workers_of(service)) == 2, "there are two workers again")


@pytest.mark.parametrize("method", METHODS)
def test_what_was_seen_outlives_the_workers(implementation: Implementation, method: str) -> None:
    """And the socket of UDP, which the first worker's successor reads."""
    key = generate_key(method)
    packets = packet_client(client_key(method, key))
    with (
        start_server(method, key, "--workers", "2", implementation=implementation) as server,
        Target() as target,
        UdpTarget() as udp_target,
        open_socket() as sender,
    ):
        recorded = RequestWriter(method, key).request(address_header(target.address), b"payload")
        with socket.create_connection(server.address, DEADLINE) as first:
            first.sendall(recorded)
            target.accept().close()
        seen = packets.seal(Address.of(*udp_target.address), b"seen", time.time())
        sender.sendto(seen, server.address)
        assert udp_target.receive().payload == b"seen"
        for number, worker in enumerate(workers_of(server), start=1):
            os.kill(worker, signal.SIGKILL)
            server.process.wait_for_line(f"worker {number} ended: killed by SIGKILL")
        for _ in range(8):
            with socket.create_connection(server.address, DEADLINE) as replay:
                replay.sendall(recorded)
                replay.shutdown(socket.SHUT_WR)
                assert replay.recv(1) == b""
        assert not target.was_dialed
        packet = packets.seal(Address.of(*udp_target.address), b"datagram", time.time())
        for data in (seen, packet):
            sender.sendto(data, server.address)
        assert udp_target.receive().payload == b"datagram"


def test_pauses_grow_where_a_worker_dies_again_and_again() -> None:
    with start_proxy("--workers", "2") as service:
        for when in ("now", "in 1 s"):
            (worker, _) = workers_of(service)
            os.kill(worker, signal.SIGKILL)
            service.process.wait_for_line(
                f"worker 1 ended: killed by SIGKILL; another starts {when}"
            )
            wait_until(lambda: len(workers_of(service)) == 2, "there are two workers again")


def test_a_worker_that_is_asked_to_stop_finishes_and_is_replaced(
    implementation: Implementation,
) -> None:
    with (
        start_proxy("--workers", "2", *_LONG_GRACE, implementation=implementation) as service,
        Target() as target,
        open_connection(service.address, target.address) as client,
    ):
        accepted = target.accept()
        for worker in workers_of(service):
            os.kill(worker, signal.SIGTERM)
        service.process.wait_for_line(r"worker \d: stopping: 1 connection")
        accepted.sendall(b"still there")
        assert client.read(11) == b"still there"
        accepted.close()
        client.finish()
        for number in (1, 2):
            service.process.wait_for_line(rf"worker {number} ended: exit code 0; another starts")


def _open(service: Service) -> Socks5Client | None:
    """Connect; None where the connection is closed instead."""
    client = Socks5Client(service.address)
    try:
        client.send(b"\5\1\0")
        if client.connection.recv(2) == b"\5\0":
            return client
    except ConnectionError:
        pass
    client.connection.close()
    return None


def test_a_cap_holds_for_all_workers_and_is_free_again_after_a_death(
    implementation: Implementation,
) -> None:
    cap = 12
    flags = ("--workers", "2", "--max-connections-per-client", str(cap))
    with (
        start_proxy(*flags, implementation=implementation) as service,
        ExitStack() as stack,
    ):
        held = []
        for _ in range(cap):
            client = _open(service)
            assert client is not None
            held.append(stack.enter_context(client))
        for _ in range(16):
            assert _open(service) is None
        os.kill(workers_of(service)[0], signal.SIGKILL)
        service.process.wait_for_line("another starts")
        wait_until(lambda: len(workers_of(service)) == 2, "there are two workers again")
        lost = 0
        for client in held:
            client.connection.setblocking(False)
            try:
                gone = client.connection.recv(1) == b""
            except BlockingIOError:
                gone = False
            except ConnectionError:
                gone = True
            lost += gone
        assert 0 < lost < cap
        for _ in range(lost):
            client = _open(service)
            assert client is not None
            stack.enter_context(client)
        for _ in range(16):
            assert _open(service) is None


def test_downloads_end_complete_after_the_first_signal(implementation: Implementation) -> None:
    size = 8 << 20
    flags = ("--workers", "2", *_LONG_GRACE)
    with (
        ServingTarget(source(size)) as target,
        start_proxy(*flags, implementation=implementation) as service,
        ExitStack() as stack,
    ):
        clients = []
        for _ in range(6):
            client = open_connection(service.address, target.address)
            clients.append(stack.enter_context(client))
            client.send(REQUEST)
            client.read(1)
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(service.address), "the port is closed")
        for client in clients:
            assert len(client.read_to_end()) == size - 1
            client.finish()
        assert service.process.wait() == 0
    assert service.process.error_lines[-1].endswith("stopped")


def test_the_second_signal_ends_all_at_once(implementation: Implementation) -> None:
    flags = ("--workers", "2", *_LONG_GRACE)
    with (
        Target() as target,
        start_proxy(*flags, implementation=implementation) as service,
        open_connection(service.address, target.address) as client,
    ):
        accepted = target.accept()
        service.process.send_signal(signal.SIGTERM)
        service.process.wait_for_line(r"worker \d: stopping: 1 connection")
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait() == 0
        for end in (client.connection, accepted):
            with pytest.raises(ConnectionResetError):
                end.recv(1)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    # The first process of a container may be none that collects what ended.
    return state != "Z"


def test_workers_end_when_the_supervisor_is_gone(implementation: Implementation) -> None:
    service = start_proxy("--workers", "2", implementation=implementation)
    workers = workers_of(service)
    service.process.kill()
    wait_until(
        lambda: not any(map(_runs, workers)),
        "the workers have ended",
    )
    assert refuses(service.address)


def test_a_worker_that_cannot_start_ends_all(implementation: Implementation) -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737).
    arguments = ("server", "-s", "127.0.0.1", "-p", "0", "-m", "aes-256-gcm", "-k", "password")
    done = _run(implementation, *arguments, "-b", "192.0.2.1", "--workers", "2")
    assert done.returncode == 2
    assert "192.0.2.1" in done.stderr
    assert "listening on" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use(implementation: Implementation) -> None:
    with start_proxy("--workers", "2", implementation=implementation) as first:
        port = str(first.address.port)
        done = _run(implementation, "proxy", "-l", port, "--workers", "2")
    assert done.returncode == 3
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def _run(implementation: Implementation, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        fastsocks_command(*arguments),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=environment(implementation),
        check=False,
    )


def test_what_is_logged_and_listed(implementation: Implementation) -> None:
    key = generate_key(METHODS[0])
    flags = ("--workers", "3", "--log-format", "json", "--access-log")
    with (
        start_server(METHODS[0], key, *flags, implementation=implementation) as server,
        Target() as target,
    ):
        assert len(re.findall("listening on", server.process.output)) == 1
        assert len(workers_of(server)) == 3
        for worker in workers_of(server):
            assert key not in Path(f"/proc/{worker}/cmdline").read_bytes().decode()
        request = RequestWriter(METHODS[0], key).request(address_header(target.address), b"payload")
        with socket.create_connection(server.address, DEADLINE) as client:
            client.sendall(request)
            target.accept().close()
        server.process.wait_for_line(r'"logger": "fastsocks.access".*"worker": [123]')
