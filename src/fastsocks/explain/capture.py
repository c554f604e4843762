"""Captures of packets, as tcpdump, dumpcap and Wireshark write them; read by dpkt."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from fastsocks.errors import ConfigError

#: An IP address, packed, and a port.
End: TypeAlias = tuple[bytes, int]

_MAGIC = (
    b"\xa1\xb2\xc3\xd4",
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
    b"\x4d\x3c\xb2\xa1",
    b"\x0a\x0d\x0d\x0a",
)


class Datagram(NamedTuple):
    """A UDP datagram."""

    source: End
    target: End
    data: bytes
    #: Unix time in seconds.
    time: float


@dataclass
class Connection:
    """A TCP connection; the client is who sent the first packet of it that was captured."""

    client: End
    server: End
    #: Unix time in seconds of its first packet.
    time: float
    #: Payload by sequence number, of each direction.
    up: dict[int, bytes] = field(default_factory=dict)
    down: dict[int, bytes] = field(default_factory=dict)


def is_capture(data: bytes) -> bool:
    """Tell whether this is a file of pcap or pcapng."""
    return data[:4] in _MAGIC


def read_capture(data: bytes) -> tuple[list[Connection], list[Datagram]]:
    """Read a capture, in the order of its packets.

    :raises ConfigError: dpkt is not installed, or cannot read the file.
    """
    try:
        import dpkt
    except ImportError:
        raise ConfigError(
            "captures are read by dpkt, which is missing: pip install 'fastsocks[explain]'"
        ) from None
    connections: dict[frozenset[End], Connection] = {}
    found: list[Connection] = []
    datagrams: list[Datagram] = []
    try:
        for time, ip in _packets(dpkt, data):
            part = ip.data
            if isinstance(part, dpkt.udp.UDP):
                source, target = (bytes(ip.src), part.sport), (bytes(ip.dst), part.dport)
                datagrams.append(Datagram(source, target, bytes(part.data), time))
            elif isinstance(part, dpkt.tcp.TCP):
                source, target = (bytes(ip.src), part.sport), (bytes(ip.dst), part.dport)
                ends = frozenset((source, target))
                opens = part.flags & dpkt.tcp.TH_SYN and not part.flags & dpkt.tcp.TH_ACK
                if opens or ends not in connections:
                    connections[ends] = Connection(source, target, time)
                    found.append(connections[ends])
                connection = connections[ends]
                pieces = connection.up if source == connection.client else connection.down
                if part.data:
                    pieces.setdefault(part.seq, bytes(part.data))
    except (dpkt.Error, ValueError, EOFError) as error:
        raise ConfigError(f"the capture cannot be read: {error or type(error).__name__}") from None
    return found, datagrams


def stream_of(pieces: dict[int, bytes]) -> bytes:
    """Put payload in order, up to the first gap; what was sent twice counts once."""
    if not pieces:
        return b""
    first = next(iter(pieces))
    # Sequence numbers wrap around: they are compared as distances from the first one.
    ordered = sorted(
        (((seq - first + 2**31) % 2**32) - 2**31, data) for seq, data in pieces.items()
    )
    start = ordered[0][0]
    stream = bytearray()
    for at, data in ordered:
        overlap = len(stream) - (at - start)
        if overlap < 0:
            break
        stream += data[overlap:]
    return bytes(stream)


def _packets(dpkt: Any, data: bytes) -> Iterator[tuple[float, Any]]:
    """Yield time and IP packet, of every packet that has one."""
    kind = dpkt.pcapng if data[:4] == _MAGIC[-1] else dpkt.pcap
    reader = kind.Reader(io.BytesIO(data))
    link = {
        dpkt.pcap.DLT_EN10MB: dpkt.ethernet.Ethernet,
        dpkt.pcap.DLT_LINUX_SLL: dpkt.sll.SLL,
        dpkt.pcap.DLT_LINUX_SLL2: dpkt.sll2.SLL2,
        dpkt.pcap.DLT_NULL: dpkt.loopback.Loopback,
    }.get(reader.datalink())
    for time, frame in reader:
        try:
            if link is None:
                packet = dpkt.ip6.IP6(frame) if frame[0] >> 4 == 6 else dpkt.ip.IP(frame)
            else:
                packet = link(frame).data
        except (dpkt.Error, AttributeError, IndexError):
            # Of packets that are malformed dpkt raises more than its own errors.
            continue
        if isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
            yield float(time), packet
