"""A name server whose answers a test decides, over UDP and TCP; no code of the package."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from dnslib import AAAA, CNAME, QTYPE, RCODE, RR, SOA, A, DNSRecord

from .deadline import DEADLINE
from .listener import free_port

#: A name's answer that never comes.
SILENT = "silent"


@dataclass
class Answer:
    """What is answered for a name, whatever kind of address is asked for."""

    #: IPv4 and IPv6 addresses; each question gets those of its kind.
    addresses: tuple[str, ...] = ()
    #: Seconds.
    ttl: int = 60
    #: NOERROR, NXDOMAIN, SERVFAIL, ...
    rcode: str = "NOERROR"
    #: Names that lead from the one that is asked for to the one that has the addresses.
    aliases: tuple[str, ...] = ()
    #: Seconds for which it is known that there is nothing; None says nothing of that.
    negative_ttl: int | None = None
    #: Kinds of question that are not answered: A, AAAA.
    silent: tuple[str, ...] = ()
    #: Over UDP only that there is more.
    truncated: bool = False
    #: Changes what is sent; gives several datagrams to send in its place.
    mangle: Callable[[bytes], list[bytes]] | None = field(default=None, repr=False)

    def reply(self, query: DNSRecord, *, over_tcp: bool) -> bytes:
        """Return the message that answers a query."""
        reply = query.reply()
        reply.header.rcode = getattr(RCODE, self.rcode)
        name, kind = query.q.qname, QTYPE[query.q.qtype]
        if self.truncated and not over_tcp:
            reply.header.tc = 1
            return bytes(reply.pack())
        for alias in self.aliases:
            reply.add_answer(RR(name, QTYPE.CNAME, ttl=self.ttl, rdata=CNAME(alias)))
            name = alias
        own = [one for one in self.addresses if (":" in one) == (kind == "AAAA")]
        for address in own:
            rdata = AAAA(address) if kind == "AAAA" else A(address)
            reply.add_answer(RR(name, query.q.qtype, ttl=self.ttl, rdata=rdata))
        if not own and self.negative_ttl is not None:
            times = (1, 2, 3, 4, self.negative_ttl)
            reply.add_auth(RR("test", QTYPE.SOA, ttl=86400, rdata=SOA("ns.test", "a.test", times)))
        return bytes(reply.pack())


@dataclass
class Question:
    """What was asked."""

    name: str
    kind: str
    ident: int
    source_port: int
    over_tcp: bool


class NameServer:
    """Answers from a thread, at a port of 127.0.0.1.

    :param answers: by name, in lower case and without a final dot: an :class:`Answer`, addresses
        with blanks between them, or :data:`SILENT`. A name that is not there does not exist.
    """

    def __init__(self, answers: Mapping[str, Answer | str] | None = None) -> None:
        self.answers: dict[str, Answer | str] = dict(answers or {})
        #: All that was asked so far.
        self.questions: list[Question] = []
        self._held: list[tuple[bytes, tuple[str, int]]] | None = None
        self._asked = threading.Condition()
        port = free_port()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._udp.bind(("127.0.0.1", port))
        self._tcp = socket.create_server(("127.0.0.1", port))
        #: As the option ``resolver`` takes it.
        self.address = f"127.0.0.1:{port}"
        self._threads = [
            threading.Thread(target=run, daemon=True) for run in (self._serve_udp, self._serve_tcp)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def names(self) -> list[str]:
        """The names asked for, each time that one was, by the questions for IPv4 addresses."""
        return [one.name for one in self.questions if one.kind == "A"]

    def wait_for(self, count: int) -> None:
        """Wait until so many questions for IPv4 addresses have come."""
        with self._asked:
            if not self._asked.wait_for(lambda: len(self.names) >= count, DEADLINE):
                raise TimeoutError(f"{self.names} were asked for, not {count} names")

    def hold(self) -> None:
        """Hold back what is answered over UDP, until :meth:`release`."""
        with self._asked:
            self._held = []

    def release(self) -> None:
        """Answer what waits, and at once from now on."""
        with self._asked:
            held, self._held = self._held or [], None
        for reply, source in held:
            self._udp.sendto(reply, source)

    def close(self) -> None:
        """Stop, and close the sockets."""
        # Both wake their threads up.
        self._tcp.shutdown(socket.SHUT_RDWR)
        self._wake()
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _wake(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self._udp.getsockname())

    def _serve_udp(self) -> None:
        while True:
            data, source = self._udp.recvfrom(0x10000)
            if not data:
                return
            for reply in self._replies(data, source[1], over_tcp=False):
                with self._asked:
                    if self._held is not None:
                        self._held.append((reply, source))
                        continue
                self._udp.sendto(reply, source)

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, source = self._tcp.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(DEADLINE)
                (size,) = struct.unpack(">H", connection.recv(2, socket.MSG_WAITALL))
                data = connection.recv(size, socket.MSG_WAITALL)
                for reply in self._replies(data, source[1], over_tcp=True):
                    connection.sendall(struct.pack(">H", len(reply)) + reply)

    def _replies(self, data: bytes, port: int, *, over_tcp: bool) -> list[bytes]:
        query = DNSRecord.parse(data)
        name, kind = str(query.q.qname).rstrip(".").lower(), QTYPE[query.q.qtype]
        with self._asked:
            self.questions.append(Question(name, kind, query.header.id, port, over_tcp))
            self._asked.notify_all()
        answer = self.answers.get(name, Answer(rcode="NXDOMAIN"))
        if answer == SILENT:
            return []
        if isinstance(answer, str):
            answer = Answer(tuple(answer.split()))
        if kind in answer.silent:
            return []
        reply = answer.reply(query, over_tcp=over_tcp)
        return [reply] if answer.mangle is None else answer.mangle(reply)
