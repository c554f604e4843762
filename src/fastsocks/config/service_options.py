"""The options that every service has, and those of its process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from fastsocks.errors import ConfigError

from . import values
from .option import (
    ACCESS,
    LIMITS,
    LOG,
    PROCESS,
    UDP,
    WAYS,
    Checked,
    Option,
    Peer,
    Place,
    documented,
    option,
)
from .option_checks import (
    check_families,
    check_fronts,
    check_grace,
    check_resolver,
    check_seconds,
    is_loopback,
)
from .rules import Rule, read_rules

#: Where services for programs of this host listen by default: either family, since what asks for
#: ``localhost`` may use either.
LOOPBACK = ("127.0.0.1", "::1")

#: In entries of ``servers`` and of ``locals``, too.
_EVERYWHERE = Place.TOP | Place.SERVERS | Place.LOCALS

#: An IPv4 host has to take datagrams of this many bytes (RFC 791 section 3.1).
_LOWEST_MTU = 576


def _cap(most: int, text: str, /, section: str | None = LIMITS, **said: Any) -> Any:
    return option(most, text, section=section, limits=(0, None), **said)


@documented
@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Options(Checked):
    """What every service has."""

    # fmt: off
    addresses: Sequence[str] = option(LOOPBACK,
        'IP addresses or names to listen on; "" is every address of this host.')
    port: int = option(0, "Port to listen on, 0..65535; 0 lets the kernel choose.",
        limits=(0, 0xFFFF))
    rules: Sequence[Rule | str] = option((),
        'Who may reach what, such as "deny to 10.0.0.0/8 port 25"; the first rule that holds '
        "decides.",
        more="What none holds for is allowed. See rules.md.",
        default="none", places=_EVERYWHERE, flags="--rule", metavar="RULE", repeated=True,
        section=ACCESS,
        also={
            "acl": Option(
                "ACL file of shadowsocks-libev or shadowsocks-rust, whose rules come after others.",
                peers=Peer.LIBEV | Peer.RUST, places=_EVERYWHERE, read=values.read_text,
                metavar="FILE", section=ACCESS),
            "acl_leave_out": Option(
                "Start without those lines of the ACL file that cannot be had, and name them.",
                places=_EVERYWHERE, read=values.read_flag, metavar="", section=ACCESS),
        }, live=True)
    accept_proxy_protocol: Sequence[str] = option((),
        "Network or address of proxies whose connections begin by a PROXY header (v1 or v2), which "
        "names the client.",
        more="Each of their connections has to; nobody else is believed.",
        default="none", places=_EVERYWHERE, metavar="NETWORK", repeated=True, section=ACCESS,
        check=check_fronts, live=True)
    ipv6_first: bool = option(False,
        "Try the IPv6 addresses of a name before its IPv4 addresses.",
        more="Those that were not there of late come last. Of this one and the next three one can "
        "be set; IP addresses they do not concern.",
        peers=Peer.LIBEV | Peer.RUST, flags="-6 --ipv6-first", section=WAYS)
    ipv4_first: bool = option(False, "Try the IPv4 addresses of a name before its IPv6 addresses.",
        section=WAYS)
    ipv4_only: bool = option(False, "Use the IPv4 addresses of names alone.", section=WAYS)
    # shadowsocks-rust has the name of the option for what it listens on.
    ipv6_only: bool = option(False, "Use the IPv6 addresses of names alone.",
        key="target_ipv6_only", flags="--ipv6-only", section=WAYS)
    resolver: Sequence[str] = option(("auto",),
        "Name servers to ask, such as 9.9.9.9, [2620:fe::fe]:53 or tcp://9.9.9.9, or system for "
        "getaddrinfo.",
        more="``auto`` is the name servers of resolv.conf, and the system for names that it has "
        "from elsewhere (nsswitch.conf). The hosts file comes first.",
        default="auto, those of the system", read=values.read_resolver, flags="-d --resolver",
        metavar="IP,...|auto|system", section=WAYS, check=check_resolver,
        also={
            "nameserver": Option(peers=Peer.LIBEV, read=values.read_resolver, flags=""),
            "dns": Option(peers=Peer.RUST, read=values.read_resolver, flags=""),
        })
    timeout: float = option(30.0,
        "Seconds that a client may take to say what it wants, and again for connecting to its "
        "target.",
        peers=Peer.LIBEV | Peer.RUST | Peer.PYTHON, places=Place.TOP | Place.SERVERS,
        flags="-t --timeout", section=WAYS, check=check_seconds, live=True)
    tcp_idle_timeout: float = option(86400.0,
        "Seconds without a byte after which an established connection ends.",
        section=WAYS, check=check_seconds)
    fast_open: bool = option(False,
        "Use TCP Fast Open: payload with the first packet of a connection saves a round trip.",
        more="RFC 7413, listening and dialing, where the system has it.",
        peers=Peer.LIBEV | Peer.RUST | Peer.PYTHON, section=WAYS)
    no_delay: bool = option(True, "Send small packets at once (TCP_NODELAY), which is the default.",
        peers=Peer.LIBEV | Peer.RUST, section=WAYS)
    mode: str = option("tcp_and_udp", "Whether TCP, UDP or both are relayed.",
        peers=Peer.LIBEV | Peer.RUST, places=_EVERYWHERE,
        shorthands={"-u": "tcp_and_udp", "-U": "udp_only"}, section=UDP,
        choices=("tcp_only", "tcp_and_udp", "udp_only"))
    udp_timeout: float = option(300.0,
        "Seconds without a datagram after which a UDP association, which is a client's UDP port, "
        "ends.",
        more="One of a 2022 session lives 60 s at least.",
        peers=Peer.RUST, places=Place.TOP | Place.SERVERS, section=UDP, check=check_seconds)
    udp_max_associations: int = _cap(4096,
        "Most UDP associations at a time.",
        more="Each of them takes a socket or two; of the client that has most, the one not used "
        "for longest makes room for a further one. 0 is as many as the limit of open files allows.",
        peers=Peer.RUST, places=Place.TOP | Place.SERVERS, section=UDP)
    udp_max_associations_per_client: int = _cap(0,
        "The same of one client's address; 0 is no limit of its own.",
        default="no limit", section=UDP)
    udp_max_associations_per_user: int = _cap(0,
        "The same of one user, where users are told apart; 0 is no limit of its own.",
        default="no limit", section=UDP)
    mtu: int | None = option(None,
        "Largest IP packet in bytes that the padding of 2022 methods may make, 576..65535.",
        more="Without padding nothing is made smaller: the kernel fragments what is too large.",
        default="1500", peers=Peer.LIBEV, read=values.read_mtu, flags="--udp-mtu --mtu",
        metavar="BYTES", section=UDP, limits=(_LOWEST_MTU, 0xFFFF),
        also={
            "udp_mtu": Option(
                peers=Peer.RUST, places=Place.TOP | Place.SERVERS, read=values.read_mtu, flags=""),
        })
    max_connections: int = _cap(0,
        "Most connections at a time; 0 is as many as the limit of open files allows.",
        default="as many as the limit of open files allows", live=True)
    max_connections_per_client: int = _cap(4096,
        "The same of one client: an IPv4 address or an IPv6 network (/64); 0 is no limit of its "
        "own.", live=True)
    max_handshakes: int = _cap(4096,
        "Most connections at a time that have not said yet what they want, or were wrong and are "
        "kept open in silence, so that probers learn nothing; 0 is no limit of its own.", live=True)
    max_handshakes_per_client: int = _cap(1024, "The same of one client; 0 is no limit of its own.",
        live=True)
    max_drains: int = _cap(0,
        "Without effect any more: a failed handshake counts for `max_handshakes` until it is "
        "closed.",
        section=None, replaced_by="max_handshakes", live=True)
    max_drains_per_client: int = _cap(0,
        "Without effect any more, like it; see `max_handshakes_per_client`.",
        section=None, replaced_by="max_handshakes_per_client", live=True)
    max_lookups_per_client: int = _cap(1024,
        "Most names looked up at a time for one client, a quarter of all at most.",
        more="Further ones wait for their turn.")
    reuse_port: bool = option(False,
        "Share the port with other processes that set this, too (SO_REUSEPORT).",
        peers=Peer.LIBEV, section=PROCESS)
    grace: float = option(10.0,
        "Seconds for which connections may go on after the first Ctrl-C (SIGINT) or SIGTERM; a "
        "second one ends them at once.",
        read=values.read_grace, section=PROCESS, check=check_grace, live=True)
    access_log: bool = option(False, "Log a line for every connection and UDP association.",
        flags="", section=LOG, live=True)
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.addresses:
            raise ConfigError("address: none to listen on")
        try:
            object.__setattr__(self, "rules", read_rules(self.rules))
        except ConfigError as error:
            raise ConfigError(f"rules: {error}") from None
        check_families(
            {
                key: getattr(self, key)
                for key in ("ipv6_first", "ipv4_first", "ipv4_only", "ipv6_only")
            }
        )

    @property
    def read_rules(self) -> tuple[Rule, ...]:
        """:attr:`rules`, read."""
        return cast("tuple[Rule, ...]", self.rules)

    @property
    def listens_by_default(self) -> bool:
        """Whether nobody has named :attr:`addresses`, so that one may be missing silently."""
        return self.addresses is LOOPBACK

    @property
    def relays_tcp(self) -> bool:
        """Whether :attr:`mode` says so."""
        return self.mode != "udp_only"

    @property
    def relays_udp(self) -> bool:
        """Whether :attr:`mode` says so."""
        return self.mode != "tcp_only"

    @property
    def announced_addresses(self) -> tuple[str, ...]:
        """Under which clients reach this host, as far as the options say: none is public to them.

        IP addresses and names, some of them with a port.
        """
        return ()

    @property
    def beyond_loopback(self) -> bool:
        """Whether other hosts can reach it, as far as its addresses tell."""
        return not all(map(is_loopback, self.addresses))


#: More than any machine has cores; each has its part of the memory that all share.
MOST_WORKERS = 1024


@documented
@dataclass(frozen=True, kw_only=True)
class ProcessOptions(Checked):
    """What concerns the process, for the command line to act on."""

    # fmt: off
    workers: int = option(1,
        "How many processes serve; auto, or 0, is one for each core.",
        more="Each is on a core of its own, of those that this process may use.",
        peers=Peer.PYTHON, read=values.read_workers, metavar="NUMBER|auto", section=PROCESS,
        limits=(0, MOST_WORKERS))
    nofile: int | None = option(None, "Limit of open files to set, for each worker.",
        default="as high as it may be", peers=Peer.LIBEV | Peer.RUST, flags="-n --nofile",
        section=PROCESS, limits=(1, None))
    no_core_dumps: bool = option(False,
        "Leave no core dump, which would have keys in it, and on Linux let no program of the same "
        "user look into the memory.",
        more="These are debuggers, tracers, profilers (PR_SET_DUMPABLE).",
        section=PROCESS)
    user: str = option("", "Become this user, a name or a number, once the ports are open.",
        peers=Peer.LIBEV | Peer.PYTHON, flags="-a", metavar="USER", section=PROCESS)
    log_format: str = option("text", "Form of log lines.", section=LOG, choices=("text", "json"))
    log_level: str = option("info", "The least that is logged.",
        shorthands={"-v --verbose": "debug"}, section=LOG,
        choices=("debug", "info", "warning", "error"), live=True)
    public_address: str = option("", "Where clients reach this server, for its URL.",
        default="the address by which this host reaches the Internet", commands=("server", "url"),
        metavar="HOST[:PORT]")
    # fmt: on
