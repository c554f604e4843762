"""Answers of name servers, beside what dnslib reads of them."""

from __future__ import annotations

from ipaddress import ip_address

from dnslib import DNSRecord
from dnslib.dns import DNSError

from fastsocks.errors import FastsocksError
from fastsocks.net.resolver.message import (
    AAAA,
    MOST_ADDRESSES,
    A,
    encode_name,
    make_query,
    make_question,
    read_answer,
)

from ..oracle import DifferenceError, Input

_NAME = encode_name(b"a.test")
_QUESTIONS = {4: make_question(_NAME, A), 6: make_question(_NAME, AAAA)}


def answer(data: bytes) -> None:
    """A message behind its header and question, which are those of an answer unless it says so."""
    chosen = Input(data)
    version = 6 if chosen.byte() & 1 else 4
    question = _QUESTIONS[version]
    head = bytearray(make_query(b"id", question, edns=False))
    # Flags, and the numbers of records.
    head[2:4] = (0x8180 ^ chosen.number()).to_bytes(2, "big")
    head[6:12] = chosen.take(6).ljust(6, b"\0")
    message = bytes(head) + chosen.rest()
    try:
        found = read_answer(message, question)
    except FastsocksError:
        return
    if len(found.addresses) > MOST_ADDRESSES or not 0 <= (found.ttl or 0) < 1 << 31:
        raise DifferenceError(f"out of bounds: {found}")
    if any(ip_address(text).version != version for text in found.addresses):
        raise DifferenceError(f"of another family: {found}")
    try:
        records = DNSRecord.parse(message).rr
    except (DNSError, ValueError, IndexError):
        return
    if any(one.rtype not in {A, AAAA} for one in records):
        # It goes on behind a name in a record, and not behind the record.
        return
    theirs = {ip_address(str(one.rdata)) for one in records if one.rtype == question[-3]}
    if not {ip_address(text) for text in found.addresses} <= theirs:
        raise DifferenceError(f"{found.addresses} of {theirs}")
