"""Datagrams through a plain proxy, and through local and server at one method a family."""

from __future__ import annotations

import re
import socket

import pytest

from end_to_end.entrances import Entrance
from harness import socks
from harness.deadline import wait_until
from harness.listener import SocketAddress, require_loopback
from harness.pattern import pattern
from harness.process import Process
from harness.services import (
    Implementation,
    start_fastsocks,
    start_local,
    start_proxy,
    start_server,
)
from harness.shadowsocks import generate_key
from harness.udp import Echo, UdpAssociation, UdpTarget, build_datagram, localhost

SIZES = (0, 1, 2, 63, 512, 1252, 1400, 1472, 1473, 4096, 8191, 8192, 9000, 32768, 65000)
LAST = 0x80
METHOD = "2022-blake3-aes-128-gcm"


def test_every_size_comes_back(entrance: Entrance) -> None:
    with UdpAssociation(entrance.address) as client, Echo() as target:
        for size in SIZES:
            payload = pattern(size, start=size)
            assert client.exchange(payload, target.address) == payload


def test_many_at_once_come_back_once_each(entrance: Entrance) -> None:
    with UdpAssociation(entrance.address) as client, Echo() as target:
        for start in range(0, 1000, 50):
            sent = [b"%d" % number for number in range(start, start + 50)]
            for payload in sent:
                client.send(payload, target.address)
            assert [client.receive().payload for _ in sent] == sent


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_source_is_the_true_one(entrance: Entrance, host: str) -> None:
    with UdpAssociation(entrance.address) as client, UdpTarget(host) as target:
        client.send(b"x", target.address)
        payload, source = target.receive()
        target.send(b"answer to " + payload, source)
        assert client.receive() == (b"answer to x", target.address)


def test_names_are_resolved_where_the_targets_are(entrance: Entrance) -> None:
    with UdpAssociation(entrance.address) as client, Echo(localhost()) as target:
        for payload in (b"looked up", b"remembered"):
            client.send(payload, SocketAddress("localhost", target.address.port))
            assert client.receive() == (payload, target.address)


def test_a_third_party_reaches_the_client(entrance: Entrance) -> None:
    with (
        UdpAssociation(entrance.address) as client,
        UdpTarget() as target,
        UdpTarget() as third,
    ):
        client.send(b"x", target.address)
        _, source = target.receive()
        third.send(b"unasked", source)
        assert client.receive() == (b"unasked", third.address)
        client.send(b"y", third.address)
        assert third.receive() == (b"y", source)


def test_a_foreign_source_is_dropped(entrance: Entrance) -> None:
    with UdpAssociation(entrance.address) as client, UdpTarget() as target:
        for host in ("127.0.0.2", "127.0.0.1"):
            with UdpTarget(host) as stranger:
                if host == "127.0.0.1":
                    client.send(b"mine", target.address)
                    assert target.receive().payload == b"mine"
                stranger.send(build_datagram(b"foreign", target.address), client.relay)
                client.send(b"mine too", target.address)
                assert target.receive().payload in {b"mine", b"mine too"}
        assert not target.was_reached


def test_fragments_arrive_as_one_datagram_or_not_at_all(entrance: Entrance) -> None:
    with UdpAssociation(entrance.address) as client, UdpTarget() as target:
        client.send(b"lost", target.address, 1)
        client.send(b"lost", target.address, 3 | LAST)
        client.send(b"one and ", target.address, 1)
        client.send(b"two", target.address, 2 | LAST)
        client.send(b"whole", target.address)
        assert [target.receive().payload for _ in range(2)] == [b"one and two", b"whole"]


def test_garbage_is_dropped_at_either_end(entrance: Entrance) -> None:
    with UdpAssociation(entrance.address) as client, Echo() as target, UdpTarget() as stranger:
        for data in (b"", b"\0", bytes(3), bytes(500), b"\xff" * 1500):
            client.socket.sendto(data, client.relay)
            if entrance.server is not None:
                stranger.send(data, entrance.server.address)
        assert client.exchange(b"x", target.address) == b"x"
    for service in entrance.services:
        told = [line for line in service.process.lines_of_test if "WARNING" in line]
        assert all(re.search(r"\d+ datagrams? dropped: ", line) for line in told), told


