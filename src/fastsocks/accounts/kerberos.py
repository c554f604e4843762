"""Security contexts of Kerberos for SOCKS5, by the ``gssapi`` package.

The package is the extra ``fastsocks[gssapi]``; it is imported only where GSSAPI is configured.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any, Final

from fastsocks.errors import ConfigError, ContextError, ProtectionError
from fastsocks.socks.gssapi import ClientNegotiation, Protection, ServerNegotiation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import gssapi

    from fastsocks.buffer import Buffer

_REMEDY: Final = (
    "pip install 'fastsocks[gssapi]', which needs a C compiler and MIT Kerberos "
    "(Debian: gcc python3-dev libkrb5-dev)"
)

#: Status bits that go with a message that was received before, or out of order (RFC 2744).
_SUPPLEMENTARY: Final = 0xFFFF

#: In characters.
_LONGEST_REASON: Final = 200


def kerberos_server(
    keytab: str = "", protection: Iterable[str] = ("integrity", "confidentiality")
) -> Callable[[], ServerNegotiation]:
    """Prepare to let clients in, and return what begins the negotiation with one.

    :param keytab: file of the service's keys; "" is the default of the system
        (``KRB5_KTNAME``, else ``/etc/krb5.keytab``). Clients may ask for any principal in it.
    :param protection: names of the levels that a client may have.
    :raises ConfigError: the package is missing, or there is no such keytab.
    """
    gssapi = _import_gssapi()
    levels = tuple(Protection[name.upper()] for name in protection)
    try:
        credentials = gssapi.Credentials(
            usage="accept",
            mechs=[gssapi.MechType.kerberos],
            # Not by KRB5_KTNAME, which belongs to the process.
            store={"keytab": f"FILE:{keytab}"} if keytab else None,
        )
    except gssapi.exceptions.GSSError as error:
        where = keytab or "the system's keytab"
        raise ConfigError(f"gssapi_keytab: {where}: {_reason(error)}") from error

    def begin() -> ServerNegotiation:
        context = gssapi.SecurityContext(creds=credentials, usage="accept")
        return ServerNegotiation(KerberosContext(context), levels)

    return begin


def kerberos_client(
    service: str,
    host: str,
    protection: Iterable[str] = ("integrity", "confidentiality"),
    ccache: str = "",
) -> ClientNegotiation:
    """Begin the negotiation with a server, for :class:`fastsocks.socks.SocksClient`.

    :param service: the first part of the server's principal, such as ``rcmd``.
    :param host: the host in its other part.
    :param protection: names of the levels that will do; the strongest is proposed.
    :param ccache: where the tickets are; "" is the default of the system.
    :raises ConfigError: the package is missing.
    :raises ContextError: there are no tickets.
    """
    gssapi = _import_gssapi()
    levels = tuple(Protection[name.upper()] for name in protection)
    store = {"ccache": ccache} if ccache else None
    flag = gssapi.RequirementFlag
    flags = (
        flag.mutual_authentication
        | flag.replay_detection
        | flag.out_of_sequence_detection
        | flag.integrity
        | flag.confidentiality
    )
    try:
        context = gssapi.SecurityContext(
            name=gssapi.Name(f"{service}@{host}", gssapi.NameType.hostbased_service),
            creds=gssapi.Credentials(usage="initiate", store=store),
            mech=gssapi.MechType.kerberos,
            flags=flags,
            usage="initiate",
        )
    except gssapi.exceptions.GSSError as error:
        raise ContextError(f"GSSAPI: {_reason(error)}") from error
    return ClientNegotiation(KerberosContext(context), levels)


class KerberosContext:
    """See :class:`fastsocks.socks.gssapi.SecurityContext`."""

    __slots__ = ("_context", "_failure")

    def __init__(self, context: gssapi.SecurityContext) -> None:
        self._context = context
        # Otherwise an error would show only when the context is used again.
        context.__DEFER_STEP_ERRORS__ = False
        self._failure = _import_gssapi().exceptions.GSSError

    @property
    def complete(self) -> bool:
        """Whether it is established."""
        return bool(self._context.complete)

    @property
    def principal(self) -> str:
        """Who established it, as ``NAME@REALM``."""
        return bytes(self._context.initiator_name).decode("utf-8", "surrogateescape")

    async def step(self, token: bytes) -> bytes:
        """Take in a token in a thread, and return the one to send.

        On the accepting side the replay cache, a file, is asked; on the other the KDC.

        :raises ContextError: the context cannot be established, or its initiator is
            anonymous or has a name that no log can hold.
        """
        try:
            answer = await asyncio.to_thread(self._context.step, token)
        except self._failure as error:
            raise ContextError(f"GSSAPI: {_reason(error)}") from error
        if self.complete and not self._context.locally_initiated:
            self._check_initiator()
        return answer or b""

    def wrap(self, message: Buffer, *, confidential: bool) -> bytes:
        """Protect a message.

        :raises ProtectionError: the context has ended, or cannot do that.
        """
        token: bytes
        try:
            token, encrypted = self._context.wrap(bytes(message), confidential)
        except self._failure as error:
            raise ProtectionError(f"GSSAPI: {_reason(error)}") from error
        if confidential and not encrypted:
            raise ProtectionError("GSSAPI: the context has no confidentiality")
        return token

    def unwrap(self, token: bytes) -> tuple[bytes, bool]:
        """Return a message of the other side, and whether it was confidential.

        :raises ProtectionError: it was changed or sent before, or the context has ended.
        """
        try:
            message, encrypted, _ = self._context.unwrap(token)
        except self._failure as error:
            raise ProtectionError(f"GSSAPI: {_reason(error)}") from error
        return message, encrypted

    def size_limit(self, size: int, *, confidential: bool) -> int:
        """Return how many bytes a message may have whose token has at most `size` bytes."""
        limit: int = self._context.get_wrap_size_limit(size, confidential)
        return limit

    def _check_initiator(self) -> None:
        if _import_gssapi().RequirementFlag.anonymity in self._context.actual_flags:
            raise ContextError("GSSAPI: the client is anonymous")
        if not self.principal.isprintable():
            raise ContextError("GSSAPI: the client's principal is not printable")


def _import_gssapi() -> Any:
    try:
        return importlib.import_module("gssapi")
    except ImportError as error:
        raise ConfigError(f"gssapi: the package gssapi is missing ({error}): {_REMEDY}") from error


def _reason(error: Any) -> str:
    """Return what a GSSError says, on one line; names from the client's token may be in it."""
    # What the mechanism says is more to the point, but knows nothing of repeated messages.
    code, is_major = error.min_code, False
    if not code or error.maj_code & _SUPPLEMENTARY:
        code, is_major = error.maj_code, True
    text = str(error.get_all_statuses(code, is_major)[0])
    if text == "Success":
        # What MIT Kerberos says of tokens that end too early.
        text = str(error.get_all_statuses(error.maj_code, True)[0])
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST_REASON])
