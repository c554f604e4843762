"""Shadowsocks servers, as options name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from . import values
from .option import Checked, Option, Peer, Place, about, documented, option, refused
from .option_checks import check_key, check_method, check_port, check_server
from .text import without_line_ends

_ALL = Peer.LIBEV | Peer.RUST | Peer.PYTHON
_SERVERS = Place.TOP | Place.SERVERS

NO_SERVER = refused(
    "the proxy connects to targets by itself, without a server or encryption: remove it, "
    "or run `fastsocks local`"
)

# fmt: off
METHOD = about("Encryption method, the same at both ends; take 2022-blake3-aes-128-gcm.",
    more="``fastsocks genkey METHOD`` makes a key for it.",
    peers=_ALL, places=_SERVERS, read=values.read_lowercase, elsewhere=NO_SERVER,
    flags="-m --method", metavar="METHOD", check=check_method, live=True)
SERVER = about("Address of the Shadowsocks server.",
    peers=_ALL, places=_SERVERS, read=values.read_hosts, elsewhere=NO_SERVER,
    flags="-s --server", metavar="ADDRESS", check=check_server,
    also={
        "url": Option("An ``ss://`` URL, in the place of server, server_port, method and password.",
            secret=True, flags="",
            elsewhere=refused(
                "ss:// URLs are for `fastsocks local`; a server has server, server_port, method "
                "and password, and a proxy none of them")),
    }, live=True)
# fmt: on


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Encryption(Checked):
    """What the two ends of Shadowsocks have in common."""

    # fmt: off
    password: str = option("",
        "Password; for a 2022 method a key (`fastsocks genkey`). Other users of this machine can "
        "see a flag for a moment, and shells keep a history: better --password-file or the "
        "variable FASTSOCKS_PASSWORD.",
        more="A key is a PSK in base64. On a server with users it is the iPSK, and for one of "
        "them ``iPSK:uPSK``.",
        peers=_ALL, places=_SERVERS, read=values.read_password, elsewhere=NO_SERVER, secret=True,
        flags="-k --password", metavar="KEY",
        also={
            "password_file": Option("File that has the password in its only line.",
                more="Its name in a file starts from the folder of that.",
                places=_SERVERS, elsewhere=NO_SERVER, secret=True, metavar="FILE"),
        }, live=True)
    key: str = option("",
        "The key itself in the place of a password, as shadowsocks-libev takes it.",
        more="URL-safe base64 of at least as many bytes as the method's key has, of which that "
        "many count. Not for 2022 methods.",
        peers=Peer.LIBEV, places=_SERVERS, read=values.read_password, elsewhere=NO_SERVER,
        secret=True, metavar="BASE64", live=True)
    method: str = field(metadata=METHOD)
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "password", without_line_ends(self.password))
        check_key(self.password, self.key)


@documented
@dataclass(frozen=True, kw_only=True)
class ServerEntry(Encryption):
    """One of several Shadowsocks servers; its fields are those of :class:`LocalOptions`."""

    # fmt: off
    server: str = field(metadata=SERVER)
    server_port: int = option(8388, "Port of the Shadowsocks server.",
        peers=_ALL, places=_SERVERS, read=values.read_listening_port, elsewhere=NO_SERVER,
        flags="-p --server-port", metavar="PORT", live=True)
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        check_port("server port", self.server_port, lowest=1)


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class ServerChoice(ServerEntry):
    """What services have that lead to Shadowsocks servers."""

    # fmt: off
    servers: Sequence[ServerEntry] = option((),
        "Further servers: the one that takes least is used, and another one when it is not there.",
        more="Each has a server, a server_port, a method and a password or key. See upstream.md.",
        elsewhere=NO_SERVER, peers=Peer.RUST, flags="", live=True)
    # fmt: on
