"""Typed options, one class a service.

They are checked when they are made, except for keys: whether those suit their method is for
:mod:`fastsocks.shadowsocks` to say. Every message names the option and what to write, and
none repeats a secret.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, TypeAlias, cast

from fastsocks.errors import ConfigError
from fastsocks.request import PROTOCOLS, SOCKS5

from .accounts import Accounts, check_accounts
from .option_checks import (
    check_families,
    check_gssapi,
    check_key,
    check_method,
    check_outbound,
    check_port,
    check_protocols,
    check_public_address,
    check_resolver,
    check_search,
    check_seconds,
    check_server,
    check_udp_address,
    is_loopback,
)
from .option_help import with_help
from .option_types import read_types
from .rules import Rule, read_rules
from .text import without_line_ends

#: Tells of a user name, a password and a client's socket address whether that user may log in, or
#: under which name; a function, or a coroutine function where it has to wait.
Hook: TypeAlias = Callable[[str, str, tuple[Any, ...]], "bool | str | Awaitable[bool | str]"]

MODES = ("tcp_only", "tcp_and_udp", "udp_only")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")

#: An IPv4 host has to take datagrams of this many bytes (RFC 791 section 3.1).
_LOWEST_MTU = 576

#: More than any machine has cores; each has its part of the memory that all share.
MOST_WORKERS = 1024

#: Methods that encrypt nothing, as configurations write them.
_UNENCRYPTED = ("none", "plain")


#: Where services for programs of this host listen by default: either family, since what asks for
#: ``localhost`` may use either.
LOOPBACK = ("127.0.0.1", "::1")


@with_help
@dataclass(frozen=True, kw_only=True)
class Options:
    """What every service has."""

    #: IP addresses or names to listen on; "" is every address of this host.
    addresses: Sequence[str]
    #: Port to listen on, 0..65535; 0 lets the kernel choose.
    port: int
    #: Seconds for a client's handshake, and again for reaching its target.
    timeout: float = 30.0
    #: Seconds without a byte after which an established relay ends.
    tcp_idle_timeout: float = 86400.0
    #: Seconds for which relays may go on once the service is told to stop.
    grace: float = 10.0
    #: What is relayed: ``tcp_and_udp``, ``tcp_only`` or ``udp_only``.
    mode: str = "tcp_and_udp"
    #: Seconds without a datagram after which a UDP association ends; one of a 2022 session lives
    #: 60 s at least.
    udp_timeout: float = 300.0
    #: Most UDP associations at a time, each of which takes a socket or two; of the client that has
    #: most, the one not used for longest makes room for a further one. 0 is as many as the limit
    #: of open files allows.
    udp_max_associations: int = 4096
    #: The same of one client's address; 0 is no limit of its own.
    udp_max_associations_per_client: int = 0
    #: The same of one user, where users are told apart; 0 is no limit of its own.
    udp_max_associations_per_user: int = 0
    #: TCP Fast Open (RFC 7413), listening and dialing, where the system has it.
    fast_open: bool = False
    #: SO_REUSEPORT on listening sockets, so that several processes can share a port.
    reuse_port: bool = False
    #: TCP_NODELAY on every connection.
    no_delay: bool = True
    #: Try the IPv6 addresses of a name before its IPv4 addresses, but for those that were not there
    #: of late. Of this one and the next three one can be set; IP addresses they do not concern.
    ipv6_first: bool = False
    #: Try the IPv4 addresses of a name before its IPv6 addresses.
    ipv4_first: bool = False
    #: Use the IPv4 addresses of names alone.
    ipv4_only: bool = False
    #: Use the IPv6 addresses of names alone.
    ipv6_only: bool = False
    #: Who looks names up: ``auto``, which is the name servers of resolv.conf, and the system for
    #: names that it has from elsewhere (nsswitch.conf); ``system``, its getaddrinfo, for all names;
    #: or name servers such as ``9.9.9.9``, ``[2620:fe::fe]:53`` or ``tcp://9.9.9.9``. The hosts
    #: file comes first.
    resolver: Sequence[str] = ("auto",)
    #: Largest IP packet in bytes, 576..65535, that the padding of 2022 methods may make of a
    #: datagram; 1500 where nothing is set. Without padding nothing is made smaller: the kernel
    #: fragments what is too large.
    mtu: int | None = None
    #: Whether to log a line for every connection and UDP association.
    access_log: bool = False
    #: Who may reach what: texts such as ``deny to 10.0.0.0/8 port 25``, of which the first that
    #: holds decides; what none holds for is allowed. See rules.md.
    rules: Sequence[Rule | str] = ()
    #: Most connections at a time; 0 is as many as the limit of open files allows.
    max_connections: int = 0
    #: Most connections at a time from one client's address; 0 is no limit of its own.
    max_connections_per_client: int = 4096
    #: Most connections at a time whose handshake is not finished, or has failed and is drained; 0
    #: is no limit of its own.
    max_handshakes: int = 4096
    #: The same of one client's address; 0 is no limit of its own.
    max_handshakes_per_client: int = 1024
    #: Without effect any more: a failed handshake counts for `max_handshakes` until it is closed.
    max_drains: int = 0
    #: Without effect any more, like it; see `max_handshakes_per_client`.
    max_drains_per_client: int = 0
    #: Most names that are looked up at a time for one client's address; further ones wait for
    #: their turn. A quarter of all, which is 1024, is the most.
    max_lookups_per_client: int = 1024

    def __post_init__(self) -> None:
        read_types(self)
        if not self.addresses:
            raise ConfigError("address: none to listen on")
        try:
            object.__setattr__(self, "rules", read_rules(self.rules))
        except ConfigError as error:
            raise ConfigError(f"rules: {error}") from None
        check_port("port", self.port, lowest=0)
        check_resolver(self.resolver)
        check_families(
            {
                key: getattr(self, key)
                for key in ("ipv6_first", "ipv4_first", "ipv4_only", "ipv6_only")
            }
        )
        for key in ("timeout", "tcp_idle_timeout", "udp_timeout"):
            check_seconds(key, getattr(self, key))
        if not self.grace >= 0:
            raise ConfigError(f"grace: {self.grace} is not a number of seconds, 0 or more")
        if self.mode not in MODES:
            raise ConfigError(f"mode: it is one of {', '.join(MODES)}")
        if self.mtu is not None and not _LOWEST_MTU <= self.mtu <= 0xFFFF:
            raise ConfigError(f"mtu: {self.mtu} is not in {_LOWEST_MTU}..65535")
        for key, lowest in LIMITS.items():
            if (count := getattr(self, key)) < lowest:
                raise ConfigError(f"{key}: {count} is below {lowest}")

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


#: Options that cap something, and the lowest value of each.
LIMITS = {
    "max_connections": 0,
    "max_connections_per_client": 0,
    "max_handshakes": 0,
    "max_handshakes_per_client": 0,
    "max_drains": 0,
    "max_drains_per_client": 0,
    "max_lookups_per_client": 0,
    "udp_max_associations": 0,
    "udp_max_associations_per_client": 0,
    "udp_max_associations_per_user": 0,
}


@with_help
@dataclass(frozen=True, kw_only=True)
class ServerOptions(Options):
    """Options of a Shadowsocks server."""

    addresses: Sequence[str] = ("",)
    port: int = 8388
    #: Encryption method; ``fastsocks genkey METHOD`` makes a key for it.
    method: str
    #: Text, or for a 2022 method its PSK in base64; with users this is the iPSK.
    password: str = field(default="", repr=False)
    #: In the place of a password the key itself: URL-safe base64 of at least as many bytes as
    #: the method's key has, of which that many count. Not for 2022 methods.
    key: str = field(default="", repr=False)
    #: 2022 methods on AES: the PSK of each user, in base64 (SIP023).
    users: Accounts = field(default_factory=dict, repr=False)
    #: URLs of servers to connect through, in their order: ``ss://...``, or ``socks5://`` and
    #: ``http://`` with ``[user:password@]host[:port]``. See upstream.md.
    upstream: Sequence[str] = field(default=(), repr=False)
    #: Domains in which names are searched before they are looked up as they are, or after that if
    #: they have as many dots as `ndots` of resolv.conf (1 where nothing is said); ``system`` is the
    #: domains of resolv.conf. Names with a dot at their end, and those of datagrams, are complete.
    search_domains: Sequence[str] = ()
    #: IP addresses to dial from, one of each family at most; none leaves it to the system.
    outbound_addresses: Sequence[str] = ()
    #: Whether clients may reach addresses that are not public: this host, its network.
    allow_private: bool = False
    #: Address or name under which clients reach this host, with or without a port: what is not
    #: public has that address, too, if its own interfaces do not.
    public_address: str = ""
    #: Whether a method that encrypts nothing may listen beyond loopback.
    allow_unencrypted: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_method(self.method)
        object.__setattr__(self, "password", without_line_ends(self.password))
        check_key(self.password, self.key)
        check_outbound(self.outbound_addresses)
        check_search(self.search_domains, self.upstream)
        check_public_address(self.public_address)
        if (
            self.method.lower() in _UNENCRYPTED
            and self.beyond_loopback
            and not self.allow_unencrypted
        ):
            raise ConfigError(
                f"method: {self.method} encrypts nothing and asks for no password, so that anyone "
                "who finds the port can use it; choose another, listen on 127.0.0.1, or insist "
                "with allow_unencrypted"
            )

    @property
    def announced_addresses(self) -> tuple[str, ...]:
        """See :attr:`Options.announced_addresses`."""
        return (self.public_address,) if self.public_address else ()


@with_help
@dataclass(frozen=True, kw_only=True)
class SocksOptions(Options):
    """What services have whose clients speak SOCKS or HTTP."""

    addresses: Sequence[str] = LOOPBACK
    port: int = 1080
    #: Who may use it; nobody named, no file of accounts and no `gssapi`: everybody.
    accounts: Accounts = field(default_factory=dict, repr=False)
    #: File of further accounts, as ``fastsocks passwd`` writes it; "" is none. It is read again
    #: when it has changed.
    accounts_file: str = ""
    #: Is asked in the place of all accounts; from Python only.
    authenticate: Hook | None = field(default=None, repr=False, compare=False)
    #: What clients may speak, told apart by their first byte: ``socks5``, ``socks4`` (4a too; it
    #: has no passwords, and is refused where there are accounts) and ``http`` (CONNECT, and plain
    #: requests for ``http://``).
    protocols: Sequence[str] = PROTOCOLS
    #: Whether those may use it, by SOCKS5, who have a Kerberos ticket for it (GSSAPI, RFC 1961).
    gssapi: bool = False
    #: File of the service's Kerberos keys, each of whose principals clients may ask for; "" is the
    #: system's keytab.
    gssapi_keytab: str = ""
    #: Levels of protection that a client may have: ``confidentiality``, ``integrity`` and ``none``,
    #: which is all that curl can do. A client that wants another gets the strongest of them.
    gssapi_protection: Sequence[str] = ("integrity", "confidentiality")
    #: IP address that UDP clients are told to send to; "" is the one at which their TCP connection
    #: arrived. For a host that its clients reach by another address, as behind NAT.
    udp_address: str = ""
    #: Tell SOCKS5 clients 0.0.0.0:0 in the place of an IPv6 address that their target is reached
    #: from: for old ones, which read 10 bytes of a reply and no more.
    short_replies: bool = False
    #: Most bytes of the head of an HTTP request, 1024..1048576. An unfinished handshake may keep as
    #: many, and `max_handshakes` says how many there are.
    max_request_head: int = 64 * 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        check_accounts(self.accounts)
        check_protocols(self.protocols, has_accounts=self.has_accounts)
        if self.gssapi and SOCKS5 not in self.protocols:
            raise ConfigError("gssapi: only socks5 has it, which protocols does not list")
        check_gssapi(self.gssapi, self.gssapi_keytab, self.gssapi_protection)
        check_udp_address(self.udp_address)
        if not 1024 <= self.max_request_head <= 1 << 20:
            raise ConfigError(f"max_request_head: {self.max_request_head} is not in 1024..1048576")
        if self.authenticate is not None and not callable(self.authenticate):
            kind = type(self.authenticate).__name__
            raise ConfigError(f"authenticate: it has to be a function, not {kind}")
        if self.authenticate is not None and (self.accounts or self.accounts_file):
            raise ConfigError("authenticate: there are accounts, too; give one of the two")

    @property
    def has_accounts(self) -> bool:
        """Whether clients can log in with a password."""
        return bool(self.accounts or self.accounts_file or self.authenticate)


@with_help
@dataclass(frozen=True, kw_only=True)
class ServerEntry:
    """One of several Shadowsocks servers; its fields are those of :class:`LocalOptions`."""

    server: str
    server_port: int = 8388
    method: str
    password: str = field(default="", repr=False)
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        read_types(self)
        check_server(self.server)
        check_port("server port", self.server_port, lowest=1)
        check_method(self.method)
        object.__setattr__(self, "password", without_line_ends(self.password))
        check_key(self.password, self.key)


@with_help
@dataclass(frozen=True, kw_only=True)
class LocalOptions(SocksOptions):
    """Options of a SOCKS and HTTP proxy that leads to a Shadowsocks server."""

    #: Address or name of the Shadowsocks server.
    server: str
    #: Port of the Shadowsocks server, 1..65535.
    server_port: int = 8388
    #: Encryption method; ``fastsocks genkey METHOD`` makes a key for it.
    method: str
    #: As on the server, or for a user of a 2022 server ``iPSK:uPSK``.
    password: str = field(default="", repr=False)
    #: As on the server.
    key: str = field(default="", repr=False)
    #: Further servers: the one that takes least is used, and another one when it is not there.
    #: Each has a server, a server_port, a method and a password or key. See upstream.md.
    servers: Sequence[ServerEntry] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_server(self.server)
        check_port("server port", self.server_port, lowest=1)
        check_method(self.method)
        object.__setattr__(self, "password", without_line_ends(self.password))
        check_key(self.password, self.key)


@with_help
@dataclass(frozen=True, kw_only=True)
class ProxyOptions(SocksOptions):
    """Options of a plain SOCKS and HTTP proxy."""

    #: As on the server.
    upstream: Sequence[str] = field(default=(), repr=False)
    #: As on the server.
    search_domains: Sequence[str] = ()
    #: Where it listens beyond loopback, whether clients may reach addresses that are not
    #: public: this host, its network.
    allow_private: bool = False
    #: As on the server.
    public_address: str = ""
    #: IP addresses at which peers of clients connect (BIND), one of each family at most; none is
    #: the one that leads to the expected peer, or where the client reached us.
    bind_addresses: Sequence[str] = ()
    #: First and last of the ports for that; where nothing is set the kernel chooses.
    bind_ports: tuple[int, int] | None = None
    #: Seconds to wait for such a peer.
    bind_timeout: float = 120.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_outbound(self.bind_addresses, "bind_address")
        check_search(self.search_domains, self.upstream)
        check_public_address(self.public_address)
        for address in self.bind_addresses:
            if ip_address(address).is_unspecified:
                raise ConfigError(f"bind_address: nobody can connect to {address}")
        if self.bind_ports is not None:
            first, last = self.bind_ports
            if not 1 <= first <= last <= 0xFFFF:
                raise ConfigError(f"bind_ports: {first}-{last} is no range of 1..65535")
        check_seconds("bind_timeout", self.bind_timeout)

    @property
    def announced_addresses(self) -> tuple[str, ...]:
        """See :attr:`Options.announced_addresses`."""
        return tuple(filter(None, (self.public_address, self.udp_address)))


@with_help
@dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """What concerns the process, for the command line to act on."""

    #: Name or number of the user to run as once it listens; "" stays who it is.
    user: str = ""
    #: How many processes serve, each on a core of its own; 0, or ``auto``, is one for each core
    #: that this process may use.
    workers: int = 1
    #: Limit of open files to set, for each worker; the hard limit where nothing is set.
    nofile: int | None = None
    #: Whether to leave no core dump, and on Linux to keep other programs of the same user out of
    #: the memory (PR_SET_DUMPABLE): debuggers, tracers, profilers.
    no_core_dumps: bool = False
    #: The least that is logged: ``debug``, ``info``, ``warning`` or ``error``.
    log_level: str = "info"
    #: ``text`` or ``json``.
    log_format: str = "text"
    #: Address or name under which clients reach this server; "" is that of the default route.
    public_address: str = ""

    def __post_init__(self) -> None:
        read_types(self)
        for key, known in (("log_level", LOG_LEVELS), ("log_format", LOG_FORMATS)):
            if getattr(self, key) not in known:
                raise ConfigError(f"{key}: it is one of {', '.join(known)}")
        if not 0 <= self.workers <= MOST_WORKERS:
            raise ConfigError(f"workers: {self.workers} is not in 0..{MOST_WORKERS}")
        if self.nofile is not None and self.nofile < 1:
            raise ConfigError(f"nofile: {self.nofile} is below 1")
