"""Every key that is known, and what it means on each side.

One table serves files, variables (``FASTSOCKS_`` and the key in capitals) and flags, and is what
documentation and tests go by. A key that its peers know and fastsocks does not support is refused
where it decides who may connect or where traffic goes, and otherwise ignored with a warning; set
to what turns it off (false, 0, null or nothing), it is ignored without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, Flag, auto

from . import values
from .options import LIMITS
from .rules import read_rules


class Side(Enum):
    """A service, by the command that runs it."""

    SERVER = "server"
    LOCAL = "local"
    PROXY = "proxy"


class Peer(Flag):
    """Whose configurations have a key."""

    LIBEV = auto()
    RUST = auto()
    #: The first shadowsocks, in Python.
    PYTHON = auto()
    FASTSOCKS = auto()


class Place(Flag):
    """Where in a file a key may stand."""

    TOP = auto()
    #: In an entry of ``servers``.
    SERVERS = auto()
    #: In an entry of ``locals``.
    LOCALS = auto()


class Use(Enum):
    """What becomes of a key."""

    #: It sets an option.
    OPTION = "option"
    #: It is for somebody else, or says nothing that could be acted on.
    IGNORED = "ignored"
    #: It is ignored, with a warning.
    WARNING = "warning"
    #: It is an error.
    REFUSED = "refused"


@dataclass(frozen=True)
class Meaning:
    """What a key means on one side."""

    use: Use
    #: The option that it sets, or the warning or error with what to do instead.
    text: str = ""


@dataclass(frozen=True)
class Key:
    """One key."""

    name: str
    peers: Peer
    places: Place
    server: Meaning
    local: Meaning
    proxy: Meaning
    read: Callable[[object], object] = values.read_text
    #: Whether the value is, or has in it, something that nobody else may know.
    secret: bool = False
    #: Of the process, not of a service.
    process: bool = False

    def meaning(self, side: Side) -> Meaning:
        """Return what it means on `side`."""
        return {Side.SERVER: self.server, Side.LOCAL: self.local, Side.PROXY: self.proxy}[side]


#: Other names of keys.
ALIASES = {
    "address": "server",
    "port": "server_port",
    "name": "remarks",
    "shadowsocks": "servers",
}

#: Keys that give a password, of which there can be one.
PASSWORDS = ("password", "key", "password_file")

_LIBEV, _RUST, _PYTHON, _FASTSOCKS = Peer.LIBEV, Peer.RUST, Peer.PYTHON, Peer.FASTSOCKS
_BOTH = _LIBEV | _RUST
_ALL = _BOTH | _PYTHON | _FASTSOCKS
_TOP, _SERVERS, _LOCALS = Place.TOP, Place.SERVERS, Place.LOCALS

_IGNORED = Meaning(Use.IGNORED)


def _sets(option: str) -> Meaning:
    return Meaning(Use.OPTION, option)


def _warning(text: str) -> Meaning:
    return Meaning(Use.WARNING, text)


def _refused(text: str) -> Meaning:
    return Meaning(Use.REFUSED, text)


_NO_SERVER = _refused(
    "the proxy connects to targets by itself, without a server or encryption: remove it, "
    "or run `fastsocks local`"
)
_NOT_A_USER = _refused("a server's users are `users`, names and their keys of a 2022 method")
_USE_ACCOUNTS = _refused("who may use it is `accounts`, names and passwords")
_NO_UPSTREAM = _refused(
    "local leads to its Shadowsocks server; `fastsocks proxy` leads through others, ss:// among "
    "them"
)
_NO_GSSAPI = _refused("GSSAPI is for the SOCKS5 clients of `fastsocks local` and `fastsocks proxy`")
_SERVER_DECIDES = _warning("ignored: the server decides that")


def _everywhere(
    name: str,
    peers: Peer,
    meaning: Meaning,
    read: Callable[[object], object] = values.read_text,
    places: Place = _TOP,
    *,
    process: bool = False,
) -> Key:
    return Key(name, peers, places, meaning, meaning, meaning, read, process=process)


def _option(
    name: str,
    peers: Peer,
    read: Callable[[object], object],
    places: Place = _TOP,
) -> Key:
    return _everywhere(name, peers, _sets(name), read, places)


def _process(name: str, peers: Peer, read: Callable[[object], object]) -> Key:
    return _everywhere(name, peers, _sets(name), read, process=True)


def _secret(name: str, peers: Peer) -> Key:
    sets = _sets(name)
    places = _TOP | _SERVERS
    read = values.read_text if name == "password_file" else values.read_password
    return Key(name, peers, places, sets, sets, _NO_SERVER, read, secret=True)


def _ignored(names: str, peers: Peer, places: Place, text: str) -> list[Key]:
    return [_everywhere(name, peers, _warning(text), places=places) for name in names.split()]


def _not_yet(names: str, peers: Peer, places: Place, text: str) -> list[Key]:
    text = f"not supported yet: {text}"
    return [_everywhere(name, peers, _refused(text), places=places) for name in names.split()]


_KERNEL = "ignored: the system's own setting holds"

_KEYS: tuple[Key, ...] = (
    # Both ends
    Key(
        "server", _ALL, _TOP | _SERVERS,
        _sets("addresses"), _sets("server"), _NO_SERVER, values.read_hosts,
    ),
    Key(
        "server_port", _ALL, _TOP | _SERVERS,
        _sets("port"), _sets("server_port"), _NO_SERVER, values.read_listening_port,
    ),
    Key(
        "local_address", _ALL, _TOP | _LOCALS,
        _sets("outbound_addresses"), _sets("addresses"), _sets("addresses"), values.read_hosts,
    ),
    Key(
        "local_port", _ALL, _TOP | _LOCALS,
        _IGNORED, _sets("port"), _sets("port"), values.read_listening_port,
    ),
    *(
        Key(
            name, _LIBEV, _TOP, _sets("outbound_addresses"),
            _warning("ignored: only a server chooses the address that it dials from"),
            _warning("ignored: only a server chooses the address that it dials from"),
            values.read_ip_addresses,
        )
        for name in ("local_ipv4_address", "local_ipv6_address")
    ),
    _secret("password", _ALL),
    _secret("key", _LIBEV),
    _secret("password_file", _FASTSOCKS),
    Key(
        "method", _ALL, _TOP | _SERVERS,
        _sets("method"), _sets("method"), _NO_SERVER, values.read_lowercase,
    ),
    Key(
        "url", _FASTSOCKS, _TOP,
        _refused("ss:// URLs are for `fastsocks local`; a server has server, server_port, method "
                 "and password"),
        _sets("url"), _NO_SERVER, secret=True,
    ),
    # Who may connect
    Key("users", _RUST, _TOP, _sets("users"), _USE_ACCOUNTS, _USE_ACCOUNTS,
        values.read_accounts, secret=True),
    Key("users", _RUST, _SERVERS, _sets("users"), _IGNORED, _NO_SERVER,
        values.read_accounts, secret=True),
    Key("accounts", _FASTSOCKS, _TOP | _LOCALS, _NOT_A_USER, _sets("accounts"), _sets("accounts"),
        values.read_accounts, secret=True),
    Key("protocols", _FASTSOCKS, _TOP | _LOCALS, _IGNORED, _sets("protocols"), _sets("protocols"),
        values.read_words),
    Key("accounts_file", _FASTSOCKS, _TOP | _LOCALS, _NOT_A_USER, _sets("accounts_file"),
        _sets("accounts_file")),
    *(
        Key(name, _FASTSOCKS, _TOP | _LOCALS, _NO_GSSAPI, _sets(name), _sets(name), read)
        for name, read in (
            ("gssapi", values.read_flag),
            ("gssapi_keytab", values.read_text),
            ("gssapi_protection", values.read_words),
        )
    ),
    Key("allow_private", _FASTSOCKS, _TOP | _SERVERS | _LOCALS,
        _sets("allow_private"), _SERVER_DECIDES, _sets("allow_private"), values.read_flag),
    Key("allow_unencrypted", _FASTSOCKS, _TOP | _SERVERS,
        _sets("allow_unencrypted"), _IGNORED, _IGNORED, values.read_flag),
    _option("rules", _FASTSOCKS, read_rules, _TOP | _SERVERS | _LOCALS),
    _everywhere("acl", _BOTH, _sets("rules"), places=_TOP | _SERVERS | _LOCALS),
    _everywhere("acl_leave_out", _FASTSOCKS, _sets("rules"), values.read_flag,
        _TOP | _SERVERS | _LOCALS),
    Key("upstream", _FASTSOCKS, _TOP | _SERVERS | _LOCALS,
        _sets("upstream"), _NO_UPSTREAM, _sets("upstream"), values.read_texts, secret=True),
    Key("search_domains", _FASTSOCKS, _TOP, _sets("search_domains"),
        _warning("ignored: the server looks names up"), _sets("search_domains"),
        values.read_words),
    # How
    _option("timeout", _ALL, values.read_seconds, _TOP | _SERVERS),
    _option("tcp_idle_timeout", _FASTSOCKS, values.read_seconds),
    _option("grace", _FASTSOCKS, values.read_grace),
    _option("mode", _BOTH, values.read_lowercase, _TOP | _SERVERS | _LOCALS),
    _option("fast_open", _BOTH | _PYTHON, values.read_flag),
    _option("reuse_port", _LIBEV, values.read_flag),
    _option("no_delay", _BOTH, values.read_flag),
    _option("ipv6_first", _BOTH, values.read_flag),
    _option("ipv4_first", _FASTSOCKS, values.read_flag),
    _option("ipv4_only", _FASTSOCKS, values.read_flag),
    # shadowsocks-rust has the name of the option for what it listens on.
    _everywhere("target_ipv6_only", _FASTSOCKS, _sets("ipv6_only"), values.read_flag),
    _everywhere("ipv6_only", _RUST, _sets("listening_on_ipv6_only"), values.read_flag),
    _option("resolver", _FASTSOCKS, values.read_resolver),
    _everywhere("nameserver", _LIBEV, _sets("resolver"), values.read_resolver),
    _everywhere("dns", _RUST, _sets("resolver"), values.read_resolver),
    _option("mtu", _LIBEV, values.read_mtu),
    _everywhere("udp_mtu", _RUST | _FASTSOCKS, _sets("mtu"), values.read_mtu, _TOP | _SERVERS),
    _option("udp_timeout", _RUST | _FASTSOCKS, values.read_seconds, _TOP | _SERVERS),
    Key("udp_address", _FASTSOCKS, _TOP | _LOCALS, _IGNORED, _sets("udp_address"),
        _sets("udp_address"), values.read_text),
    Key("short_replies", _FASTSOCKS, _TOP | _LOCALS, _IGNORED, _sets("short_replies"),
        _sets("short_replies"), values.read_flag),
    Key("max_request_head", _FASTSOCKS, _TOP | _LOCALS, _IGNORED, _sets("max_request_head"),
        _sets("max_request_head"), values.read_integer),
    *(
        Key(name, _FASTSOCKS, _TOP | _LOCALS, _IGNORED, _IGNORED, _sets(option), read)
        for name, option, read in (
            ("bind_address", "bind_addresses", values.read_ip_addresses),
            ("bind_ports", "bind_ports", values.read_ports),
            ("bind_timeout", "bind_timeout", values.read_seconds),
        )
    ),
    _option("access_log", _FASTSOCKS, values.read_flag),
    *(
        _option(name, _RUST | _FASTSOCKS, values.read_integer, _TOP | _SERVERS)
        if name == "udp_max_associations" else _option(name, _FASTSOCKS, values.read_integer)
        for name in LIMITS
    ),
    # The process
    _process("user", _LIBEV | _PYTHON, values.read_text),
    _process("workers", _PYTHON | _FASTSOCKS, values.read_workers),
    _process("nofile", _BOTH, values.read_integer),
    _process("no_core_dumps", _FASTSOCKS, values.read_flag),
    _process("log_level", _FASTSOCKS, values.read_lowercase),
    _process("log_format", _FASTSOCKS, values.read_lowercase),
    _process("public_address", _FASTSOCKS, values.read_text),
    # The shape of a file
    Key("servers", _RUST, _TOP, _sets("servers"), _sets("servers"), _NO_SERVER),
    Key("locals", _RUST, _TOP, _IGNORED, _sets("locals"), _sets("locals")),
    _everywhere("disabled", _RUST, _sets("disabled"), values.read_flag, _SERVERS | _LOCALS),
    Key("protocol", _RUST, _TOP | _LOCALS, _IGNORED, _sets("protocol"), _sets("protocol"),
        values.read_lowercase),
    # SIP008 and remarks
    *(
        _everywhere(name, _RUST, _IGNORED, places=_TOP | _SERVERS)
        for name in ("version", "id", "remarks", "bytes_used", "bytes_remaining")
    ),
    # Ignored with a warning
    *_ignored("inbound_udp_allow_fragmentation outbound_udp_allow_fragmentation",
              _RUST, _TOP | _SERVERS, "ignored: the system may fragment datagrams"),
    *_ignored("local_udp_address local_udp_port", _RUST, _LOCALS,
              "ignored: each association has a port of its own, at the address at which its TCP "
              "connection arrived"),
    *_ignored("keep_alive", _RUST, _TOP,
              "ignored: silent connections are probed after 120 s, and every 30 s from then on"),
    *_ignored("mptcp", _BOTH, _TOP, _KERNEL),
    *_ignored("dscp tcp_incoming_sndbuf tcp_incoming_rcvbuf tcp_outgoing_sndbuf "
              "tcp_outgoing_rcvbuf", _LIBEV, _TOP, _KERNEL),
    *_ignored("dns_cache_size", _RUST, _TOP, "ignored: 4096 names are remembered"),
    *_ignored("balancer", _RUST, _TOP, "ignored: servers are probed every 10 s, by connecting"),
    *_ignored("tcp_weight udp_weight", _RUST, _SERVERS, "ignored: servers are not weighed"),
    *_ignored("manager_address manager_port", _BOTH, _TOP,
              "ignored: there is no manager to talk to"),
    *_ignored("log", _RUST, _TOP, "ignored: use log_level and log_format"),
    *_ignored("runtime", _RUST, _TOP, "ignored: a process has one thread of its own"),
    *_ignored("use_syslog", _LIBEV, _TOP,
              "ignored: the log goes to standard error, which systemd's journal takes"),
    *_ignored("workdir", _LIBEV, _TOP, "ignored: set it where the process is started"),
    *_ignored("launchd_tcp_socket_name launchd_udp_socket_name", _RUST, _TOP | _LOCALS,
              "ignored: sockets are not taken from launchd"),
    *_ignored("plugin_opts plugin_args plugin_mode", _BOTH, _TOP | _SERVERS,
              "ignored: there is no plugin"),
    # Refused
    *_not_yet("plugin", _BOTH, _TOP | _SERVERS,
              "SIP003 plugins; remove it on both ends, or keep shadowsocks-rust for this server"),
    *_not_yet("forbidden_ip", _PYTHON, _TOP,
              "write `rules`, as [\"deny to 10.0.0.0/8\"]; addresses that are not public are "
              "refused anyway, so remove it if that will do"),
    *_not_yet("port_password", _LIBEV | _PYTHON, _TOP,
              "a password for each port; write `servers`, with a server_port and a password each"),
    *_not_yet("outbound_bind_addr", _RUST, _TOP | _SERVERS,
              "on a server, local_address is the address that it dials from"),
    *_not_yet("outbound_bind_interface outbound_fwmark outbound_user_cookie", _RUST,
              _TOP | _SERVERS,
              "choosing the way out; remove it, and route by local_address or a network namespace"),
    *_not_yet("outbound_proxy", _RUST, _TOP | _SERVERS,
              "write `upstream`, the URL of the other proxy, for `server` and `proxy`"),
    *_not_yet("security", _RUST, _TOP,
              "another policy about replays than to reject them; remove it if that will do"),
    *_not_yet("online_config", _RUST, _TOP,
              "servers by SIP008; download the file, and give it to -c"),
    *_not_yet("auth one_time_auth", _LIBEV | _PYTHON, _TOP,
              "one-time authentication, which its inventors gave up; remove it, and use an AEAD "
              "method"),
    *_not_yet("socks5_auth_config_path http_auth_config_path", _RUST, _LOCALS,
              "users in such a file; write them here, as `accounts`, or by `fastsocks passwd` "
              "into an accounts_file"),
    *_not_yet("tunnel_address", _LIBEV, _TOP, "tunnels; keep ss-tunnel for this one"),
    *_not_yet("forward_address forward_port", _RUST, _LOCALS,
              "tunnels; keep sslocal for this one"),
    *_not_yet("tcp_tproxy", _LIBEV, _TOP, "transparent proxying; keep ss-redir for this one"),
    *_not_yet("tcp_redir udp_redir", _RUST, _LOCALS,
              "transparent proxying; keep sslocal for this one"),
    *_not_yet("local_dns_address local_dns_port remote_dns_address remote_dns_port "
              "client_cache_size fake_dns_record_expire_duration fake_dns_ipv4_network "
              "fake_dns_ipv6_network fake_dns_database_path",
              _RUST, _LOCALS, "serving DNS; keep sslocal for this one"),
    *_not_yet("tun_interface_name tun_interface_address tun_interface_destination "
              "tun_device_fd_from_path",
              _RUST, _LOCALS, "tun devices; keep sslocal for this one"),
)  # fmt: skip


def _by_name(place: Place) -> dict[str, Key]:
    return {key.name: key for key in _KEYS if place in key.places}


#: The keys of each place, by name.
KEYS: dict[Place, dict[str, Key]] = {place: _by_name(place) for place in Place}
