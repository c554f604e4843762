"""The options of services whose clients are programs: what they listen on, and speak."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fastsocks.errors import ConfigError
from fastsocks.request import PROTOCOLS, SOCKS5

from . import values
from .accounts import Accounts, check_accounts
from .option import ACCESS, UDP, Option, Peer, Place, about, documented, option, refused
from .option_checks import PROTECTIONS, check_callable, check_protocols, check_udp_address
from .service_options import LOOPBACK, Options

#: Tells of a user name, a password and a client's socket address whether that user may log in, or
#: under which name; a function, or a coroutine function where it has to wait.
Hook: TypeAlias = Callable[[str, str, tuple[Any, ...]], "bool | str | Awaitable[bool | str]"]

_ALL = Peer.LIBEV | Peer.RUST | Peer.PYTHON
_LOCALS = Place.TOP | Place.LOCALS

_NOT_A_USER = {
    "server": refused("a server's users are `users`, names and their keys of a 2022 method"),
    "tunnel": refused("clients of a tunnel do not log in; `rules` say who may use it"),
}
_NO_GSSAPI = refused("GSSAPI is for the SOCKS5 clients of `fastsocks local` and `fastsocks proxy`")


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class ListenerOptions(Options):
    """What services have that listen for programs of this host."""

    # fmt: off
    addresses: Sequence[str] = option(LOOPBACK,
        'Addresses or names to listen on; "" is every address of this host.',
        default="127.0.0.1 and ::1", key="local_address", peers=_ALL, places=_LOCALS,
        read=values.read_hosts, flags="-b --local-address", metavar="ADDRESS", repeated=True,
        also={
            "ipv6_only": Option("Whether ``::`` leaves IPv4 out.",
                peers=Peer.RUST, read=values.read_flag, flags=""),
        })
    port: int = option(1080, "Port to listen on; 0 lets the kernel choose.",
        key="local_port", peers=_ALL, places=_LOCALS, read=values.read_listening_port,
        flags="-l --local-port", metavar="PORT", limits=(0, 0xFFFF))
    # fmt: on


@documented
@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class SocksOptions(ListenerOptions):
    """What services have whose clients speak SOCKS or HTTP."""

    # fmt: off
    protocols: Sequence[str] = option(PROTOCOLS,
        "What clients may speak, told apart by their first byte: some of socks5, socks4 and http.",
        more="``socks4`` is 4a too; it has no passwords, and is refused where there are accounts. "
        "``http`` is CONNECT, and plain requests for ``http://``.",
        default="all three", places=_LOCALS, metavar="NAMES", choices=PROTOCOLS,
        also={
            "protocol": Option(
                "``socks``, which is socks5 and socks4 of `protocols`, or ``http``; the others of "
                "shadowsocks-rust are refused.",
                peers=Peer.RUST, places=_LOCALS, read=values.read_lowercase, flags=""),
        }, live=True)
    accounts: Accounts = option(dict,
        "A user who may use it, and their password.",
        more="Without accounts, a file of them and `gssapi` everybody may.",
        default="everybody may", places=_LOCALS, elsewhere=_NOT_A_USER, secret=True, flags="--user",
        metavar="NAME:PASSWORD", repeated=True, section=ACCESS, check=check_accounts, live=True)
    accounts_file: str = option("",
        "File of users with hashes of their passwords, made by `fastsocks passwd`.",
        more="It is read again when it has changed.",
        places=_LOCALS, elsewhere=_NOT_A_USER, metavar="FILE", section=ACCESS, live=True)
    authenticate: Hook | None = field(
        default=None,
        repr=False,
        compare=False,
        metadata=about(
            "Is asked in the place of all accounts; from Python only.",
            key=None,
            check=check_callable,
        ),
    )
    gssapi: bool = option(False,
        "Let SOCKS5 clients log in by a Kerberos ticket (RFC 1961); needs fastsocks[gssapi].",
        places=_LOCALS, elsewhere=_NO_GSSAPI, section=ACCESS, live=True)
    gssapi_keytab: str = option("",
        "File of the service's Kerberos keys.",
        more="Clients may ask for each of its principals.",
        default="the system's keytab", places=_LOCALS, elsewhere=_NO_GSSAPI, metavar="FILE",
        section=ACCESS, live=True)
    gssapi_protection: Sequence[str] = option(("integrity", "confidentiality"),
        "What Kerberos clients may choose as protection of their messages.",
        more="``none`` is all that curl can do. A client that wants another gets the strongest of "
        "them.",
        places=_LOCALS, elsewhere=_NO_GSSAPI, repeated=True, section=ACCESS, choices=PROTECTIONS,
        live=True)
    udp_address: str = option("",
        "IP address that UDP clients are told to send to, where this host does not know it "
        "itself, as behind NAT.",
        default="the one that they reached it by", places=_LOCALS, metavar="ADDRESS", section=UDP,
        check=check_udp_address)
    short_replies: bool = option(False,
        "Do not tell SOCKS5 clients IPv6 addresses that targets are reached from: old ones read "
        "10 bytes of a reply and no more.",
        more="They are told 0.0.0.0:0.",
        places=_LOCALS, live=True)
    max_request_head: int = option(64 * 1024,
        "Most bytes of the head of an HTTP request, with its cookies, 1024..1048576.",
        more="An unfinished handshake may keep as many, and `max_handshakes` says how many there "
        "are.",
        places=_LOCALS, metavar="BYTES", limits=(1024, 1 << 20), live=True)
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        check_protocols(self.protocols, has_accounts=self.has_accounts)
        if self.gssapi and SOCKS5 not in self.protocols:
            raise ConfigError("gssapi: only socks5 has it, which protocols does not list")
        if self.gssapi_keytab and not self.gssapi:
            raise ConfigError("gssapi_keytab: it is not used: set gssapi too, or remove it")
        if self.authenticate is not None and (self.accounts or self.accounts_file):
            raise ConfigError("authenticate: there are accounts, too; give one of the two")

    @property
    def has_accounts(self) -> bool:
        """Whether clients can log in with a password."""
        return bool(self.accounts or self.accounts_file or self.authenticate)
