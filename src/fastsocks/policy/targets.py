"""Which addresses may be dialed for somebody else.

A relay stands inside its host's network: what it dials, its clients reach. Unless told
otherwise it therefore dials global addresses only, so that no client gets at what listens on
loopback, in the private network or at a cloud's metadata address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

#: IPv6 prefixes in which an IPv4 address stands, and the byte at which it does: mapped (RFC 4291
#: section 2.5.5.2), NAT64 (RFC 6052 section 2.1) and 6to4 (RFC 3056 section 2).
_EMBEDDING = (
    (IPv6Network("::ffff:0:0/96"), 12),
    (IPv6Network("64:ff9b::/96"), 12),
    (IPv6Network("2002::/16"), 2),
)

#: All that IANA has allocated for global unicast. `is_global` is true of most of what lies
#: outside, such as fec0::/10, which some networks still use as a private one.
_GLOBAL_UNICAST = IPv6Network("2000::/3")

#: Never dialed, whatever `is_global` says: it is true of multicast, and of the rest it says
#: one thing or another by the version of Python. Before 3.11.10 and 3.12.4 most of
#: 192.0.0.0/24 was global; since then single anycast addresses in there (one's own NAT is
#: among them) and parts of 2001::/23 are; 3fff::/20 is known to the newest only.
_NEVER = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",
        "3fff::/20",
    )
)

#: What hosts files of distributions call their host beside ``localhost``.
_OF_HOSTS_FILES = frozenset(
    (
        "ip6-localhost",
        "ip6-loopback",
        "localhost.localdomain",
        "localhost4",
        "localhost4.localdomain4",
        "localhost6",
        "localhost6.localdomain6",
    )
)

#: How many addresses are remembered with their answer.
MEMORY = 8192


@lru_cache(MEMORY)
def is_public(host: str) -> bool:
    """Tell whether an address lies in the public Internet.

    :param host: an IPv4 or IPv6 address, the latter with or without a scope.
    :return: False also for what is no address.
    """
    try:
        address = unmapped(ip_address(host))
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not any(address in network for network in _NEVER)


def is_own_name(name: str) -> bool:
    """Tell whether a name is one that a host has for itself, wherever it is resolved.

    RFC 6761 section 6.3 keeps ``localhost`` and all below it for that.

    :param name: in its one form; see :func:`fastsocks.address.canonical`.
    """
    return name.rpartition(".")[2] == "localhost" or name in _OF_HOSTS_FILES


class PublicTargets:
    """Tells which targets are public, of which none is that leads to this host.

    What listens on every address of this host is reached by its public ones as well: over
    loopback, past any firewall.
    """

    def __init__(self) -> None:
        self._own: dict[str, frozenset[Network]] = {}
        self._addresses: frozenset[IPv4Address | IPv6Address] = frozenset()
        self._wide: tuple[Network, ...] = ()
        self._is_own: Callable[[str], bool] | None = None
        #: See :func:`is_public`. Like :attr:`address_filter` it remembers its answers.
        self.is_public = lru_cache(MEMORY)(self._is_public)
        #: Tells whether a target may be reached: a public IP address, or a name in its one form
        #: that somebody else resolves and that is not every host's own. An upstream may well stand
        #: in this network.
        self.address_filter = lru_cache(MEMORY)(self._passes)
        #: Is called when answers may have become others.
        self.changed: Callable[[], None] | None = None

    def take_own(self, source: str, networks: Iterable[Network]) -> None:
        """Take what leads to this host.

        :param source: who says so; each takes back what it said before.
        """
        self._own[source] = frozenset(networks)
        own: frozenset[Network] = frozenset().union(*self._own.values())
        # Most are single addresses, of which there may be thousands.
        single = [one for one in own if one.num_addresses == 1]
        self._addresses = frozenset(one.network_address for one in single)
        self._wide = tuple(own.difference(single))
        self.forget()

    def ask(self, is_own: Callable[[str], bool]) -> None:
        """Ask about each address, where nobody can tell of all; see :meth:`forget`."""
        self._is_own = is_own

    def forget(self) -> None:
        """Forget all answers."""
        self.is_public.cache_clear()
        self.address_filter.cache_clear()
        if self.changed is not None:
            self.changed()

    def _is_public(self, host: str) -> bool:
        if not is_public(host):
            return False
        address = ip_address(host)
        if any(map(self._leads_here, {address, unmapped(address)})):
            return False
        return self._is_own is None or not self._is_own(host)

    def _passes(self, host: str) -> bool:
        try:
            ip_address(host)
        except ValueError:
            return not is_own_name(host)
        return self._is_public(host)

    def _leads_here(self, address: IPv4Address | IPv6Address) -> bool:
        return address in self._addresses or any(address in network for network in self._wide)


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that stands in an IPv6 one, or else the address itself."""
    if isinstance(address, IPv6Address):
        for network, start in _EMBEDDING:
            if address in network:
                return IPv4Address(address.packed[start : start + 4])
    return address
