"""GSSAPI for SOCKS5 (RFC 1961): negotiation of both sides, and what is protected afterwards.

What belongs to the security mechanism is behind :class:`SecurityContext`; here are the
messages around its tokens.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

from fastsocks.errors import ContextError, ProtectionError

from .gssapi_messages import (
    CONTEXT,
    ENCAPSULATED,
    LONGEST_TOKEN,
    PROTECTION,
    build_message,
    read_message,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from fastsocks.buffer import Buffer

#: Messages of a negotiation that one side may send. Kerberos needs one, other mechanisms few.
_MOST_STEPS: Final = 8


class Protection(IntEnum):
    """What becomes of each message once the negotiation is over (RFC 1961 section 4.1)."""

    #: Not of the RFC, but all that curl can do.
    NONE = 0
    INTEGRITY = 1
    #: And integrity.
    CONFIDENTIALITY = 2


class SecurityContext(Protocol):
    """One side of a GSSAPI security context (RFC 2743 section 2.2)."""

    @property
    def complete(self) -> bool:
        """Whether it is established."""

    @property
    def principal(self) -> str:
        """Who established it; once it is complete."""

    async def step(self, token: bytes) -> bytes:
        """Take in a token, and return the one to send, which may be empty.

        It may have to wait: for files on the accepting side, for the KDC on the other.

        :param token: 0..65535 bytes; empty at the initiator's start.
        :raises ContextError: the context cannot be established.
        """

    def wrap(self, message: Buffer, *, confidential: bool) -> bytes:
        """Protect a message; :meth:`size_limit` says how long it may be.

        :raises ProtectionError: the context has ended, or cannot do that.
        """

    def unwrap(self, token: bytes) -> tuple[bytes, bool]:
        """Return a message of the other side, and whether it was confidential.

        :raises ProtectionError: it was changed or sent before, or the context has ended.
        """

    def size_limit(self, size: int, *, confidential: bool) -> int:
        """Return how many bytes a message may have whose token has at most `size` bytes."""


class ProtectedStream:
    """Both directions of a connection in protected messages (RFC 1961 section 5).

    A relay takes it as a codec. What is kept between two reads is an incomplete message,
    less than 65539 bytes.

    :param context: an established one.
    :param protection: as negotiated, not NONE. A message that is less protected is refused.
    """

    __slots__ = ("_confidential", "_context", "_kept", "_limit")

    #: The wire is not the plaintext.
    transparent = False

    def __init__(self, context: SecurityContext, protection: Protection) -> None:
        self._context = context
        self._confidential = protection is Protection.CONFIDENTIALITY
        self._limit = context.size_limit(LONGEST_TOKEN, confidential=self._confidential)
        if self._limit < 1:
            raise ProtectionError("the GSSAPI mechanism leaves a message no room")
        self._kept = bytearray()

    @property
    def incomplete(self) -> bool:
        """Whether an end of the stream now would cut a message."""
        return bool(self._kept)

    def seal(self, plaintext: Buffer) -> bytes:
        """Turn `plaintext`, of any size, into the messages that carry it.

        :raises ProtectionError: the context has ended.
        """
        view = memoryview(plaintext)
        return b"".join(
            build_message(
                ENCAPSULATED,
                self._context.wrap(
                    view[start : start + self._limit], confidential=self._confidential
                ),
            )
            for start in range(0, len(view), self._limit)
        )

    def open(self, ciphertext: Buffer) -> bytes:
        """Return what the complete messages carry; keep an incomplete one.

        :raises ProtectionError: a message was changed or sent before, or is less protected
            than was agreed.
        :raises ProtocolError: anything but such messages.
        """
        self._kept += ciphertext
        messages = []
        position = 0
        while (found := read_message(self._kept, ENCAPSULATED, position)) is not None:
            token, position = found
            message, confidential = self._context.unwrap(token)
            if self._confidential and not confidential:
                raise ProtectionError("a message that is not confidential, as was agreed")
            messages.append(message)
        del self._kept[:position]
        return b"".join(messages)


class _Negotiation:
    """What both sides have in common."""

    __slots__ = ("_context", "_due", "_kept", "_levels", "_steps", "done", "protection")

    def __init__(self, context: SecurityContext, levels: Collection[Protection]) -> None:
        self._context = context
        self._levels = frozenset(levels)
        self._due = CONTEXT
        self._steps = 0
        self._kept = bytearray()
        #: Whether both sides have agreed on :attr:`protection`.
        self.done = False
        self.protection = Protection.NONE

    @property
    def principal(self) -> str:
        """Who established the context."""
        return self._context.principal

    def receive(self, data: Buffer) -> None:
        """Take in what the other side sent, cut anywhere; it is kept for :meth:`take_token`."""
        self._kept += data

    def take_token(self) -> bytes | None:
        """Return the token of the next message for :meth:`step`; None while it is incomplete.

        :raises ProtocolError: it is not the message that is due.
        """
        found = read_message(self._kept, self._due)
        if found is None:
            return None
        token, end = found
        del self._kept[:end]
        return token

    def take_rest(self) -> bytes:
        """Return what the other side sent behind its last message, and forget it."""
        rest = bytes(self._kept)
        self._kept = bytearray()
        return rest

    def open_stream(self) -> ProtectedStream | None:
        """Return what protects all that follows; None where nothing does."""
        if self.protection is Protection.NONE:
            return None
        return ProtectedStream(self._context, self.protection)

    async def _step(self, token: bytes) -> bytes:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise ContextError(f"no GSSAPI context after {_MOST_STEPS} messages")
        return await self._context.step(token)

    def _read_level(self, token: bytes) -> int:
        octet, _ = self._context.unwrap(token)
        if len(octet) != 1:
            raise ProtectionError(f"a protection level of {len(octet)} bytes")
        return octet[0]

    def _build_level(self, level: Protection) -> bytes:
        octet = bytes((level,))
        return build_message(PROTECTION, self._context.wrap(octet, confidential=False))


class ServerNegotiation(_Negotiation):
    """The accepting side: a context for the client, then a level of protection.

    Hand what the client sends to :meth:`receive`, and the tokens that :meth:`take_token` then
    returns to :meth:`step`, until :attr:`done`; :meth:`take_rest` has what came behind.

    A level that is not in `levels` is answered by the strongest that is: the client may agree, or
    close. None of them for a client that wants no protection, which is refused.

    :param context: a new one, for this client.
    :param levels: what may be agreed on, one at least.
    """

    __slots__ = ()

    async def step(self, token: bytes) -> bytes:
        """Go on by one message of the client, and return the one that answers it.

        :raises ContextError: the context cannot be established.
        :raises ProtectionError: no level can be agreed on, or the message was changed.
        """
        if self._due == CONTEXT:
            answer = await self._step(token)
            if self._context.complete:
                self._due = PROTECTION
            # An empty one too: the client waits for it.
            return build_message(CONTEXT, answer)
        wanted = self._read_level(token)
        if wanted in self._levels:
            self.protection = Protection(wanted)
        elif wanted == Protection.NONE:
            raise ProtectionError("the client wants no protection of its messages")
        else:
            self.protection = max(self._levels)
        self.done = True
        return self._build_level(self.protection)


class ClientNegotiation(_Negotiation):
    """The initiating side; see :class:`ServerNegotiation`. It starts with an empty token.

    :param context: a new one, for this server.
    :param levels: what may be agreed on, one at least; the strongest is proposed.
    """

    __slots__ = ()

    async def step(self, token: bytes) -> bytes:
        """Go on by one message of the server, and return what answers it, possibly nothing.

        :raises ContextError: the context cannot be established; there is no ticket, say.
        :raises ProtectionError: the server wants another level, or the message was changed.
        """
        if self._due == PROTECTION:
            level = self._read_level(token)
            if level not in self._levels:
                raise ProtectionError(f"the server wants protection level {level}")
            self.protection = Protection(level)
            self.done = True
            return b""
        # The server's last message is empty where the mechanism needs nothing more of it.
        if token or not self._context.complete:
            answer = await self._step(token)
            if answer or not self._context.complete:
                return build_message(CONTEXT, answer)
        self._due = PROTECTION
        return self._build_level(max(self._levels))
