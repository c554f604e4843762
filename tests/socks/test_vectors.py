"""Every SOCKS5 message of the shared vectors, on both twins of the readers.

The vectors say in prose what a server must do; here it is written out, by name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import AddressTypeError
from fastsocks.socks import SocksClient, SocksServer
from socks_playbook import Outcome, checker, cut, feed, parse_bytes
from twins import import_twin

PATH = Path(__file__).parent.parent / "vectors" / "socks5.json"
MESSAGES = json.loads(PATH.read_text(encoding="utf-8"))["messages"]

ACCOUNTS = {
    b"user": b"pass",
    b"j\xc3\xb6hn1": b"abc",
    b"u" * 255: b"p" * 255,
}


def vectors(group: str) -> list[Any]:
    """Return the messages of `group`, named as there."""
    found = [one for one in MESSAGES if one["group"] == group]
    return [pytest.param(one, id=one["name"]) for one in found]


def both_ways(make: Any, data: bytes) -> Outcome:
    """Feed `data` whole and byte by byte, which must come to the same."""
    whole = feed(make(), [data])
    assert feed(make(), cut(data, *range(len(data)))) == whole
    return whole


# By name: without accounts, with accounts.
REFUSED = Outcome(b"\x05\xff", "error AuthenticationError 02")
NOT_SOCKS = Outcome(b"", "error VersionError 01")
GREETINGS = {
    "no auth": (Outcome(b"\x05\x00", None), REFUSED),
    "no auth + user/pass": (Outcome(b"\x05\x00", None), Outcome(b"\x05\x02", None)),
    "curl with GSSAPI build": (Outcome(b"\x05\x00", None), Outcome(b"\x05\x02", None)),
    "only user/pass": (REFUSED, Outcome(b"\x05\x02", None)),
    "only GSSAPI": (REFUSED, REFUSED),
    "NMETHODS 0": (Outcome(b"\x05\xff", "error ProtocolError 01"),) * 2,
    "255 methods": (Outcome(b"\x05\x00", None), Outcome(b"\x05\x02", None)),
    "pipelined greeting and request": (
        Outcome(b"\x05\x00\x05\x00\x00\x01" + bytes(6), "request 01 192.0.2.1:80"),
        REFUSED,
    ),
    "SOCKS4 first byte": (NOT_SOCKS, NOT_SOCKS),
    "HTTP first byte": (NOT_SOCKS, NOT_SOCKS),
}


@pytest.mark.parametrize("vector", vectors("greeting"))
@pytest.mark.usefixtures("messages")
def test_greeting(vector: Any) -> None:
    data = bytes.fromhex(vector["hex"])
    without, with_accounts = GREETINGS[vector["name"]]
    assert both_ways(SocksServer, data) == without
    assert both_ways(lambda: SocksServer(checker(ACCOUNTS)), data) == with_accounts


RIGHT = Outcome(b"\x05\x02\x01\x00", None)
WRONG = Outcome(b"\x05\x02\x01\x01", "error AuthenticationError 02")
LOGINS = {
    "user/pass": RIGHT,
    "empty password": WRONG,
    "empty user and password": WRONG,
    "255+255": RIGHT,
    "version 5 in subnegotiation": Outcome(b"\x05\x02\x01\x01", "error VersionError 01"),
    "UTF-8 user": RIGHT,
}


@pytest.mark.parametrize("vector", vectors("auth"))
def test_login(messages: Any, vector: Any) -> None:
    data = bytes.fromhex(vector["hex"])
    assert (
        both_ways(lambda: SocksServer(checker(ACCOUNTS)), b"\x05\x01\x02" + data)
        == LOGINS[vector["name"]]
    )
    if "username" in vector:
        expected = (vector["username"].encode(), vector["password"].encode(), len(data))
        assert messages.read_credentials(data) == expected


def refused(code: int, name: str) -> Outcome:
    return Outcome(b"\x05\x00" + bytes((5, code, 0, 1)) + bytes(6), f"error {name} {code:02x}")


REFUSED_REQUESTS = {
    "domain length 0": refused(1, "AddressError"),
    "NUL in domain": refused(1, "AddressError"),
    "BIND": refused(7, "CommandError"),
    "UDP ASSOCIATE 0.0.0.0:0": refused(7, "CommandError"),
    "UDP ASSOCIATE [::]:0": refused(7, "CommandError"),
    "UDP ASSOCIATE with a port (PySocks)": refused(7, "CommandError"),
    "Tor RESOLVE": refused(7, "CommandError"),
    "unknown ATYP": refused(8, "AddressTypeError"),
    "wrong version": refused(1, "VersionError"),
}
LONG_NAME = f"{'a' * 63}.{'a' * 63}.{'a' * 63}.{'a' * 63}"
#: Where the vector does not write them out.
TARGETS = {
    "domain length 255": (LONG_NAME, 80),
    "UTF-8 domain": ("münchen.example", 80),
    "port 0": ("192.0.2.1", 0),
    "RSV not zero": ("192.0.2.1", 80),
}


@pytest.mark.parametrize("vector", vectors("request"))
def test_request(messages: Any, vector: Any) -> None:
    name = vector["name"]
    data = bytes.fromhex(vector["hex"])
    outcome = both_ways(SocksServer, b"\x05\x01\x00" + data)
    if name in REFUSED_REQUESTS:
        assert outcome == REFUSED_REQUESTS[name]
    else:
        host, port = TARGETS[name] if name in TARGETS else (vector["host"], vector["port"])
        target = Address.of(host, port)
        assert (target.host, target.port) == (host, port)
        assert outcome.event == f"request 01 {target}"
    if "cmd" in vector:
        found = messages.read_request(data)
        assert (found[0], found[2]) == (vector["cmd"], len(data))


BOUND = {
    "success IPv6 bound address": "[2001:db8::5]:40000",
    "success with a domain bound address": "proxy.test:1080",
    "BIND first reply (listening)": "198.51.100.7:40001",
    "BIND second reply (peer)": "192.0.2.1:20",
}


@pytest.mark.parametrize("vector", vectors("reply"))
def test_reply(messages: Any, vector: Any) -> None:
    data = bytes.fromhex(vector["hex"])
    code, bound, end = messages.read_reply(data)
    assert code == vector.get("rep", 0)
    assert str(bound) == BOUND.get(vector["name"], "0.0.0.0:0")
    assert end == len(data)
    outcome = both_ways(lambda: SocksClient(Address.of("a", 1)), b"\x05\x00" + data)
    assert outcome.event == (f"error ReplyError {code:02x}" if code else f"reply {bound}")


@pytest.mark.parametrize("vector", vectors("udp"))
@pytest.mark.parametrize("implementation", ["cython", "python"])
def test_address_of_a_datagram(implementation: str, vector: Any) -> None:
    read_address = import_twin("fastsocks.address", "_header", implementation).read_address
    data = bytes.fromhex(vector["hex"])
    if vector["name"] == "unknown ATYP":
        with pytest.raises(AddressTypeError):
            read_address(data, 3)
    elif vector["expect"] == "drop":
        assert read_address(data, 3) is None
    else:
        address, end = read_address(data, 3)
        assert address == Address.of(vector.get("host", "192.0.2.1"), vector.get("port", 53))
        if "payload_hex" in vector:
            assert data[end:].hex() == vector["payload_hex"]


def test_no_vector_is_left_out() -> None:
    counted = ("greeting", "auth", "request", "reply", "udp")
    sizes = {group: len(vectors(group)) for group in counted}
    assert sizes == {"greeting": 10, "auth": 6, "request": 21, "reply": 13, "udp": 10}


def test_the_playbook_reads_what_it_is_given() -> None:
    assert parse_bytes("05 0100 'a 1' ff") == b"\x05\x01\x00a 1\xff"
    with pytest.raises(ValueError, match="neither"):
        parse_bytes("05 x")
