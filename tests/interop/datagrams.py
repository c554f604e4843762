"""What datagrams are expected to do between different makes."""

from __future__ import annotations

from harness.listener import SocketAddress
from harness.pattern import pattern
from harness.services import PeerName
from harness.udp import Echo, UdpAssociation, localhost

#: Sizes in bytes; libev takes no more than its idea of an MTU leaves.
SIZES: dict[PeerName, tuple[int, ...]] = {
    "libev": (1, 2, 63, 512, 1252, 1300),
    "rust": (0, 1, 2, 63, 512, 1252, 1400, 4096, 8192, 16384, 60000),
}


def exchange_datagrams(
    socks_server: SocketAddress, peer: PeerName, *, peer_is_server: bool
) -> None:
    """Have datagrams of many sizes, to an address and to a name, and bursts, come back."""
    with UdpAssociation(socks_server) as client, Echo() as target:
        for size in SIZES[peer]:
            if size == 0 and peer_is_server:
                # ssserver takes an empty payload for a sign of life, and passes it on to nobody.
                continue
            payload = pattern(size, start=size)
            assert client.exchange(payload, target.address) == payload
        # Servers of others take its IPv4 address, ours the first.
        with Echo("127.0.0.1" if peer_is_server else localhost()) as named:
            for payload in (b"looked up", b"known"):
                client.send(payload, SocketAddress("localhost", named.address.port))
                assert client.receive().payload == payload
        for start in range(0, 300, 20):
            sent = [b"%d" % number for number in range(start, start + 20)]
            for payload in sent:
                client.send(payload, target.address)
            assert sorted(client.receive().payload for _ in sent) == sorted(sent)
