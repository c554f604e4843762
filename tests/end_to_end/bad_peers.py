"""What a Shadowsocks server is sent by those who do not know its key, or replay and tamper."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from harness.listener import SocketAddress
from harness.shadowsocks import RequestWriter, address_header, generate_key

CANARY = b"canary-payload-that-no-log-may-hold"
RANDOM_SIZES = (1, 43, 50, 51, 100, 1000)


class BadFirstBytes(NamedTuple):
    """First bytes of a connection that a server must not answer.

    :ivar name: what is wrong with them.
    :ivar data: the bytes.
    :ivar status: how the server's log line names the reason; None where it still waits for more.
    """

    name: str
    data: bytes
    status: str | None


def bad_first_bytes(
    method: str, key: str, target: SocketAddress, replayed: bytes
) -> Iterator[BadFirstBytes]:
    """Yield every case for a method.

    :param replayed: what a client sent which the server has served.
    """
    is_2022 = method.startswith("2022-")
    header = address_header(target)
    # A first read that ends inside of the 2022 header is an error of its own (SIP022 3.1.5).
    header_size = 16 + 27 if is_2022 else 32 + 18
    short = "header" if is_2022 else None
    for size in RANDOM_SIZES:
        yield BadFirstBytes(
            f"{size} random bytes", os.urandom(size), "tag" if size >= header_size else short
        )
    yield BadFirstBytes("replay", replayed, "replay")
    for name, offset in (
        ("the salt", 3),
        ("the first ciphertext", header_size - 20),
        ("the first tag", header_size - 1),
        ("the payload", -20),
        ("the last tag", -1),
    ):
        flipped = bytearray(RequestWriter(method, key).request(header, CANARY))
        flipped[offset] ^= 0x80
        yield BadFirstBytes(f"a flipped bit in {name}", bytes(flipped), "tag")
    stranger = RequestWriter(method, generate_key(method))
    yield BadFirstBytes("wrong key", stranger.request(header, CANARY), "tag")
    bad_type = b"\x09" + header[1:]
    yield BadFirstBytes(
        "ATYP 9", RequestWriter(method, key).request(bad_type, CANARY), "address-type"
    )
    if is_2022:
        yield from _bad_2022_headers(method, key, header)


def _bad_2022_headers(method: str, key: str, header: bytes) -> Iterator[BadFirstBytes]:
    def request(**changes: object) -> bytes:
        return RequestWriter(method, key).request(header, CANARY, **changes)  # type: ignore[arg-type]

    now = time.time()
    yield BadFirstBytes("a clock 40 s behind", request(clock=now - 40), "timestamp")
    yield BadFirstBytes("a clock 40 s ahead", request(clock=now + 40), "timestamp")
    yield BadFirstBytes("the type of a response", request(kind=1), "header")
    yield BadFirstBytes(
        "neither payload nor padding",
        RequestWriter(method, key).request(header, b"", padding=b""),
        "header",
    )
    yield BadFirstBytes(
        "an address that does not end",
        RequestWriter(method, key).request(b"\x03\xff", b"short", padding=b""),
        "header",
    )
    yield BadFirstBytes("a header in two reads", request()[:30], "header")
