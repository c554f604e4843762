"""The listening sockets of a service, for one process or for several."""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, NamedTuple

from fastsocks.errors import ListenError
from fastsocks.net import adopt, listen, listen_datagrams, listen_together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastsocks.config import Options

_ATTEMPTS_AT_ONE_PORT = 16

_log = logging.getLogger("fastsocks")


class Listening(NamedTuple):
    """The sockets of one process."""

    #: Of TCP, listening.
    streams: list[socket.socket]
    #: Of UDP.
    datagrams: list[socket.socket]

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each, in the order of the options."""
        return [sock.getsockname()[:2] for sock in self.streams or self.datagrams]

    def close(self) -> None:
        """Close them."""
        for sock in (*self.streams, *self.datagrams):
            sock.close()


def bind(options: Options, *, datagrams: bool) -> Listening:
    """Open the sockets of a service.

    :param datagrams: whether UDP is served at the addresses of TCP.
    :raises ListenError: an address cannot be had.
    """
    host, port, reuse = tuple(options.addresses), options.port, options.reuse_port
    missing = _of_no_matter if options.listens_by_default else _tell
    if datagrams and options.relays_udp:
        if not options.relays_tcp:
            return Listening([], listen_datagrams(host, port, reuse_port=reuse, missing=missing))
        return Listening(
            *listen_together(
                host, port, reuse_port=reuse, fast_open=options.fast_open, missing=missing
            )
        )
    return Listening(
        listen(host, port, reuse_port=reuse, fast_open=options.fast_open, missing=missing), []
    )


def _tell(error: ListenError) -> None:
    _log.warning("%s; it listens at its other addresses only", error)


def _of_no_matter(_: ListenError) -> None:
    """Say nothing of what a host need not have."""


def bind_for_workers(options: Options, workers: int, *, datagrams: bool) -> list[Listening]:
    """Open sockets for each of several processes, at the same addresses.

    The kernel shares TCP connections out among them (SO_REUSEPORT). Those of UDP are the first
    one's alone, since what is known of a session is in one process.

    :param workers: how many processes.
    :raises ListenError: as for :func:`bind`.
    """
    attempts = 1 if options.port else _ATTEMPTS_AT_ONE_PORT
    while True:
        attempts -= 1
        # Not shared, so that an address which others have is found out; it also chooses the port.
        found = [bind(options, datagrams=datagrams)]
        if workers == 1 or not found[0].streams:
            return found + [Listening([], []) for _ in range(1, workers)]
        hosts = tuple(sock.getsockname()[0] for sock in found[0].streams)
        port = found[0].addresses[0][1]
        for sock in found[0].streams:
            sock.close()
        found[0].streams.clear()
        try:
            for number in range(workers):
                streams = listen(hosts, port, reuse_port=True, fast_open=options.fast_open)
                if number:
                    found.append(Listening(streams, []))
                else:
                    found[0].streams.extend(streams)
        except BaseException as error:
            for one in found:
                one.close()
            # Between the two somebody else may have got the port that the kernel chose.
            taken = isinstance(error, ListenError) and error.errno == errno.EADDRINUSE
            if not taken or attempts == 0:
                raise
        else:
            return found


def take_over(
    sockets: Sequence[socket.socket], options: Options, workers: int, *, datagrams: bool
) -> list[Listening]:
    """Share out sockets that somebody else has opened, wherever the options would listen.

    TCP connections are for whichever process is there first; UDP is the first process's alone.

    :param sockets: listening ones of TCP, bound ones of UDP, this function's from now on.
    :param workers: how many processes.
    :param datagrams: as for :func:`bind`.
    :raises ListenError: one is of no use, or one is missing.
    """
    for sock in sockets:
        adopt(sock, fast_open=options.fast_open)
    streams = [sock for sock in sockets if sock.type == socket.SOCK_STREAM]
    packets = [sock for sock in sockets if sock.type == socket.SOCK_DGRAM]
    _check(streams, options.relays_tcp or not datagrams, "TCP", "ListenStream")
    _check(packets, options.relays_udp and datagrams, "UDP", "ListenDatagram")
    copies = ([sock.dup() for sock in streams] for _ in range(1, workers))
    return [Listening(streams, packets), *(Listening(copy, []) for copy in copies)]


def _check(found: Sequence[socket.socket], wanted: bool, kind: str, setting: str) -> None:
    if wanted and not found:
        raise ListenError(
            f"no {kind} socket was passed: add {setting}= to the socket unit, or change `mode`"
        )
    if found and not wanted:
        raise ListenError(
            f"a {kind} socket was passed that this service has no use for: remove {setting}= from "
            "the socket unit"
        )
