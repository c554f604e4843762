"""``fastsocks explain``: where bytes come from, and what is said of them."""

from __future__ import annotations

import io
import socket
import struct
from pathlib import Path

import dpkt
import pytest
from click.testing import CliRunner, Result

from fastsocks.address import Address
from fastsocks.cli.commands import fastsocks
from fastsocks.shadowsocks import ClientCodec, client_key, packet_client

PSK = "29ub3TmJNnn3hMwNFRbGTw=="
METHOD = "2022-blake3-aes-128-gcm"
NOW = 1_700_000_000
TARGET = Address.of("example.com", 443)


def explain(*arguments: str, given: bytes = b"") -> Result:
    return CliRunner().invoke(fastsocks, ["explain", *arguments], input=given)


def request(skew: int = 0) -> bytes:
    return ClientCodec(client_key(METHOD, PSK), clock=lambda: NOW + skew).request(TARGET, b"GET")


@pytest.mark.parametrize("text", ["050100", "05 01 00", "05:01:00"])
def test_hexadecimal(text: str) -> None:
    found = explain(text)
    assert found.exit_code == 0
    assert "no authentication" in found.output


@pytest.mark.parametrize("content", [b"05 01\n00\n", b"\x05\x01\x00"])
def test_files_and_standard_input(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(content)
    for found in (explain(str(file)), explain("-", given=content)):
        assert found.exit_code == 0
        assert "no authentication" in found.output


def test_from_the_server() -> None:
    found = explain("--from", "server", "0500 05050001000000000000")
    assert "WRONG: the server refuses: connection refused" in found.output


def test_shadowsocks() -> None:
    at = ("--at", str(NOW))
    for key in (("-m", METHOD, "-k", PSK), ("--url", f"ss://{METHOD}:{PSK}@192.0.2.1:8388")):
        found = explain(request(-38).hex(), *key, *at)
        assert found.exit_code == 0, found.output
        assert "clock 38 s behind" in found.output
        assert "WRONG: the peer's clock is 38 s behind ours" in found.output
        assert PSK not in found.output
    other = explain(request().hex(), "-m", METHOD, "-k", "A" * 22, *at)
    assert "WRONG: password or method mismatch" in other.output
    assert "example.com" in explain(request().hex(), "-m", METHOD, "-k", PSK, *at).output


def capture() -> bytes:
    file = io.BytesIO()
    writer = dpkt.pcap.Writer(file)
    client, server = socket.inet_aton("192.0.2.10"), socket.inet_aton("192.0.2.20")
    datagram = packet_client(client_key(METHOD, PSK)).seal(TARGET, b"query", NOW)
    parts = [
        (dpkt.ip.IP_PROTO_TCP, dpkt.tcp.TCP(sport=40000, dport=8388, seq=7, data=request())),
        (dpkt.ip.IP_PROTO_UDP, dpkt.udp.UDP(sport=40001, dport=8388, data=datagram)),
        (dpkt.ip.IP_PROTO_UDP, dpkt.udp.UDP(sport=40001, dport=53, data=b"other")),
    ]
    for protocol, part in parts:
        if isinstance(part, dpkt.udp.UDP):
            part.ulen = len(part)
        ip = dpkt.ip.IP(src=client, dst=server, p=protocol, data=part)
        ip.len = len(ip)
        writer.writepkt(bytes(dpkt.ethernet.Ethernet(data=ip)), NOW)
    return file.getvalue()


def test_a_capture(tmp_path: Path) -> None:
    file = tmp_path / "file.pcap"
    file.write_bytes(capture())
    found = explain(str(file), "-m", METHOD, "-k", PSK, "--port", "8388")
    assert found.exit_code == 0, found.output
    # The time is that of the capture.
    assert "WRONG" not in found.output
    assert found.output.count("example.com") == 2
    assert "192.0.2.10:40000 -> 192.0.2.20:8388: Shadowsocks" in found.output
    assert ":53" not in found.output


def test_a_packet_that_dpkt_stumbles_over(tmp_path: Path) -> None:
    # A fragment whose next header is that of hop-by-hop options.
    payload = bytes.fromhex("00000000000000001100000000000000") + bytes(8)
    packet = bytes.fromhex("60000000 0018 2c 40") + bytes(32) + payload
    file = tmp_path / "file.pcap"
    with file.open("wb") as stream:
        stream.write(capture())
        frame = bytes(dpkt.ethernet.Ethernet(type=dpkt.ethernet.ETH_TYPE_IP6)) + packet
        stream.write(struct.pack("=4I", NOW, 0, len(frame), len(frame)) + frame)
    found = explain(str(file), "-m", METHOD, "-k", PSK)
    assert found.exit_code == 0, found.output
    assert "example.com" in found.output


@pytest.mark.parametrize(
    ("arguments", "given", "reason"),
    [
        (("nothing/there",), b"", "neither hexadecimal digits nor a file"),
        (("05", "-k", "x"), b"", "method"),
        (("05", "-m", "no-such"), b"", "no-such"),
        (("-",), b"", "nothing to explain"),
        (("-",), b"\xa1\xb2\xc3\xd4 and nothing of a capture", "the capture cannot be read"),
        (("-",), capture()[:30], "the capture cannot be read"),
        (("05", "--url", "ss://x"), b"", "URL"),
    ],
)
def test_what_cannot_be_explained(arguments: tuple[str, ...], given: bytes, reason: str) -> None:
    found = explain(*arguments, given=given)
    assert found.exit_code == 2
    assert reason in found.output
    assert "Traceback" not in found.output
