"""The server's side of SOCKS4 and SOCKS4a; bytes in, a request and bytes out.

Neither has an RFC: they are what Ying-Da Lee's "SOCKS: A protocol for TCP proxy across
firewalls" and its extension "SOCKS 4A" describe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastsocks.address import Address
from fastsocks.errors import (
    AddressError,
    AuthenticationError,
    CommandError,
    ProtocolError,
    VersionError,
)
from fastsocks.request import BIND, CONNECT, Request

if TYPE_CHECKING:
    from collections.abc import Collection

    from fastsocks.buffer import Buffer
    from fastsocks.errors import FastsocksError

#: CD of a reply. What 0x5C and 0x5D tell of an identd does not happen here.
GRANTED: Final = 0x5A
REJECTED: Final = 0x5B

#: Longest USERID, and longest name, in bytes; neither comes with a length.
LONGEST_TEXT: Final = 255

_VERSION = 0x04
_HEADER_SIZE = 8


class Socks4Server:
    """One accepted connection of a SOCKS4 or SOCKS4a server, up to its request.

    It is used as :class:`.server.SocksServer` is. USERID is read and not looked at: nobody
    vouches for it. What is kept between two reads is one incomplete request, 520 bytes at most.

    :param authenticated: whether clients have to log in, which SOCKS4 has no way for: then all
        are rejected.
    :param commands: what is offered here, of CONNECT and BIND.
    """

    __slots__ = ("_authenticated", "_commands", "_ended", "_kept", "_owed")

    #: What follows the handshake is plain bytes.
    codec: None = None
    #: A client is told that it is rejected.
    silent = False
    #: It waits for nobody but its client.
    pending: None = None
    #: It lets nobody log in.
    user: None = None

    def __init__(
        self, *, authenticated: bool = False, commands: Collection[int] = (CONNECT,)
    ) -> None:
        self._authenticated = authenticated
        self._commands = commands
        self._kept = b""
        self._ended = False
        # How many replies are due.
        self._owed = 0

    def receive(self, data: Buffer) -> Request | None:
        """Take in what the client sent, cut anywhere.

        :param data: 1 byte or more; not referred to afterwards.
        :return: the request once it is complete, with what followed it as early data;
            until then None. Nothing can be received after it.
        :raises VersionError: not SOCKS4.
        :raises AddressError: 0.0.0.0 to connect to, or a name that is empty.
        :raises CommandError: the command is not offered here.
        :raises AuthenticationError: clients have to log in.
        :raises ProtocolError: USERID or the name is too long. (All are ProtocolErrors.)
        """
        if self._ended:
            raise RuntimeError("this handshake has ended")
        data = self._kept + data
        try:
            found = read_request(data)
            if found is None:
                self._kept = data
                return None
            command, address, end = found
            if self._authenticated:
                raise AuthenticationError("SOCKS4 has no passwords, and this service asks for one")
            if command not in (CONNECT, BIND) or command not in self._commands:
                raise CommandError(f"SOCKS4 command {command:#04x} is not offered")
        except ProtocolError as error:
            self._ended = True
            self._owed = int(not isinstance(error, VersionError))
            raise
        self._ended = True
        self._owed = 2 if command == BIND else 1
        self._kept = b""
        return Request(address, data[end:], None, command, short_reply=command == BIND)

    def take_outgoing(self) -> bytes:
        """Return nothing: a server of SOCKS4 only answers requests."""
        return b""

    def connected(self, bound: Address | None) -> bytes:
        """Return what to send to the client once the dial stands.

        Of the two replies to a BIND the first is due once we listen, the second, or what
        :meth:`failed` returns, once the peer has connected.

        :param bound: the local address of the connection to the target; of a BIND where we
            listen, then the address of the peer. Sent as 0.0.0.0:0 where it is not known or not
            of IPv4.
        """
        if not self._owed:
            raise RuntimeError("there is no request to answer")
        self._owed -= 1
        return build_reply(GRANTED, bound)

    def failed(self, error: FastsocksError) -> bytes:
        """Return what to send to the client before closing because of `error`.

        Amid the request (timeout, end of stream), after an answer and to a peer that does not
        speak SOCKS4 that is nothing.
        """
        owed, self._owed = self._owed, 0
        self._ended = True
        return build_reply(REJECTED) if owed else b""


def read_request(data: bytes) -> tuple[int, Address, int] | None:
    """Read VN CD DSTPORT DSTIP USERID NUL, in 4a with a name and NUL behind it.

    :return: CD, the address, and the offset behind the request; None while it is incomplete.
    :raises VersionError: VN is not 4.
    :raises AddressError: DSTIP is 0.0.0.0 and CD not that of BIND, or the name is empty.
    :raises ProtocolError: USERID or the name has more than 255 bytes.
    """
    if data and data[0] != _VERSION:
        raise VersionError(f"version {data[0]:#04x} instead of {_VERSION:#04x}")
    if len(data) < _HEADER_SIZE:
        return None
    end = _end_of_text(data, _HEADER_SIZE, "user id")
    if end is None:
        return None
    command, port, ip = data[1], data[2:4], data[4:8]
    if any(ip[:3]) or not ip[3]:
        # As a peer it stands for anybody, as in SOCKS5.
        if not any(ip) and command != BIND:
            raise AddressError("SOCKS4 names 0.0.0.0, which is no target")
        return command, Address(b"\x01" + ip + port), end
    start, end = end, _end_of_text(data, end, "host name")
    if end is None:
        return None
    name = data[start : end - 1].decode("utf-8", "surrogateescape")
    return command, Address.of(name, int.from_bytes(port, "big")), end


def build_reply(code: int, bound: Address | None = None) -> bytes:
    """Build VN CD DSTPORT DSTIP, 8 bytes; VN is 0.

    :param code: CD, 0x5A..0x5D.
    :param bound: the address to report; what is not of IPv4 is reported as 0.0.0.0:0.
    """
    if bound is None or len(bound.wire) != 7:
        return bytes((0, code)) + bytes(6)
    return bytes((0, code)) + bound.wire[5:] + bound.wire[1:5]


def _end_of_text(data: bytes, start: int, what: str) -> int | None:
    end = data.find(0, start, start + LONGEST_TEXT + 1)
    if end >= 0:
        return end + 1
    if len(data) > start + LONGEST_TEXT:
        raise ProtocolError(f"SOCKS4: a {what} of more than {LONGEST_TEXT} bytes")
    return None
