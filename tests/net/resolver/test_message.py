"""DNS messages, against dnslib."""

from __future__ import annotations

import contextlib
import ipaddress
from itertools import pairwise
from typing import Any

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.net.resolver import message
from fastsocks.net.resolver.message import AAAA, A, MessageError, make_question, read_answer

NAME = "a.example"
QUESTION = make_question(message.encode_name(NAME.encode()), A)
LABEL = st.text("abcXYZ019-_", min_size=1, max_size=12)
HOST = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
TTL = st.integers(0, 0x7FFFFFFF)


def reply(*records: dnslib.RR, kind: str = "A", authority: tuple[dnslib.RR, ...] = ()) -> bytes:
    found = dnslib.DNSRecord.question(NAME, kind).reply()
    for record in records:
        found.add_answer(record)
    for record in authority:
        found.add_auth(record)
    return bytes(found.pack())


def address(owner: str, host: str, ttl: int = 60) -> dnslib.RR:
    kind, data = (AAAA, dnslib.AAAA(host)) if ":" in host else (A, dnslib.A(host))
    return dnslib.RR(owner, kind, ttl=ttl, rdata=data)


def alias(owner: str, target: str, ttl: int = 60) -> dnslib.RR:
    return dnslib.RR(owner, message.CNAME, ttl=ttl, rdata=dnslib.CNAME(target))


@given(HOST, st.sampled_from([A, AAAA]), st.booleans(), st.binary(min_size=2, max_size=2))
def test_questions(name: str, kind: int, edns: bool, ident: bytes) -> None:
    question = make_question(message.encode_name(name.encode()), kind)
    found = dnslib.DNSRecord.parse(message.make_query(ident, question, edns=edns))
    assert str(found.q.qname) == f"{name}."
    assert (found.q.qtype, found.q.qclass) == (kind, 1)
    assert found.header.id == int.from_bytes(ident, "big")
    assert (found.header.rd, found.header.qr) == (1, 0)
    assert [record.edns_len for record in found.ar] == ([message.EDNS_SIZE] if edns else [])


@pytest.mark.parametrize("name", [b"", b".", b"a..b", b"a" * 64, b"a." * 127 + b"a"])
def test_what_is_no_name(name: bytes) -> None:
    with pytest.raises(ValueError, match="no name"):
        message.encode_name(name)


@given(
    st.lists(st.tuples(st.ip_addresses(v=4).map(str), TTL), max_size=20),
    st.lists(st.tuples(HOST, TTL), max_size=5, unique_by=lambda one: one[0].lower()),
    st.randoms(),
)
def test_answers(addresses: list[Any], aliases: list[Any], random: Any) -> None:
    names = [NAME, *(name for name, _ in aliases)]
    if len({name.lower() for name in names}) < len(names):
        return
    records = [alias(names[at], name, ttl) for at, (name, ttl) in enumerate(aliases)]
    records += [address(names[-1].upper(), host, ttl) for host, ttl in addresses]
    # In any order, with what belongs to nobody in between.
    records += [address("other.invalid", "192.0.2.1", 0), address(names[-1], "::1", 0)]
    random.shuffle(records)
    found = read_answer(reply(*records), QUESTION)
    assert set(found.addresses) == {host for host, _ in addresses}
    if addresses:
        assert found.ttl == min(ttl for _, ttl in (*aliases, *addresses))


def test_ipv6() -> None:
    hosts = ["2001:db8::1", "::ffff:c000:201"]
    data = reply(*(address(NAME, host) for host in hosts), kind="AAAA")
    found = read_answer(data, make_question(message.encode_name(NAME.encode()), AAAA))
    assert list(map(ipaddress.ip_address, found.addresses)) == list(
        map(ipaddress.ip_address, hosts)
    )


@pytest.mark.parametrize(("ttl", "minimum", "wanted"), [(60, 10, 10), (5, 10, 5), (0, 1 << 31, 0)])
def test_how_long_there_is_nothing(ttl: int, minimum: int, wanted: int) -> None:
    authority = dnslib.SOA("ns.example", "mail.example", (1, 2, 3, 4, minimum))
    soa = dnslib.RR("example", message.SOA, ttl=ttl, rdata=authority)
    other = alias(NAME, "b.example")
    assert read_answer(reply(authority=(soa,)), QUESTION).ttl == wanted
    assert read_answer(reply(other, authority=(soa,)), QUESTION).ttl == wanted
    assert read_answer(reply(other), QUESTION) == (0, False, (), None)


@pytest.mark.parametrize("aliases", [[(NAME, NAME)], [(NAME, "b"), ("b", NAME)]])
def test_aliases_in_a_circle(aliases: list[tuple[str, str]]) -> None:
    with pytest.raises(MessageError, match="circle"):
        read_answer(reply(*(alias(*one) for one in aliases)), QUESTION)


def test_aliases_without_an_end() -> None:
    names = [NAME, *(f"n{number}" for number in range(20))]
    chain = [alias(*pair) for pair in pairwise(names)]
    with pytest.raises(MessageError, match="aliases"):
        read_answer(reply(*chain, address(names[-1], "192.0.2.1")), QUESTION)


HEADER = b"\0\1\x81\x80\0\1\0\1\0\0\0\0"
RECORD = b"\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"


@pytest.mark.parametrize(
    "owner",
    [
        b"\xc0\x1b",  # to itself
        b"\xc0\x1d\xc0\x1b",  # forth and back
        b"\xc0\xff",  # behind all
        b"\x01a\xc0\x1b",  # round and round
        b"\x40a",  # a label of another kind
        b"\x3f",  # longer than the message
        b"\x3faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" * 4 + b"\0",
    ],
)
def test_names_that_are_none(owner: bytes) -> None:
    assert len(HEADER + QUESTION) == 0x1B
    with pytest.raises(MessageError):
        read_answer(HEADER + QUESTION + owner + RECORD, QUESTION)


GOOD = reply(alias(NAME, "b.example"), address("b.example", "192.0.2.1"))


@given(st.data())
def test_whatever_comes_is_an_answer_or_an_error(data: st.DataObject) -> None:
    changed = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 5))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    size = data.draw(st.integers(0, len(changed)))
    with contextlib.suppress(MessageError):
        read_answer(bytes(changed[:size]), QUESTION)


@given(st.binary(max_size=64))
def test_whatever_follows_the_question(rest: bytes) -> None:
    with contextlib.suppress(MessageError):
        read_answer(HEADER + QUESTION + rest, QUESTION)
