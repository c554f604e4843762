"""The exceptions of fastsocks.

Each carries a machine-readable ``status`` for logs and counters, and in
``reply`` the SOCKS5 reply code that tells a client of it (RFC 1928 section 6).

What the network does is also what asyncio calls it, so that programs written for it need
not know these: an :class:`OSError` with its ``errno``, a :class:`TimeoutError`, a
:class:`socket.gaierror`, a :class:`ConnectionError`. All can be pickled.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any


class FastsocksError(Exception):
    """Base of every error that fastsocks raises on purpose."""

    status = "error"
    reply = 0x01


class _NetworkError(FastsocksError, OSError):
    """What an OSError of ours has: a text of its own, and an errno that a pickle keeps."""

    #: What ``errno`` is where the cause does not tell.
    _errno: int | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.errno = self._errno
        self.strerror = message

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {**vars(self), "errno": self.errno}


class ConfigError(FastsocksError, ValueError):
    """An option is missing, malformed or contradicts another one."""

    status = "config"


class MethodError(ConfigError):
    """A method that does not exist, or that this libcrypto cannot do."""

    status = "method"


class ListenError(_NetworkError):
    """A listening socket cannot be had."""

    status = "listen"


class PolicyError(FastsocksError):
    """The rules of this service refuse the request."""

    status = "not-allowed"
    reply = 0x02


class LimitError(FastsocksError):
    """A client has as many connections as it may have; the log knows that by its cap."""

    status = "limit"
    reply = 0x02


class QuotaError(PolicyError):
    """Nothing is left of what a user may transfer."""

    status = "quota"


class HostNameError(PolicyError, ValueError):
    """What stands in the place of a host name is none, so that nothing can be decided on it."""

    status = "host-name"


class ProtocolError(FastsocksError):
    """The peer broke the protocol."""

    status = "protocol"


class VersionError(ProtocolError):
    """A version byte that belongs to another protocol."""

    status = "version"


class AddressError(ProtocolError, ValueError):
    """An address header or an address text that is not one."""

    status = "bad-address"


class AddressTypeError(AddressError):
    """ATYP is none of 1, 3 and 4, so the length of what follows is unknown."""

    status = "address-type"
    reply = 0x08


class CommandError(ProtocolError):
    """A SOCKS command that is unknown or not offered here."""

    status = "command"
    reply = 0x07


class AuthenticationError(ProtocolError):
    """A SOCKS client offered no acceptable method or wrong credentials."""

    status = "authentication"
    reply = 0x02


class BusyError(ProtocolError):
    """A login that could not be checked in time, right or wrong."""

    status = "busy"


class ContextError(AuthenticationError):
    """No GSSAPI context could be established with the other side."""

    status = "gssapi-context"


class ProtectionError(ProtocolError):
    """A GSSAPI message that was changed or repeated, or is not protected as it has to be."""

    status = "protection"


class ProxyHeaderError(ProtocolError):
    """A PROXY header that is missing, malformed or too long."""

    status = "proxy-header"


class TagError(ProtocolError):
    """An AEAD tag does not match: wrong key or method, tampering, or a probe."""

    status = "tag"


class HeaderError(ProtocolError):
    """A Shadowsocks header that opened but breaks the rules of its edition."""

    status = "header"


class TimestampError(HeaderError):
    """A 2022 header whose clock is more than 30 s away (SIP022)."""

    status = "timestamp"


class UserError(ProtocolError):
    """An identity header that names no user of this server (SIP023)."""

    status = "unknown-user"


class ReplayError(ProtocolError):
    """A salt or initialisation vector that was seen before."""

    status = "replay"


class TruncatedError(ProtocolError):
    """A stream or a packet ends inside a record or a header."""

    status = "truncated"


class HandshakeTimeoutError(ProtocolError, _NetworkError, TimeoutError):
    """The client did not finish its request in time."""

    status = "handshake-timeout"


class DialError(_NetworkError):
    """The target could not be reached."""

    status = "dial"


class RefusedError(DialError, ConnectionRefusedError):
    """The target refused the connection."""

    reply = 0x05
    _errno = errno.ECONNREFUSED


class DialTimeoutError(DialError, TimeoutError):
    """The target was not reached in time."""

    reply = 0x06
    _errno = errno.ETIMEDOUT


class ResolveError(DialError, socket.gaierror):
    """The target's name has no address."""

    status = "resolve"
    reply = 0x04
    _errno = socket.EAI_NONAME


