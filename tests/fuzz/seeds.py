"""Inputs to begin with, made from tests/vectors, in the form in which each target takes them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dpkt

from shadowsocks_ends import NAMES

_VECTORS = Path(__file__).parents[1] / "vectors"
#: What goes in front of bytes from the wire: options and the size of pieces, both 0.
_PLAIN = bytes(2)
_SOCKS = {
    "greeting": ("socks_server", "socks_messages", "explain"),
    "auth": ("socks_messages",),
    "request": ("socks_messages",),
    "reply": ("socks_client", "socks_messages"),
    "socks4": ("socks4_server", "socks_server"),
    "proxy-protocol": ("proxy_protocol",),
    "udp": ("datagrams_socks", "explain_datagram"),
}
_HTTP = (
    b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\npayload",
    b"GET http://example.com/path HTTP/1.1\r\nHost: example.com\r\nConnection: close, X\r\n\r\n",
    b"POST http://[2001:db8::1]:8080/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello, more",
    b"PUT http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\n\r\nmore",
    b"CONNECT a:1 HTTP/1.0\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n",
)
_RESPONSES = (
    b"HTTP/1.1 200 Connection established\r\n\r\npayload",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
    b"HTTP/1.0 503 No\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\n\r\n",
)
_DOCUMENTS = (
    b'\0{"server": "::1", "server_port": 8388, "password": "${SECRET}", "method": "aes-256-gcm"}',
    b'\0{"servers": [{"server": "a", "server_port": 1, "password": "p", "method": "none"}]} // end',
    b'\0{"locals": [{"local_port": 1080, "protocol": "socks", "disabled": false}]}',
    b'\1server = ["192.0.2.1"]\nserver_port = 1\n[[users]]\nname = "a"\npassword = "b"\n',
)
_RELAYED = (
    "00 00 00 06 0100 07 0100 04 05",
    "01 04 00 06 ffff 07 ffff 46 ffff 47 ffff 05 04",
    "02 06 01 07 ffff 07 ffff 07 ffff 07 ffff 06 0010 03",
    "04 04 00 06 ffff 07 ffff 46 ffff 47 ffff 06 ffff 07 ffff 02",
    "05 6d 01 06 ffff 06 ffff 07 1000 c1 0000",
)
_ACCOUNTS = b"""# users

alice:$scrypt$ln=1,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g
"""
_CONFIGURATIONS = (
    b"\0",
    b"""\2METHOD=aes-256-gcm
PASSWORD=secret
{"server": ["::", "0.0.0.0"], "server_port": 8388, "timeout": 86400, "mode": "tcp_and_udp"}""",
    b"""\0{"servers": [{"address": "a", "port": 1, "password": "p", "method": "aes-128-gcm"},
{"server": "b", "server_port": 2, "password": "q", "method": "none", "disabled": true}],
"locals": [{"local_address": "::1", "local_port": 1080}]}""",
    b"""\1UPSTREAM=socks5://a:1
