"""The fields that tshark's dissector of SOCKS finds are those that we find, in the same capture."""

from __future__ import annotations

import io
import socket
import subprocess
from pathlib import Path

import dpkt
import pytest

from fastsocks.explain import Explanation, explain_stream
from fastsocks.explain.capture import Connection, read_capture, stream_of
from fastsocks.socks import SocksServer
from fastsocks.socks.socks4 import Socks4Server
from harness.deadline import DEADLINE
from harness.services import find_program

CLIENT, SERVER = (socket.inet_aton("192.0.2.10"), 40000), (socket.inet_aton("192.0.2.20"), 1080)
#: What tshark calls a field, and what we do; addresses and ports by the message they stand in.
NAMES = {
    "socks.version": ("VER", "VN"),
    "socks.auth_method_count": ("NMETHODS",),
    "socks.command": ("CMD", "CD"),
    "socks.username": ("UNAME", "USERID"),
    "socks.password": ("PASSWD",),
    "socks.auth_status": ("STATUS",),
    "socks.results": ("REP", "CD"),
    "socks.address_type": ("ATYP",),
    "socks.remote_name": ("ADDR",),
    "socks.v4a_dns_name": ("name",),
    "socks.dst": ("ADDR", "DSTIP"),
    "socks.dstV6": ("ADDR",),
    "socks.port": ("PORT",),
    "socks.dstport": ("PORT", "DSTPORT"),
}