class UpstreamError(DialError, ConnectionError):
    """A server on the way to the target is not there, or refuses; ``reply`` says why."""

    status = "upstream"
    _errno = errno.ECONNABORTED


class ReplyError(UpstreamError, ProtocolError):
    """A SOCKS server or HTTP proxy answered with a failure; ``reply`` holds its code."""

    status = "refused-by-proxy"

    def __init__(self, message: str, reply: int = 0x01) -> None:
        super().__init__(message)
        self.reply = reply
        self.errno = _ERRNO_OF_REPLY.get(reply, self._errno)


class ResetError(_NetworkError, ConnectionResetError):
    """One end of a relay broke off; so the other end was reset too."""

    status = "reset"
    _errno = errno.ECONNRESET


class BrokenError(_NetworkError, ConnectionAbortedError):
    """A connection through a server broke; ``__cause__`` says which rule the server broke."""

    status = "broken"
    _errno = errno.ECONNABORTED


class IdleTimeoutError(_NetworkError, TimeoutError):
    """A relay that was silent for longer than its limit."""

    status = "idle-timeout"


class StoppedError(FastsocksError):
    """The service was told to end its connections."""

    status = "stopped"


_REPLY_OF_ERRNO = {
    errno.EACCES: 0x02,
    errno.EPERM: 0x02,
    errno.ENETUNREACH: 0x03,
    errno.ENETDOWN: 0x03,
    errno.ENETRESET: 0x03,
    errno.EHOSTUNREACH: 0x04,
    errno.EHOSTDOWN: 0x04,
    errno.ECONNREFUSED: 0x05,
    errno.ECONNRESET: 0x05,
    errno.ETIMEDOUT: 0x06,
    errno.EAFNOSUPPORT: 0x08,
}


#: What a SOCKS reply says, as the kernel would have said it.
_ERRNO_OF_REPLY = {
    0x02: errno.EACCES,
    0x03: errno.ENETUNREACH,
    0x04: errno.EHOSTUNREACH,
    0x05: errno.ECONNREFUSED,
    0x06: errno.ETIMEDOUT,
    0x08: errno.EAFNOSUPPORT,
}


def dial_error(cause: OSError | TimeoutError) -> DialError:
    """Turn the reason why a dial failed into a :class:`DialError`.

    :param cause: what the kernel, the resolver or our connect timeout raised.
    :return: an error whose ``reply`` is the code for that reason and whose
        ``__cause__`` is `cause`. Failures to resolve give 4, timeouts 6.
    """
    error: DialError
    if isinstance(cause, socket.gaierror):
        error = ResolveError(cause.strerror or "the name does not resolve")
    elif isinstance(cause, TimeoutError) and cause.errno is None:
        error = DialTimeoutError("connect timed out")
    else:
        # asyncio puts words of its own in strerror.
        kind = _KIND_OF_ERRNO.get(cause.errno, DialError)
        error = kind(os.strerror(cause.errno) if cause.errno else str(cause))
        if cause.errno is not None:
            error.reply = _REPLY_OF_ERRNO.get(cause.errno, 0x01)
    if cause.errno is not None:
        error.errno = cause.errno
    error.__cause__ = cause
    return error


_KIND_OF_ERRNO: dict[int | None, type[DialError]] = {
    errno.ECONNREFUSED: RefusedError,
    errno.ETIMEDOUT: DialTimeoutError,
}