def test_icmp_ends_no_association(entrance: Entrance) -> None:
    with UdpAssociation(entrance.address) as client, Echo() as target, UdpTarget() as gone:
        nobody = gone.address
        for _ in range(3):
            client.send(b"x", nobody)
            assert client.exchange(b"y", target.address) == b"y"


def test_it_ends_with_its_connection_and_leaves_nothing(entrance: Entrance) -> None:
    with Echo() as target, UdpAssociation(entrance.address) as first:
        assert first.exchange(b"x", target.address) == b"x"
        process = entrance.socks.process
        before = process.sockets
        clients = [UdpAssociation(entrance.address) for _ in range(5)]
        for client in clients:
            assert client.exchange(b"x", target.address) == b"x"
        # A client's connection and its two or three sockets of UDP.
        assert process.sockets >= before + 3 * len(clients)
        relays = [client.relay for client in clients]
        for number, client in enumerate(clients):
            if number % 2:
                client.control.send(b"what is sent here means nothing")
                client.control.finish()
            else:
                client.control.connection.close()
        wait_until(lambda: process.sockets <= before, "the associations are gone")
        for client in clients:
            client.close()
        for relay in relays:
            assert is_free(relay)
        assert first.exchange(b"y", target.address) == b"y"


def is_free(address: SocketAddress) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError:
            return False
    return True


def test_an_association_outlives_what_comes_over_its_connection(proxy: Entrance) -> None:
    with UdpAssociation(proxy.address) as client, Echo() as target:
        for _ in range(3):
            client.control.send(bytes(10_000))
            assert client.exchange(b"x", target.address) == b"x"