class Capture:
    """Writes what each side sends as packets of Ethernet, in the order in which it is sent."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._writer = dpkt.pcap.Writer(self._file)
        self._sent = {CLIENT: 0, SERVER: 0}
        self._time = 1_700_000_000.0
        self._send(CLIENT, SERVER, b"", dpkt.tcp.TH_SYN)
        self._send(SERVER, CLIENT, b"", dpkt.tcp.TH_SYN | dpkt.tcp.TH_ACK)
        self._send(CLIENT, SERVER, b"", dpkt.tcp.TH_ACK)

    def up(self, data: bytes) -> None:
        self._send(CLIENT, SERVER, data, dpkt.tcp.TH_ACK | dpkt.tcp.TH_PUSH)

    def down(self, data: bytes) -> None:
        self._send(SERVER, CLIENT, data, dpkt.tcp.TH_ACK | dpkt.tcp.TH_PUSH)

    def content(self) -> bytes:
        return self._file.getvalue()

    def _send(
        self, source: tuple[bytes, int], target: tuple[bytes, int], data: bytes, flags: int
    ) -> None:
        if not data and self._sent[source] and self._sent[target] and flags != dpkt.tcp.TH_ACK:
            return
        tcp = dpkt.tcp.TCP(
            sport=source[1],
            dport=target[1],
            seq=self._sent[source],
            ack=self._sent[target],
            flags=flags,
            data=data,
        )
        ip = dpkt.ip.IP(src=source[0], dst=target[0], p=dpkt.ip.IP_PROTO_TCP, ttl=64, data=tcp)
        ip.len = len(ip)
        self._writer.writepkt(bytes(dpkt.ethernet.Ethernet(data=ip)), self._time)
        self._sent[source] += len(data) + bool(flags & dpkt.tcp.TH_SYN)
        self._time += 0.001


def captured(server: SocksServer | Socks4Server, *messages: str) -> bytes:
    """Let `server` answer messages, in hexadecimal, and return the capture."""
    capture = Capture()
    request = None
    for message in messages:
        capture.up(bytes.fromhex(message))
        request = server.receive(bytes.fromhex(message))
        if answer := server.take_outgoing():
            capture.down(answer)
    assert request is not None
    capture.down(server.connected(None))
    capture.up(b"data")
    return capture.content()


def ours(data: bytes) -> list[Explanation]:
    connections, datagrams = read_capture(data)
    (connection,) = connections
    assert datagrams == []
    assert (connection.client, connection.server) == (CLIENT, SERVER)
    assert connection.time == 1_700_000_000
    return explain_stream(stream_of(connection.up), stream_of(connection.down))


def theirs(data: bytes, folder: Path) -> dict[str, set[str]]:
    """Return the values that tshark finds, by its names of the fields."""
    file = folder / "exchange.pcap"
    file.write_bytes(data)
    command = [find_program("tshark"), "-n", "-r", str(file), "-d", "tcp.port==1080,socks"]
    command += ["-T", "fields", "-E", "separator=;", "-E", "aggregator=,", "-E", "occurrence=a"]
    for name in NAMES:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, check=True, timeout=DEADLINE)
    found: dict[str, set[str]] = {name: set() for name in NAMES}
    for line in done.stdout.decode().splitlines():
        for name, values in zip(NAMES, line.split(";"), strict=True):
            found[name] |= set(filter(None, values.split(",")))
    return found


#: Whether the client logs in, and what it sends.
EXCHANGES: dict[str, tuple[bool, tuple[str, ...]]] = {
    "name": (False, ("050100", "05010003 0b 6578616d706c652e636f6d 01bb")),
    "IPv4": (False, ("05020001", "05010001 c0000201 0050")),
    "IPv6": (False, ("050100", "05010004 20010db8000000000000000000000001 0016")),
    "log in": (True, ("050102", "01 0475736572 0470617373", "05010001c00002010050")),
}


@pytest.mark.interop
@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_socks5(exchange: tuple[bool, tuple[str, ...]], tmp_path: Path) -> None:
    log_in, messages = exchange
    server = SocksServer((lambda username, _: username.decode()) if log_in else None)
    compare(captured(server, *messages), tmp_path)


@pytest.mark.interop
@pytest.mark.parametrize(
    "message", ["04010050c00002014672656400", "040101bb00000001006578616d706c652e636f6d00"]
)
def test_socks4(message: str, tmp_path: Path) -> None:
    # As an address tshark 4.0 reports the first four bytes of the request, too.
    first = socket.inet_ntoa(bytes.fromhex(message)[:4])
    compare(captured(Socks4Server(), message), tmp_path, slip=first)


def compare(data: bytes, folder: Path, slip: str = "") -> None:
    """Compare both ways: all that they find we have, and the target that we find they have.

    :param slip: an address that they find and that is none.
    """
    explanations = ours(data)
    assert [one.fault for one in explanations] == [None, None]
    fields = [field for one in explanations for field in one.fields]
    found = theirs(data, folder)
    assert found["socks.version"]
    assert found["socks.command"]
    for name, values in found.items():
        known = {shown(field.data) for field in fields if field.name in NAMES[name]}
        known |= {field.meaning for field in fields if field.name in NAMES[name]}
        known |= {field.data.decode("latin-1") for field in fields if field.name in NAMES[name]}
        assert values - {slip} <= known, name
    targets = {field.meaning for field in explanations[0].fields if field.name in {"ADDR", "name"}}
    assert (
        targets
        <= found["socks.remote_name"]
        | found["socks.dst"]
        | found["socks.dstV6"]
        | (found["socks.v4a_dns_name"])
    )


def shown(data: bytes) -> str:
    """Return a number or an address as tshark writes it."""
    if len(data) == 16:
        return socket.inet_ntop(socket.AF_INET6, data)
    if len(data) == 4:
        return socket.inet_ntoa(data)
    return str(int.from_bytes(data, "big"))


def test_segments_in_any_order_and_twice() -> None:
    connection = Connection(CLIENT, SERVER, 0)
    connection.up = {5: b"fghij", 0: b"abcde", 3: b"defg", 20: b"after a gap"}
    assert stream_of(connection.up) == b"abcdefghij"
    top = 2**32
    assert stream_of({top - 3: b"abc", 0: b"def", 3: b"g"}) == b"abcdefg"
    assert stream_of({}) == b""