local_port = 1080
rules = ["deny to private", "allow all"]
[accounts]
alice = "secret\"""",
    b"""\0{"server": "a", "server_port": 1, "method": "2022-blake3-aes-128-gcm",
"password": "MTIzNDU2Nzg5MDEyMzQ1Ng==",
"users": [{"name": "b", "password": "MTIzNDU2Nzg5MDEyMzQ1Ng=="}]}""",
)
_ACL = (
    b"www.example.com\n[proxy_all]\n||example.com\n[bypass_list]\n(^|\\.)example\\.com$\n",
    b"10.1.2.3\n[reject_all]\n[white_list]\n10.0.0.0/8\n::1\n# all\n[outbound_block_list]\n|a\n",
    b"ads.example\n[black_list]\n^ads?\\d{1,3}\\.(example|test)$\n^(.*\\.)?example$\n",
)
_RULES = (
    b"deny to 10.0.0.0/8 2001:db8::/32 port 25 1000-2000",
    b"allow from 192.0.2.0/24 user alice to *.example.com command connect",
)
_NAMES = tuple(
    bytes((choices,)) + name.encode() + b"\n" + rule
    for choices, rule in (
        (1, b"deny to denied.test"),
        (3, b"allow to =denied.test\ndeny to 127.0.0.0/8"),
        (2, b"direct to denied.test"),
        (2, b""),
    )
    for name in (
        *("www.Denied.Test.", "denied.test\u3002", "denied\uff0etest", "denied.test\u2024"),
        *("127.1", "0x7f.1", "2130706433", "stra\xdfe.de", "xn--strae-oqa.de", "xn--denied-.test"),
        *("denied\\.test", "\\100enied.test", "a b", "8.8.8.8.", "127.0.0.1", "[::1]", "1.2.3.4.5"),
    )
)
_RECORD = "00010001 0000003c"
_ALIAS = "00050001 0000003c 0008 0162047465737400"
_AUTHORITY = (
    "00060001 00000e10 001c 026e73c00c 0161c00c 00000001 00000002 00000003 00000004 0000003c"
)
#: Kind of address, flags to change, numbers of records, records.
_DNS = (
    f"04 0000 0001 0000 0000 c00c {_RECORD} 0004 c0000201",
    "01 0000 0002 0000 0000 c00c 001c0001 0000003c 0010" + "20010db8" * 8,
    f"04 0000 0002 0000 0000 c00c {_ALIAS} 0162047465737400 {_RECORD} 0004 c0000202",
    f"04 0003 0000 0001 0000 047465737400 {_AUTHORITY}",
    "04 0200 0000 0000 0000",
)
#: Targets that take them as they stand here.
_READY = {
    "accounts": (_ACCOUNTS,),
    "acl": _ACL,
    "configuration": _CONFIGURATIONS,
    "document": _DOCUMENTS,
    "dns_answer": tuple(map(bytes.fromhex, _DNS)),
    "relay": tuple(map(bytes.fromhex, _RELAYED)),
    "rule": _RULES,
    "names": _NAMES,
    "rules": (b"a.example.com\n" + _RULES[1], b"10.0.0.1\n" + b"\n".join(_RULES)),
}


def write(target: str, folder: Path) -> None:
    """Write the seeds of a target into `folder`, under the names that libFuzzer gives."""
    for data in set(_seeds(target)):
        name = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        (folder / name).write_bytes(data)


def _seeds(target: str) -> Iterator[bytes]:
    yield from _READY.get(target, ())
    yield from _of_socks(target)
    yield from _of_shadowsocks(target)
    if target == "http_server":
        yield from (bytes((options, 0)) + head for head in _HTTP for options in (0, 1))
    if target in {"http_client", "http_exchange"}:
        yield from (b"\0" + head for head in _RESPONSES)
    if target == "http_head":
        yield from (bytes((kind, 0)) + one for kind in (0, 1) for one in (_HTTP, _RESPONSES)[kind])
    if target == "explain_capture":
        yield _capture()
    if target == "proxy_protocol":
        for one in _vectors("proxy_protocol.json")["recorded"]:
            yield b"\7" + bytes.fromhex(one["hex"]) + b"payload"
    if target == "url":
        for one in _vectors("uri.json")["uris"]:
            yield one["uri"].removeprefix("ss://").encode()


def _of_socks(target: str) -> Iterator[bytes]:
    for one in _vectors("socks5.json")["messages"]:
        data = bytes.fromhex(one["hex"])
        if target not in _SOCKS.get(one["group"], ()):
            continue
        if target == "socks_messages":
            yield from (bytes((reader, 0)) + data for reader in range(6))
        elif target == "socks_client":
            yield _PLAIN + b"\5\0" + data
        elif target == "socks4_server":
            yield _PLAIN + data[1:]
        elif target == "proxy_protocol":
            yield b"\0" + data
        elif target in {"datagrams_socks", "explain"}:
            yield b"\0" + len(data).to_bytes(2, "big") + data
        else:
            yield _PLAIN + data
    if target == "socks_server":
        yield from _handshakes()
    if target == "address":
        yield from (b"\0\1" + bytes(6), b"\0\4" + bytes(18), b"\1.\3\1a\0\1", b"\0\3\7 1.2.3.4\0\1")
    if target == "gssapi":
        yield b"\0\1\2\0\4i0:\1\1\3\0\x0di1:\5\1\0\1abcd\0\1"
        yield b"\0\1\2\0\4i0:\2\1\3\0\x0dc1:\5\1\0\1abcd\0\1"


