"""The one form of a host name in pure Python; the twin of ``_host_name.pyx``."""

from __future__ import annotations

import re

from ._address import Address
from ._mapping import mapped

#: Names that are in their one form already: lower case, no A-label, and no number at the end.
_PLAIN = re.compile(r"(?=.{1,253}\Z)(?:(?!xn--)[a-z0-9_-]{1,63}\.)*(?!xn--)[a-z_-][a-z0-9_-]{0,62}")


def host_name(host: str) -> str:
    """Bring a host name into its one form: the one that is decided on, looked up and sent on.

    That is lower case, ASCII (letters beyond it are mapped as browsers do, by UTS 46, and become
    A-labels of IDNA 2008) and without a dot at its end. Where its last part is a number it is an
    IPv4 address, as inet_aton(3) reads it.

    :param host: a name as in :attr:`.Address.host`, or an IPv4 address.
    :return: the same object where there is nothing to change.
    :raises HostNameError: it is none: 1..253 letters, digits, ``-``, ``_`` and dots.
    """
    return host if _PLAIN.fullmatch(host) else mapped(host)


def canonical(address: Address) -> Address:
    """Bring the host name of an address into its one form; see :func:`host_name`.

    :return: the same object where there is nothing to change, so for IP addresses.
    :raises HostNameError: its host is neither an IP address nor a host name.
    """
    if not address.is_name:
        return address
    host = address.host
    name = host_name(host)
    return address if name is host else Address.of(name, address.port)
