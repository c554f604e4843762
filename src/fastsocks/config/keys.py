"""Every key that is known, and what it means on each side.

One table serves files, variables (``FASTSOCKS_`` and the key in capitals) and flags, and is what
documentation and tests go by. Most of it is made from the options (:mod:`.option`); what is
written here gives a file its shape, or is had by others and not by us. A key that its peers know
and fastsocks does not support is refused where it decides who may connect or where traffic goes,
and otherwise ignored with a warning; set to what turns it off (false, 0, null or nothing), it is
ignored without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import reduce
from operator import or_

from . import values
from .option import IGNORED, Meaning, Option, OptionKey, Peer, Place, Use, keys_of, refused, warning
from .options import LocalOptions, ProxyOptions, ServerOptions, TunnelOptions
from .server_entry import NO_SERVER
from .service_options import Options, ProcessOptions


class Side(Enum):
    """A service, by the command that runs it."""

    SERVER = "server"
    LOCAL = "local"
    PROXY = "proxy"
    TUNNEL = "tunnel"


#: What each service is configured by.
OPTIONS: dict[Side, type[Options]] = {
    Side.SERVER: ServerOptions,
    Side.LOCAL: LocalOptions,
    Side.PROXY: ProxyOptions,
    Side.TUNNEL: TunnelOptions,
}


@dataclass(frozen=True)
class Key:
    """One key."""

    name: str
    peers: Peer
    places: Place
    meanings: dict[Side, Meaning]
    read: Callable[[object], object] = values.read_text
    #: Whether the value is, or has in it, something that nobody else may know.
    secret: bool = False
    #: Of the process, not of a service.
    process: bool = False
    #: What is said of the option that it sets.
    options: dict[Side, Option] = field(default_factory=dict)

    def meaning(self, side: Side) -> Meaning:
        """Return what it means on `side`."""
        return self.meanings[side]

    def flag(self, side: Side) -> str:
        """Return the flag of `side` that gives it, as messages name it."""
        if self.name == "url":
            return "ss:// URL"
        flags = self.options[side].flag_names(self.name)
        return flags[-1] if flags else f"--{self.name.replace('_', '-')}"


#: Other names of keys.
ALIASES = {
    "address": "server",
    "port": "server_port",
    "name": "remarks",
    "shadowsocks": "servers",
}

#: Keys that give a password, of which there can be one.
PASSWORDS = ("password", "key", "password_file")


def _of_options() -> Iterator[Key]:
    """Yield the keys of all classes of options."""
    found: dict[str, dict[Side, OptionKey]] = {}
    of_process = {one.name: one for one in keys_of(ProcessOptions)}
    for side, kind in OPTIONS.items():
        for one in (*keys_of(kind), *of_process.values()):
            found.setdefault(one.name, {})[side] = one
    for name, ones in found.items():
        said = {side: one.option for side, one in ones.items()}
        meanings = {side: Meaning(Use.OPTION, one.field) for side, one in ones.items()}
        for side in set(Side) - ones.keys():
            elsewhere = (option.means_to(side.value) for option in said.values())
            meanings[side] = next((one for one in elsewhere if one.use is not Use.IGNORED), IGNORED)
        yield Key(
            name,
            reduce(or_, (option.peers for option in said.values())),
            reduce(or_, (option.places for option in said.values())),
            meanings,
            next(iter(ones.values())).read,
            any(option.secret for option in said.values()),
            name in of_process,
            said,
        )


def _not_yet(text: str) -> Meaning:
    return refused(f"not supported yet: {text}")


_LIBEV, _RUST, _PYTHON = Peer.LIBEV, Peer.RUST, Peer.PYTHON
_BOTH = _LIBEV | _RUST
_TOP, _SERVERS, _LOCALS = Place.TOP, Place.SERVERS, Place.LOCALS

#: Keys that peers have and we do not, with what to do instead.
_NOT_HERE: tuple[tuple[str, Peer, Place, Meaning], ...] = (
    ("version id remarks bytes_used bytes_remaining", _RUST, _TOP | _SERVERS, IGNORED),
    ("inbound_udp_allow_fragmentation outbound_udp_allow_fragmentation", _RUST, _TOP | _SERVERS,
     warning("the system may fragment datagrams")),
    ("local_udp_address local_udp_port", _RUST, _LOCALS,
     warning("each association has a port of its own, at the address at which its TCP connection "
             "arrived")),
    ("keep_alive", _RUST, _TOP,
     warning("silent connections are probed after 120 s, and every 30 s from then on")),
    ("mptcp", _BOTH, _TOP,
     warning("the system's own setting holds")),
    (("dscp tcp_incoming_sndbuf tcp_incoming_rcvbuf tcp_outgoing_sndbuf "
     "tcp_outgoing_rcvbuf"), _LIBEV, _TOP,
     warning("the system's own setting holds")),
    ("dns_cache_size", _RUST, _TOP,
     warning("4096 names are remembered")),
    ("balancer", _RUST, _TOP,
     warning("servers are probed every 10 s, by connecting")),
    ("tcp_weight udp_weight", _RUST, _SERVERS,
     warning("servers are not weighed")),
    ("manager_address manager_port", _BOTH, _TOP,
     warning("there is no manager to talk to")),
    ("log", _RUST, _TOP,
     warning("use log_level and log_format")),
    ("runtime", _RUST, _TOP,
     warning("a process has one thread of its own")),
    ("use_syslog", _LIBEV, _TOP,
     warning("the log goes to standard error, which systemd's journal takes")),
    ("workdir", _LIBEV, _TOP,
     warning("set it where the process is started")),
    ("launchd_tcp_socket_name launchd_udp_socket_name", _RUST, _TOP | _LOCALS,
     warning("sockets are not taken from launchd")),
    ("plugin_opts plugin_args plugin_mode", _BOTH, _TOP | _SERVERS,
     warning("there is no plugin")),
    ("plugin", _BOTH, _TOP | _SERVERS,
     _not_yet("SIP003 plugins; remove it on both ends, or keep shadowsocks-rust for this server")),
    ("forbidden_ip", _PYTHON, _TOP,
     _not_yet("write `rules`, as [\"deny to 10.0.0.0/8\"]; addresses that are not public are "
              "refused anyway, so remove it if that will do")),
    ("port_password", _LIBEV | _PYTHON, _TOP,
     _not_yet("a password for each port; write `servers`, with a server_port and a password "
              "each")),
    ("outbound_bind_addr", _RUST, _TOP | _SERVERS,
     _not_yet("on a server, local_address is the address that it dials from")),
    ("outbound_bind_interface outbound_fwmark outbound_user_cookie", _RUST, _TOP | _SERVERS,
     _not_yet("choosing the way out; remove it, and route by local_address or a network "
              "namespace")),
    ("outbound_proxy", _RUST, _TOP | _SERVERS,
     _not_yet("write `upstream`, the URL of the other proxy, for `server` and `proxy`")),
    ("security", _RUST, _TOP,
     _not_yet("another policy about replays than to reject them; remove it if that will do")),
    ("online_config", _RUST, _TOP,
     _not_yet("servers by SIP008; download the file, and give it to -c")),
    ("auth one_time_auth", _LIBEV | _PYTHON, _TOP,
     _not_yet("one-time authentication, which its inventors gave up; remove it, and use an AEAD "
              "method")),
    ("socks5_auth_config_path http_auth_config_path", _RUST, _LOCALS,
     _not_yet("users in such a file; write them here, as `accounts`, or by `fastsocks passwd` "
              "into an accounts_file")),
    ("tcp_tproxy", _LIBEV, _TOP,
     _not_yet("transparent proxying; keep ss-redir for this one")),
    ("tcp_redir udp_redir", _RUST, _LOCALS,
     _not_yet("transparent proxying; keep sslocal for this one")),
    (("local_dns_address local_dns_port remote_dns_address remote_dns_port client_cache_size "
     "fake_dns_record_expire_duration fake_dns_ipv4_network fake_dns_ipv6_network "
     "fake_dns_database_path"), _RUST, _LOCALS,
     _not_yet("serving DNS; keep sslocal for this one")),
    (("tun_interface_name tun_interface_address tun_interface_destination "
     "tun_device_fd_from_path"), _RUST, _LOCALS,
     _not_yet("tun devices; keep sslocal for this one")),
)  # fmt: skip


def _shape(
    name: str,
    text: str,
    others: dict[Side, Meaning],
    places: Place = _TOP,
    read: Callable[[object], object] = values.read_text,
) -> Key:
    """Return a key that gives a file its shape."""
    meanings = dict.fromkeys(Side, Meaning(Use.OPTION, name)) | others
    options = dict.fromkeys(Side, Option(text, flags=""))
    return Key(name, _RUST, places, meanings, read, options=options)


_SHAPES = (
    _shape(
        "servers",
        "Several servers, each with keys of its own; local uses the best (see upstream.md).",
        {Side.PROXY: NO_SERVER},
    ),
    _shape("locals", "Several listeners, each with keys of its own.", {Side.SERVER: IGNORED}),
    _shape("disabled", "Leaves this entry out.", {}, _SERVERS | _LOCALS, values.read_flag),
)


def _not_here() -> Iterator[Key]:
    for names, peers, places, meaning in _NOT_HERE:
        for name in names.split():
            yield Key(name, peers, places, dict.fromkeys(Side, meaning))


def make_keys() -> dict[Place, dict[str, Key]]:
    """Return the keys of each place, by name, for the classes of OPTIONS."""
    found = {key.name: key for key in (*_of_options(), *_SHAPES, *_not_here())}
    keys = {
        place: {name: key for name, key in found.items() if place in key.places} for place in Place
    }
    # The users of an entry, to those who connect to it, are other people.
    users = found["users"]
    others = dict.fromkeys((Side.LOCAL, Side.PROXY, Side.TUNNEL), IGNORED)
    keys[_SERVERS]["users"] = replace(users, meanings=users.meanings | others)
    return keys


#: The keys of each place, by name.
KEYS = make_keys()