def test_replayed_packets_are_dropped(tunnel: Entrance) -> None:
    assert tunnel.server is not None
    with UdpTarget() as middle, UdpTarget() as target:
        key = tunnel.key or ""
        with (
            start_local(middle.address, tunnel.method or "", key) as local,
            UdpAssociation(local.address) as client,
        ):
            client.send(b"once", target.address)
            packet, near = middle.receive()
            for data in (packet, packet, packet[: len(packet) // 2], packet):
                middle.send(data, tunnel.server.address)
            payload, source = target.receive()
            assert payload == b"once"
            target.send(b"answer", source)
            answer, _ = middle.receive()
            for data in (answer, answer, answer[: len(answer) // 2], packet, answer):
                middle.send(data, near)
            assert client.receive() == (b"answer", target.address)
            client.send(b"again", target.address)
            middle.send(middle.receive().payload, tunnel.server.address)
            payload, source = target.receive()
            assert payload == b"again"
            target.send(b"another answer", source)
            middle.send(middle.receive().payload, near)
            assert client.receive().payload == b"another answer"


def test_users_log_in_for_udp_too(implementation: Implementation) -> None:
    with (
        start_proxy("--user", "u:p", implementation=implementation) as service,
        Echo() as target,
        UdpAssociation(service.address, (b"u", b"p")) as client,
    ):
        assert client.exchange(b"x", target.address) == b"x"


def test_private_targets_are_refused(implementation: Implementation) -> None:
    key = generate_key(METHOD)
    flags = ("-s", "127.0.0.1", "-p", "0", "-m", METHOD, "-k", key)
    with (
        start_fastsocks("server", *flags, implementation=implementation) as server,
        start_local(server.address, METHOD, key, implementation=implementation) as local,
        UdpAssociation(local.address) as client,
        UdpTarget() as target,
        UdpTarget("::1") as target6,
    ):
        port = target.address.port
        client.send(b"x", target.address)
        client.send(b"x", target6.address)
        for host in ("localhost", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "224.0.0.1"):
            client.send(b"x", SocketAddress(host, port))
        # TCP through the same server comes later than all of it.
        with socks.open_connection(local.address, target.address) as stream:
            stream.send(b"x")
            assert was_cut(stream)
        assert not target.was_reached
        assert not target6.was_reached


def was_cut(stream: socks.Socks5Client) -> bool:
    try:
        return stream.read_to_end() == b""
    except ConnectionError:
        return True


def test_idle_associations_end(implementation: Implementation) -> None:
    with (
        start_proxy("--udp-timeout", "1", implementation=implementation) as service,
        Echo() as target,
        UdpAssociation(service.address) as client,
    ):
        assert client.exchange(b"x", target.address) == b"x"
        # The client learns of it by the end of its connection.
        assert client.control.read_to_end() == b""
        wait_until(lambda: is_free(client.relay), "the association is gone")


def test_associations_in_the_access_log(implementation: Implementation) -> None:
    with (
        start_proxy("--access-log", "-", implementation=implementation) as service,
        Echo() as target,
    ):
        with UdpAssociation(service.address) as client:
            assert client.exchange(b"four", target.address) == b"four"
        service.process.wait_for_line(r" 127\.0\.0\.1 - udp up 4 down 4 bytes in \d+\.\d{3} s$")


def test_the_oldest_makes_room(implementation: Implementation) -> None:
    with (
        start_proxy("--udp-max-associations", "2", implementation=implementation) as service,
        Echo() as target,
        UdpAssociation(service.address) as first,
        UdpAssociation(service.address) as second,
    ):
        assert second.exchange(b"x", target.address) == b"x"
        assert first.exchange(b"x", target.address) == b"x"
        with UdpAssociation(service.address) as third:
            assert second.control.read_to_end() == b""
            for client in (first, third):
                assert client.exchange(b"y", target.address) == b"y"


def test_the_address_to_tell(implementation: Implementation) -> None:
    flags = ("-b", "127.0.0.1", "-b", "::1")
    require_loopback("::1")
    with start_proxy(*flags, implementation=implementation) as service:
        process: Process = service.process
        found = process.wait_for_line(r"listening on \[::1\]:(\d+)")
        for host in ("127.0.0.1", "::1"):
            with UdpAssociation(SocketAddress(host, int(found[1]))) as client:
                assert client.relay.host == host
    with (
        start_proxy("--udp-address", "127.0.0.3", implementation=implementation) as service,
        UdpAssociation(service.address) as client,
    ):
        assert client.relay.host == "127.0.0.3"


@pytest.mark.parametrize("flag", ["-U", "-u", "--mode=tcp_only"])
def test_modes_of_a_proxy(implementation: Implementation, flag: str) -> None:
    with start_proxy(flag, implementation=implementation) as service, Echo() as target:
        if flag == "--mode=tcp_only":
            with pytest.raises(socks.ReplyError, match="07"):
                UdpAssociation(service.address)
        else:
            with UdpAssociation(service.address) as client:
                assert client.exchange(b"x", target.address) == b"x"
        if flag == "-U":
            with pytest.raises(socks.ReplyError, match="07"):
                socks.open_connection(service.address, target.address)


@pytest.mark.parametrize("flag", ["-U", "--mode=tcp_only"])
def test_modes_of_a_server(implementation: Implementation, flag: str) -> None:
    key = generate_key(METHOD)
    with (
        start_server(METHOD, key, flag, implementation=implementation) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
    ):
        if flag == "-U":
            with pytest.raises(OSError, match="in use"):
                probe.bind(server.address)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(server.address)
        else:
            probe.bind(server.address)


def test_one_port_serves_both(tunnel_2022: Entrance) -> None:
    assert tunnel_2022.server is not None
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
        pytest.raises(OSError, match="in use"),
    ):
        probe.bind(tunnel_2022.server.address)


def test_abort_ends_associations(implementation: Implementation) -> None:
    with (
        start_proxy("--grace", "0", implementation=implementation) as service,
        Echo() as target,
        UdpAssociation(service.address) as client,
    ):
        assert client.exchange(b"x", target.address) == b"x"
        assert service.stop() == 0


def test_a_server_that_is_given_by_name(implementation: Implementation) -> None:
    key = generate_key(METHOD)
    serving = ("server", "-s", localhost(), "-p", "0", "--allow-private", "-k", key, "-m", METHOD)
    with (
        start_fastsocks(*serving, implementation=implementation) as server,
        start_local(
            SocketAddress("localhost", server.address.port),
            METHOD,
            key,
            implementation=implementation,
        ) as local,
        Echo() as target,
        UdpAssociation(local.address) as client,
    ):
        assert client.exchange(b"x", target.address) == b"x"


def test_a_server_whose_name_nobody_has(implementation: Implementation) -> None:
    nobody = SocketAddress("nobody.invalid", 8388)
    with start_local(nobody, METHOD, generate_key(METHOD), implementation=implementation) as local:
        with pytest.raises(socks.ReplyError, match="04"):
            UdpAssociation(local.address)
        local.process.wait_for_line("nobody.invalid")
