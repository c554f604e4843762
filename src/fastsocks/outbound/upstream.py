"""Servers that a connection can be made through, as URLs name them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from fastsocks.address import Address, canonical
from fastsocks.config.text import without_line_ends
from fastsocks.config.url import ServerURL
from fastsocks.errors import AddressError, ConfigError, HostNameError
from fastsocks.request import CONNECT
from fastsocks.shadowsocks import ClientCodec, client_key
from fastsocks.socks import SocksClient

if TYPE_CHECKING:
    from fastsocks.shadowsocks import ClientKey
    from fastsocks.socks.http.client import HttpClient

_SOCKS_PORT = 1080
_HTTP_PORT = 8080


class ShadowsocksUpstream(NamedTuple):
    """A Shadowsocks server."""

    address: Address
    key: ClientKey

    def codec(self) -> ClientCodec:
        """Make the codec of one connection."""
        return ClientCodec(self.key)

    def __str__(self) -> str:
        return f"ss://{self.address}"


class SocksUpstream(NamedTuple):
    """A SOCKS5 server."""

    address: Address
    username: bytes | None
    password: bytes | None

    def client(self, target: Address, command: int = CONNECT) -> SocksClient:
        """Make the client's side of one handshake."""
        return SocksClient(target, username=self.username, password=self.password, command=command)

    def __str__(self) -> str:
        return f"socks5://{self.address}"

    def __repr__(self) -> str:
        return f"<SocksUpstream {self.address}>"


class HttpUpstream(NamedTuple):
    """An HTTP proxy, by its CONNECT."""

    address: Address
    username: bytes | None
    password: bytes | None

    def client(self, target: Address) -> HttpClient:
        """Make the client's side of one handshake."""
        from fastsocks.socks.http.client import HttpClient

        return HttpClient(target, username=self.username, password=self.password)

    def __str__(self) -> str:
        return f"http://{self.address}"

    def __repr__(self) -> str:
        return f"<HttpUpstream {self.address}>"


Upstream: TypeAlias = ShadowsocksUpstream | SocksUpstream | HttpUpstream


def read_upstream(url: str) -> Upstream:
    """Read ``ss://...`` (SIP002), ``socks5://`` or ``http://[user:password@]host[:port]``.

    ``socks5h`` is the same as ``socks5``: names are always the server's to resolve.

    :raises ConfigError: another scheme, a malformed URL, or one that asks for a plugin; never
        repeats a password.
    """
    if not isinstance(url, str):
        raise ConfigError(f"url: it has to be a text, not {type(url).__name__}")
    url = without_line_ends(url.strip())
    scheme = url.partition(":")[0].lower()
    if scheme == "ss":
        server = ServerURL.parse(url)
        server.settings()  # Refuses what cannot be had.
        return ShadowsocksUpstream(
            _address(server.host, server.port), client_key(server.method, server.password)
        )
    if scheme in ("socks5", "socks5h"):
        found = SocksUpstream(*_read_proxy(url, "socks5", _SOCKS_PORT))
        # Checks the credentials.
        found.client(found.address)
        return found
    if scheme == "http":
        proxy = HttpUpstream(*_read_proxy(url, "http", _HTTP_PORT))
        if proxy.username is not None and b":" in proxy.username:
            raise ConfigError(
                "url: a user name for HTTP ends at its first colon (RFC 7617), so that none (%3A) "
                "can be in it"
            )
        return proxy
    raise ConfigError(
        "url: write ss://METHOD:PASSWORD@HOST:PORT, socks5://HOST[:PORT] or http://HOST[:PORT]"
    )


def _read_proxy(url: str, scheme: str, port: int) -> tuple[Address, bytes | None, bytes | None]:
    form = f"{scheme}://[user:password@]host[:port]"
    try:
        parts = urlsplit(url)
        given = parts.port
    except ValueError:
        # Its text may repeat a password.
        raise ConfigError(f"url: write {form}") from None
    if not parts.hostname:
        raise ConfigError(f"url: the host is missing in {form}")
    if given == 0:
        raise ConfigError("url: port 0 is not in 1..65535")
    username = None if parts.username is None else unquote_to_bytes(parts.username)
    password = None if username is None else unquote_to_bytes(parts.password or "")
    return _address(parts.hostname, port if given is None else given), username, password


def _address(host: str, port: int) -> Address:
    try:
        return server_address(host, port)
    except (AddressError, HostNameError, ConfigError) as error:
        raise ConfigError(f"url: {error}") from error


def server_address(host: str, port: int) -> Address:
    """Make the address of a server that we are told of.

    :param host: a name, or an IP address; a link-local one has its interface, ``fe80::1%eth0``.
    :raises AddressError: it is none; so is a HostNameError.
    :raises ConfigError: the interface is missing, or this host has none of that name.
    """
    address = Address.of(host, port)
    if address.ip is not None:
        if address.ip.is_link_local and address.ip.version == 6:
            raise ConfigError(f"{host} is link-local: write its interface, too, as {host}%eth0")
        return address
    if ":" not in host or "%" not in host:
        return canonical(address)
    try:
        # No header can hold it: it stays a text, and is dialed only.
        socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
    except OSError:
        raise ConfigError(
            f"{host}: this is no IPv6 address of an interface that this host has"
        ) from None
    return address
