"""Servers that a connection can be made through, as URLs name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from ..address import Address
from ..config.url import ServerURL
from ..errors import AddressError, ConfigError
from ..shadowsocks import ClientCodec, client_key
from ..socks import SocksClient

if TYPE_CHECKING:
    from ..shadowsocks import ClientKey

_SOCKS_PORT = 1080


class ShadowsocksUpstream(NamedTuple):
    """A Shadowsocks server."""

    address: Address
    key: ClientKey

    def codec(self) -> ClientCodec:
        """Make the codec of one connection."""
        return ClientCodec(self.key)


class SocksUpstream(NamedTuple):
    """A SOCKS5 server."""

    address: Address
    username: bytes | None
    password: bytes | None

    def client(self, target: Address) -> SocksClient:
        """Make the client's side of one handshake."""
        return SocksClient(target, username=self.username, password=self.password)

    def __repr__(self) -> str:
        return f"<SocksUpstream {self.address}>"


Upstream: TypeAlias = ShadowsocksUpstream | SocksUpstream


def read_upstream(url: str) -> Upstream:
    """Read ``ss://...`` (SIP002) or ``socks5://[user:password@]host[:port]``.

    ``socks5h`` is the same: names are always the server's to resolve.

    :raises ConfigError: another scheme, a malformed URL, or one that asks for a plugin; never
        repeats a password.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "ss":
        server = ServerURL.parse(url)
        if server.plugin:
            raise ConfigError("url: SIP003 plugins are not supported")
        return ShadowsocksUpstream(
            _address(server.host, server.port), client_key(server.method, server.password)
        )
    if scheme in ("socks5", "socks5h"):
        return _read_socks(url)
    raise ConfigError("url: it begins with neither ss:// nor socks5://")


def _read_socks(url: str) -> SocksUpstream:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # Its text may repeat a password.
        raise ConfigError("url: write socks5://[user:password@]host[:port]") from None
    if not parts.hostname:
        raise ConfigError("url: the host is missing in socks5://[user:password@]host[:port]")
    username = None if parts.username is None else unquote_to_bytes(parts.username)
    password = None if username is None else unquote_to_bytes(parts.password or "")
    return SocksUpstream(
        _address(parts.hostname, _SOCKS_PORT if port is None else port), username, password
    )


def _address(host: str, port: int) -> Address:
    try:
        return Address.of(host, port)
    except AddressError as error:
        raise ConfigError(f"url: {error}") from error