def _handshakes() -> Iterator[bytes]:
    for one in _vectors("socks5.json")["messages"]:
        if one["group"] == "request":
            yield _PLAIN + b"\5\1\0" + bytes.fromhex(one["hex"])
            yield b"\1\0\5\1\2\1\4user\4pass" + bytes.fromhex(one["hex"])


def _of_shadowsocks(target: str) -> Iterator[bytes]:
    parts = {
        "shadowsocks_server": ("tcp_request", "tcp_request_with_payload"),
        "shadowsocks_client": ("tcp_response",),
        "datagrams_server": ("udp_request", "udp_client"),
        "datagrams_client": ("udp_response", "udp_server"),
    }
    header = b"\1\xc0\0\2\1\0\x50"
    for number in range(len(NAMES)):
        if target == "shadowsocks_layers":
            yield bytes((0, number, number, 7, 0, 0, 0)) + b"payload"
            yield bytes((1, number, 3, number, 0, 1, 0, 90)) + b"payload"
        if target in {"shadowsocks_server", "shadowsocks_client"}:
            # Plaintext to be sealed: two headers of the 2022 edition, or records.
            body = (len(header) + 4).to_bytes(2, "big") + header + b"\0\2ab"
            headers = b"\xfe\0\2" + len(body[2:]).to_bytes(2, "big") + b"\0" + body
            yield bytes((number, 1, 0)) + body + b"\0\3abc\0\0"
            yield bytes((number, 1, 7)) + headers + b"\0\3abc"
            yield bytes((number, 7, 0)) + headers
        if target in {"datagrams_server", "datagrams_client"}:
            size = (len(header) + 4).to_bytes(2, "big")
            yield bytes((number, 0)) + (b"\3\0" + size + b"\1\0\1\0\0" + header + b"ab") * 2
            yield bytes((number, 1)) + b"\7\0" + size + b"\1\0\1\0\0" + header + b"ab"
    for file in ("stream.json", "aead.json", "aead2022.json"):
        for vector in _vectors(file)["vectors"]:
            for part in parts.get(target, ()):
                wire = vector.get(part, {}).get("wire_hex")
                if wire and len(wire) < 1024 and vector["method"] in NAMES:
                    number = NAMES.index(vector["method"])
                    yield from _wired(target, number, bytes.fromhex(wire))


def _wired(target: str, number: int, wire: bytes) -> Iterator[bytes]:
    if target.startswith("datagrams"):
        yield bytes((number, 0)) + (b"\0\0" + len(wire).to_bytes(2, "big") + wire) * 2
    else:
        yield from (bytes((number, 0, size)) + wire for size in (0, 7))


def _capture() -> bytes:
    """A file of one TCP and one UDP packet."""
    file = io.BytesIO()
    writer = dpkt.pcap.Writer(file, linktype=dpkt.pcap.DLT_RAW)
    for part in (dpkt.tcp.TCP(data=b"\5\1\0"), dpkt.udp.UDP(data=b"packet")):
        protocol = dpkt.ip.IP_PROTO_TCP if isinstance(part, dpkt.tcp.TCP) else dpkt.ip.IP_PROTO_UDP
        packet = dpkt.ip.IP(src=b"\x7f\0\0\1", dst=b"\x7f\0\0\2", p=protocol, data=part)
        writer.writepkt(packet, ts=0)
    return file.getvalue()


def _vectors(name: str) -> Any:
    return json.loads((_VECTORS / name).read_text())
