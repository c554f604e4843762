"""Who is to be asked for which name, as this system has it (nsswitch.conf, resolv.conf)."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .name_servers import NameServers, of_resolv_conf
from .system_files import (
    HOSTS,
    NSSWITCH_CONF,
    RESOLV_CONF,
    WatchedFile,
    read_hosts,
    read_nsswitch_conf,
    read_resolv_conf,
)

if TYPE_CHECKING:
    from .system_files import ResolvConf

#: Sources that name servers and the hosts file stand for.
_OURS = frozenset(("files", "dns", "cache"))

#: systemd-resolved: where it can be asked, and the addresses by which resolv.conf names it.
_RESOLVED = Path("/run/systemd/resolve/io.systemd.Resolve")
_STUBS = frozenset(("127.0.0.53", "127.0.0.54"))

#: Sources that know names of one label only: this host's, and its containers'.
_OF_ONE_LABEL = frozenset(("myhostname", "mymachines"))

#: Sources that know names below .local only (RFC 6762).
_OF_LOCAL = frozenset(
    f"mdns{family}{minimal}" for family in ("", "4", "6") for minimal in ("", "_minimal")
)

_LOOPBACK = ("127.0.0.1", "::1")


def _read_resolv_conf(text: str) -> ResolvConf:
    """Read what is in resolv.conf, and what a variable adds (resolv.conf(5))."""
    return read_resolv_conf(f"{text}\noptions {os.environ.get('RES_OPTIONS', '')}\n")


class System:
    """The files by which a system says how names are looked up, as they are now.

    :param resolv_conf: path of the file; likewise the others.
    """

    def __init__(
        self,
        resolv_conf: str = RESOLV_CONF,
        nsswitch_conf: str = NSSWITCH_CONF,
        hosts: str = HOSTS,
    ) -> None:
        self._resolv_conf = WatchedFile(resolv_conf, _read_resolv_conf)
        self._nsswitch_conf = WatchedFile(nsswitch_conf, read_nsswitch_conf)
        self._hosts = WatchedFile(hosts, read_hosts)
        self._servers: tuple[ResolvConf, NameServers] | None = None

    @property
    def resolv_conf(self) -> ResolvConf:
        """What resolv.conf says."""
        return self._resolv_conf.get()

    def name_servers(self) -> NameServers:
        """Return the name servers of resolv.conf."""
        found = self._resolv_conf.get()
        if self._servers is None or self._servers[0] is not found:
            self._servers = found, of_resolv_conf(found)
        return self._servers[1]

    def searches(self) -> bool:
        """Tell whether getaddrinfo may append domains to a name of one label."""
        return bool(self._resolv_conf.get().search) or "." in socket.gethostname()

    def has_to_be_asked(self, name: str) -> bool:
        """Tell whether the system itself has to look a name up, beyond its files and DNS."""
        if sys.platform != "linux":
            # There resolv.conf is not what the system goes by.
            return True
        for source in self._nsswitch_conf.get():
            if source in _OURS:
                continue
            if source == "resolve":
                # It may know more than the name servers of resolv.conf do.
                servers = self._resolv_conf.get().servers
                asked = not _STUBS.issuperset(servers) and _RESOLVED.exists()
            elif source in _OF_ONE_LABEL:
                asked = "." not in name
            elif source in _OF_LOCAL:
                asked = name.endswith(".local")
            else:
                asked = True
            if asked:
                return True
        return False

    def in_hosts(self, name: str) -> tuple[str, ...]:
        """Return the addresses that the hosts file has for a name.

        ``localhost``, and what ends in it, are this host even if the file does not say so (RFC 6761
        section 6.3).
        """
        found: tuple[str, ...] = ()
        if sys.platform == "linux" and "files" in self._nsswitch_conf.get():
            found = self._hosts.get().get(name, ())
        if not found and (name == "localhost" or name.endswith(".localhost")):
            return _LOOPBACK
        return found
