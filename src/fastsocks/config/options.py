"""The options of each service.

They are checked when they are made, except for keys: whether those suit their method is for
:mod:`fastsocks.shadowsocks` to say. Every message names the option and what to write, and
none repeats a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fastsocks.address import Address
from fastsocks.errors import ConfigError

from . import values
from .accounts import Accounts
from .option import (
    ACCESS,
    BINDING,
    WAYS,
    Checked,
    Option,
    Peer,
    Place,
    about,
    documented,
    option,
    refused,
    warning,
)
from .option_checks import (
    check_bind_addresses,
    check_bind_ports,
    check_outbound,
    check_public_address,
    check_search,
    check_seconds,
)
from .server_entry import METHOD, SERVER, Encryption, ServerChoice
from .service_options import Options
from .socks_options import ListenerOptions, SocksOptions

#: Methods that encrypt nothing, as configurations write them.
_UNENCRYPTED = ("none", "plain")

_ALL = Peer.LIBEV | Peer.RUST | Peer.PYTHON
_SERVERS = Place.TOP | Place.SERVERS
_LOCALS = Place.TOP | Place.LOCALS
_EVERYWHERE = _SERVERS | _LOCALS


def _dials_from(family: str) -> Option:
    return Option(
        f"The {family} address to connect to targets from.",
        peers=Peer.LIBEV,
        read=values.read_ip_addresses,
        elsewhere=warning("only a server chooses the address that it dials from"),
        flags="",
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class UpstreamOptions(Checked):
    """What services have that can connect through other servers."""

    # fmt: off
    upstream: Sequence[str] = option((),
        "Connect through another server: ss://..., socks5:// or "
        "http://[USER:PASSWORD@]HOST[:PORT]; several are a chain in that order.",
        more="See upstream.md.",
        places=_EVERYWHERE, read=values.read_texts, secret=True, metavar="URL", repeated=True,
        section=WAYS,
        elsewhere=refused(
            "local leads to its Shadowsocks server; `fastsocks proxy` leads through others, ss:// "
            "among them"), live=True)
    send_proxy_protocol: bool = option(False,
        "Begin connections by a PROXY header (v2), which tells the other end who the client is.",
        more="A tunnel tells its target, others their first upstream.",
        places=_EVERYWHERE, section=WAYS,
        elsewhere=refused("a Shadowsocks server is told no client"), live=True)
    # fmt: on


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Dialing(UpstreamOptions):
    """What services have that connect to targets of their clients by themselves."""

    # fmt: off
    search_domains: Sequence[str] = option((),
        "Domains in which short names of targets are searched; system is those of resolv.conf.",
        more="They come before the name as it is, or after that if it has as many dots as `ndots` "
        "of resolv.conf (1 where nothing is said). Names with a dot at their end, and those of "
        "datagrams, are complete.",
        default="none", metavar="DOMAIN,...|system", section=WAYS,
        elsewhere={
            "local": warning("the server looks names up"),
            "tunnel": warning("the target is complete"),
        }, live=True)
    allow_private: bool = option(False,
        "Let clients reach this host, its network and all else that is not public.",
        more="A proxy that listens on loopback alone lets them anyway.",
        places=_EVERYWHERE, elsewhere={"local": warning("the server decides that")},
        section=ACCESS, live=True)
    public_address: str = option("",
        "Address or name under which clients reach this host, with or without a port.",
        more="What is not public has that address, too, if its own interfaces do not.",
        key=None, check=check_public_address)
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        check_search(self.search_domains, self.upstream)

    @property
    def announced_addresses(self) -> tuple[str, ...]:
        """See :attr:`Options.announced_addresses`."""
        return (self.public_address,) if self.public_address else ()


@documented
@dataclass(frozen=True, kw_only=True)
class ServerOptions(Encryption, Dialing, Options):
    """Options of a Shadowsocks server."""

    # fmt: off
    addresses: Sequence[str] = option(("",),
        'Addresses or names to listen on; "" is every address of this host.',
        default="all of this host, IPv6 and IPv4", key="server", peers=_ALL, places=_SERVERS,
        read=values.read_hosts, flags="-s --server", metavar="ADDRESS", repeated=True,
        also={
            "ipv6_only": Option("Whether ``::`` leaves IPv4 out.",
                peers=Peer.RUST, read=values.read_flag, flags=""),
        })
    port: int = option(8388, "Port to listen on; 0 lets the kernel choose.",
        key="server_port", peers=_ALL, places=_SERVERS, read=values.read_listening_port,
        flags="-p --server-port", metavar="PORT", limits=(0, 0xFFFF))
    users: Accounts = option(dict,
        "A user and their key (2022 methods on AES).",
        more="The key is a PSK in base64 (SIP023).",
        peers=Peer.RUST, places=_SERVERS,
        elsewhere=refused("who may use it is `accounts`, names and passwords"), secret=True,
        flags="--user", metavar="NAME:KEY", repeated=True, section=ACCESS, live=True)
    outbound_addresses: Sequence[str] = option((),
        "IP addresses to connect to targets from, one IPv4 and one IPv6 at most.",
        default="the system chooses", key="local_address", peers=_ALL, places=_LOCALS,
        read=values.read_hosts, flags="-b --local-address", metavar="ADDRESS", repeated=True,
        also={
            "local_ipv4_address": _dials_from("IPv4"),
            "local_ipv6_address": _dials_from("IPv6"),
        })
    allow_unencrypted: bool = option(False,
        "Let the method none listen beyond loopback: an open proxy for whoever finds it.",
        places=_SERVERS, section=ACCESS, live=True)
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        check_outbound(self.outbound_addresses)
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


@documented
@dataclass(frozen=True, kw_only=True)
class LocalOptions(ServerChoice, SocksOptions):
    """Options of a SOCKS and HTTP proxy that leads to a Shadowsocks server."""


@documented
@dataclass(frozen=True, kw_only=True)
class ProxyOptions(Dialing, SocksOptions):
    """Options of a plain SOCKS and HTTP proxy."""

    # fmt: off
    bind_addresses: Sequence[str] = option((),
        "IP address at which a peer that a client expects (SOCKS BIND, as for FTP) can connect; "
        "one IPv4 and one IPv6 at most.",
        default="the one that leads to that peer", key="bind_address", places=_LOCALS,
        read=values.read_ip_addresses, metavar="ADDRESS", repeated=True, section=BINDING)
    bind_ports: tuple[int, int] | None = option(None,
        "First and last of the ports for that, as 50000-50100.",
        default="any", places=_LOCALS, metavar="FIRST-LAST", section=BINDING,
        check=check_bind_ports, live=True)
    bind_timeout: float = option(120.0, "Seconds to wait for such a peer.",
        places=_LOCALS, section=BINDING, check=check_seconds, live=True)
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bind_addresses(self.bind_addresses)

    @property
    def announced_addresses(self) -> tuple[str, ...]:
        """See :attr:`Options.announced_addresses`."""
        return tuple(filter(None, (self.public_address, self.udp_address)))


_ONE_TARGET = refused(
    "one target for all clients is for `fastsocks tunnel`, and for an entry of `locals` whose "
    "protocol is tunnel"
)


@documented
@dataclass(frozen=True, kw_only=True)
class TunnelOptions(ServerChoice, UpstreamOptions, ListenerOptions):
    """Options of a listener that leads all of its clients to one target.

    It leads there through a Shadowsocks server where there is one, else through `upstream`, else
    by itself.
    """

    # fmt: off
    target: str = field(metadata=about("Where all clients are led: HOST:PORT.",
        more="An IPv6 address stands in brackets.",
        places=_LOCALS, read=values.read_target, elsewhere=_ONE_TARGET,
        flags="-L --forward", metavar="HOST:PORT", check=values.read_target,
        also={
            "tunnel_address": Option(peers=Peer.LIBEV, elsewhere=_ONE_TARGET, flags=""),
            "forward_address": Option("The host of `target`, beside its forward_port.",
                peers=Peer.RUST, places=_LOCALS, read=values.read_text, elsewhere=_ONE_TARGET,
                flags=""),
            "forward_port": Option("The port of `target`, beside its forward_address.",
                peers=Peer.RUST, places=_LOCALS, read=values.read_listening_port,
                elsewhere=_ONE_TARGET, flags=""),
        }))
    server: str = field(default="", metadata=SERVER)
    method: str = field(default="", metadata=METHOD)
    payload_wait: int = option(10,
        "Milliseconds that a client has to send something that goes with its request; 0 waits for "
        "nothing.",
        more="Targets that speak first are reached after as long. 0..10000.",
        places=_LOCALS, metavar="MILLISECONDS", section=WAYS, limits=(0, 10_000))
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.server and not self.method:
            raise ConfigError("method: none given; a good one is 2022-blake3-aes-128-gcm")
        if not self.server and (self.method or self.password or self.key or self.servers):
            raise ConfigError("server: its address is missing")
        if self.server and self.upstream:
            raise ConfigError("upstream: there is a server too; give one of the two")

    @property
    def target_address(self) -> Address:
        """:attr:`target`, read."""
        host, port = values.split_host(self.target)
        return Address.of(host, port or 0)
