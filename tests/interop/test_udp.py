"""UDP with users of shadowsocks-rust, and DNS; test_methods.py has every method."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dnslib import RR, TXT, A, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSServer

from harness.deadline import DEADLINE
from harness.listener import SocketAddress
from harness.pattern import pattern
from harness.services import (
    Implementation,
    find_program,
    require_implementation,
    start_libev_tunnel,
    start_local,
    start_peer_local,
    start_rust_server_with_users,
    start_server,
)
from harness.shadowsocks import generate_key
from harness.udp import Echo, UdpAssociation

USERS = ("alice", "bob")


@pytest.mark.parametrize("implementation", ["cython", "python"])
@pytest.mark.parametrize("method", ["2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"])
def test_users(method: str, implementation: Implementation, tmp_path: Path) -> None:
    require_implementation(implementation)
    key = generate_key(method)
    users = {name: generate_key(method) for name in USERS}
    flags = [flag for name, psk in users.items() for flag in ("--user", f"{name}:{psk}")]
    with (
        start_server(method, key, *flags, implementation=implementation) as ours,
        start_rust_server_with_users(method, key, users, tmp_path) as theirs,
        Echo() as target,
    ):
        for psk in users.values():
            both = f"{key}:{psk}"
            with (
                start_peer_local("rust", ours.address, method, both) as their_local,
                start_local(
                    theirs.address, method, both, implementation=implementation
                ) as our_local,
            ):
                for local in (their_local, our_local):
                    with UdpAssociation(local.address) as client:
                        for size in (1, 1400, 8192):
                            payload = pattern(size)
                            assert client.exchange(payload, target.address) == payload


class Records(BaseResolver):  # type: ignore[misc, unused-ignore]
    """Knows two names."""

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        reply = request.reply()
        name = str(request.q.qname)
        if name == "short.example.":
            reply.add_answer(RR(name, 1, rdata=A("192.0.2.53"), ttl=60))
        elif name == "long.example.":
            for number in range(5):
                reply.add_answer(RR(name, 16, rdata=TXT(f"{number}" * 200), ttl=60))
        return reply


@pytest.fixture
def dns() -> Iterator[SocketAddress]:
    """A DNS server on loopback, over UDP."""
    server = DNSServer(Records(), address="127.0.0.1", port=0)
    server.start_thread()
    yield SocketAddress("127.0.0.1", server.server.server_address[1])
    server.stop()
    server.server.server_close()


def ask(name: str, kind: str) -> DNSRecord:
    return DNSRecord.question(name, kind)


@pytest.mark.parametrize("implementation", ["cython", "python"])
@pytest.mark.parametrize("method", ["aes-256-gcm", "chacha20-ietf-poly1305", "aes-256-cfb"])
def test_dig_through_ss_tunnel(
    method: str, implementation: Implementation, dns: SocketAddress
) -> None:
    require_implementation(implementation)
    dig = find_program("dig")
    key = generate_key(method)
    with (
        start_server(method, key, implementation=implementation) as server,
        start_libev_tunnel(server.address, method, key, dns) as tunnel,
    ):
        flags = (dig, f"@{tunnel.address.host}", "-p", str(tunnel.address.port), "+tries=1")
        for arguments, expected in (
            (("+short", "short.example", "A"), "192.0.2.53"),
            (("+short", "+bufsize=4096", "long.example", "TXT"), "4" * 200),
        ):
            found = subprocess.run(
                [*flags, *arguments], capture_output=True, text=True, timeout=DEADLINE, check=True
            )
            assert expected in found.stdout


@pytest.mark.parametrize("implementation", ["cython", "python"])
@pytest.mark.parametrize("method", ["2022-blake3-aes-128-gcm", "aes-256-gcm"])
def test_dns_through_socks(method: str, implementation: Implementation, dns: SocketAddress) -> None:
    require_implementation(implementation)
    key = generate_key(method)
    with (
        start_server(method, key, implementation=implementation) as server,
        start_local(server.address, method, key, implementation=implementation) as local,
        UdpAssociation(local.address) as client,
    ):
        for name, kind, count in (("short.example", "A", 1), ("long.example", "TXT", 5)):
            question = ask(name, kind)
            answer = DNSRecord.parse(client.exchange(question.pack(), dns))
            assert answer.header.id == question.header.id
            assert len(answer.rr) == count
