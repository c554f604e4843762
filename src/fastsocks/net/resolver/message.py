"""DNS messages: questions as they are sent, answers as they are read (RFC 1035).

Sans IO. Of an answer nothing is taken that does not belong to the question: its section of
questions has to be the one that was sent, and addresses count only where a chain of at most
:data:`LONGEST_CHAIN` aliases leads to them.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from fastsocks.errors import ProtocolError

#: TYPE of a record (RFC 1035 section 3.2.2, RFC 3596).
A = 1
CNAME = 5
SOA = 6
AAAA = 28

#: RCODE of an answer (RFC 1035 section 4.1.1).
NO_ERROR = 0
FORMAT_ERROR = 1
NAME_ERROR = 3

#: Bytes of an answer that a name server may send over UDP: what fits into every packet on the way
#: (the choice of the DNS flag day 2020).
EDNS_SIZE = 1232

#: Aliases that may follow one another; BIND and unbound stop at 11 and 12.
LONGEST_CHAIN = 16

#: Addresses that are taken of one answer, and records that are looked at.
MOST_ADDRESSES = 32
_MOST_RECORDS = 256

_INTERNET = b"\0\1"
_HEADER = struct.Struct(">2s5H")
_RECORD = struct.Struct(">2s2sIH")
#: An OPT record (RFC 6891 section 6.1.2).
_EDNS = b"\0\0\x29" + struct.pack(">HIH", EDNS_SIZE, 0, 0)
#: To where a question's name is pointed.
_POINTER_TO_QUESTION = 0xC00C

_RESPONSE, _TRUNCATED, _RECURSION_DESIRED = 0x8000, 0x0200, 0x0100
_OPCODE, _RCODE = 0x7800, 0x000F

_TYPES = {kind: struct.pack(">H", kind) for kind in (A, AAAA, CNAME, SOA)}


class MessageError(ProtocolError):
    """An answer that is malformed, or belongs to another question."""

    status = "dns"


class Answer(NamedTuple):
    """What a name server says to one question."""

    rcode: int
    #: There is more, to be asked for over TCP.
    truncated: bool
    #: IP addresses as text.
    addresses: tuple[str, ...]
    #: Seconds for which it may be kept; None where a name server does not say for how long there
    #: is no such name, or no address.
    ttl: int | None


def encode_name(name: bytes) -> bytes:
    """Return a name as messages carry it.

    :param name: labels of 1..63 bytes with dots between them, 253 in all at most.
    :raises ValueError: it is none.
    """
    labels = name.split(b".")
    if len(name) > 253 or not all(0 < len(label) < 64 for label in labels):
        raise ValueError("no name: it has labels of 1..63 letters, 253 in all at most")
    return b"".join([bytes((len(label),)) + label for label in labels]) + b"\0"


def make_question(name: bytes, kind: int) -> bytes:
    """Return the section of a message that asks for the addresses of a name.

    :param name: as :func:`encode_name` has it.
    :param kind: A or AAAA.
    """
    return name + _TYPES[kind] + _INTERNET


def make_query(ident: bytes, question: bytes, *, edns: bool = True) -> bytes:
    """Return a message that asks a question.

    :param ident: two random bytes, by which its answer is known.
    :param edns: let answers be as long as :data:`EDNS_SIZE` (RFC 6891); 512 bytes otherwise.
    """
    head = _HEADER.pack(ident, _RECURSION_DESIRED, 1, 0, 0, 1 if edns else 0)
    return head + question + (_EDNS if edns else b"")


def read_answer(data: bytes, question: bytes) -> Answer:
    """Take apart what a name server sent.

    :param question: what it was asked; its kind is that of the addresses which are taken.
    :raises MessageError: that is no answer to the question.
    """
    try:
        return _read_answer(data, question)
    except (IndexError, struct.error) as cause:
        raise MessageError("a message that ends too early") from cause


def _read_answer(data: bytes, question: bytes) -> Answer:
    _, flags, questions, answers, authorities, _ = _HEADER.unpack_from(data)
    if not flags & _RESPONSE or flags & _OPCODE:
        raise MessageError("no answer to a question")
    rcode = flags & _RCODE
    at = _HEADER.size + len(question)
    if rcode == FORMAT_ERROR and not questions:
        return Answer(rcode, truncated=False, addresses=(), ttl=None)
    if questions != 1 or data[_HEADER.size : at].lower() != question.lower():
        raise MessageError("the answer to another question")
    if flags & _TRUNCATED or rcode not in {NO_ERROR, NAME_ERROR}:
        return Answer(rcode, bool(flags & _TRUNCATED), addresses=(), ttl=None)
    records = _Records(data, at, question)
    if rcode == NO_ERROR and answers:
        addresses, ttl = records.addresses(answers)
        if addresses:
            return Answer(rcode, truncated=False, addresses=addresses, ttl=ttl)
    else:
        records.skip(answers)
    return Answer(rcode, truncated=False, addresses=(), ttl=records.negative_ttl(authorities))


class _Records:
    """The records of a message, read from the first to the last.

    :param at: where they begin.
    """

    def __init__(self, data: bytes, at: int, question: bytes) -> None:
        self._data = data
        self._at = at
        self._name = question[:-4].lower()
        self._kind = question[-4:-2]

    def addresses(self, count: int) -> tuple[tuple[str, ...], int]:
        """Read the answers, and return the addresses that the name leads to, and their TTL."""
        found: dict[bytes, list[tuple[bytes, int]]] = {}
        aliases: dict[bytes, tuple[bytes, int]] = {}
        size = 4 if self._kind == _TYPES[A] else 16
        for _ in range(min(count, _MOST_RECORDS)):
            owner, kind, ttl, start, end = self._next()
            if kind == self._kind:
                if end - start != size:
                    raise MessageError("an address of another length")
                found.setdefault(owner, []).append((self._data[start:end], ttl))
            elif kind == _TYPES[CNAME]:
                aliases[owner] = _read_name(self._data, start)[0], ttl
        name, times = self._name, list[int]()
        for _ in range(LONGEST_CHAIN + 1):
            alias = aliases.get(name)
            if alias is None or name in found:
                break
            name, ttl = alias
            times.append(ttl)
        else:
            raise MessageError(f"more than {LONGEST_CHAIN} aliases, or aliases in a circle")
        own = found.get(name, [])[:MOST_ADDRESSES]
        family = socket.AF_INET if size == 4 else socket.AF_INET6
        texts = dict.fromkeys(socket.inet_ntop(family, address) for address, _ in own)
        return tuple(texts), min([*times, *(ttl for _, ttl in own)], default=0)

    def skip(self, count: int) -> None:
        """Pass over records."""
        for _ in range(min(count, _MOST_RECORDS)):
            self._next()

    def negative_ttl(self, count: int) -> int | None:
        """Return for how long the authority says that there is nothing (RFC 2308 section 5)."""
        for _ in range(min(count, _MOST_RECORDS)):
            _, kind, ttl, _, end = self._next()
            if kind == _TYPES[SOA]:
                (minimum,) = struct.unpack_from(">I", self._data, end - 4)
                return min(ttl, _seconds(minimum))
        return None

    def _next(self) -> tuple[bytes, bytes, int, int, int]:
        """Return owner, type and TTL of the next record, and where its data begin and end."""
        data, at = self._data, self._at
        if data[at] << 8 | data[at + 1] == _POINTER_TO_QUESTION:
            owner, at = self._name, at + 2
        else:
            owner, at = _read_name(data, at)
        kind, family, ttl, length = _RECORD.unpack_from(data, at)
        start = at + _RECORD.size
        self._at = end = start + length
        if end > len(data):
            raise MessageError("a message that ends too early")
        return owner, kind if family == _INTERNET else b"", _seconds(ttl), start, end


def _seconds(ttl: int) -> int:
    """Return a TTL; one that is out of range counts as 0 (RFC 2181 section 8)."""
    return ttl if ttl < 0x80000000 else 0


def _read_name(data: bytes, at: int) -> tuple[bytes, int]:
    """Return a name as :func:`encode_name` has it, in lower case, and where it ends.

    Pointers have to lead back, so that there is an end to them.
    """
    labels: list[bytes] = []
    size, after, lowest = 1, 0, at
    while length := data[at]:
        if length < 64:
            size += length + 1
            if size > 255:
                raise MessageError("a name of more than 255 bytes")
            labels.append(data[at : at + length + 1])
            at += length + 1
            continue
        if length < 0xC0:
            raise MessageError("a label of an unknown kind")
        after = after or at + 2
        at = (length & 0x3F) << 8 | data[at + 1]
        if at >= lowest:
            raise MessageError("a pointer that does not lead back")
        lowest = at
    return b"".join(labels).lower() + b"\0", after or at + 1
