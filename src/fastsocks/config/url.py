"""``ss://`` URLs, read and written (SIP002)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Self
from urllib.parse import quote

from fastsocks.address import Address
from fastsocks.errors import AddressError, ConfigError

from .option_checks import check_server
from .text import without_line_ends
from .url_query import percent_decode, read_query

_SCHEME = "ss://"
_FORM = "ss://METHOD:PASSWORD@HOST:PORT"

#: What else is handed out as URLs where Shadowsocks is.
_OTHER_PROTOCOLS = frozenset(
    ("ssr", "ssd", "vmess", "vless", "trojan", "hysteria", "hysteria2", "hy2", "tuic", "snell")
)

#: Beyond any URL that a server has, and little enough to take apart at once.
_LONGEST = 16 * 1024

#: What ends the part of a URL in which a host stands, or cannot stand in one.
_NOT_IN_HOST = frozenset(' /?#@[]<>\\^`{|}"')


@dataclass(frozen=True, kw_only=True)
class ServerURL:
    """What an ``ss://`` URL says.

    It has no text form but :meth:`format`, so that none gets into a log by accident.
    """

    #: As the URL writes it; whether there is such a method is not checked here.
    method: str
    #: Text, without line ends around it; for a 2022 method a PSK in base64, or several with colons
    #: between.
    password: str = field(repr=False)
    #: IP address without brackets, or a name.
    host: str
    #: 1..65535.
    port: int
    #: What its owner calls it.
    tag: str | None = None
    #: Program of a SIP003 plugin.
    plugin: str | None = None
    #: The plugin's options, its own escapes left alone.
    plugin_opts: str | None = field(default=None, repr=False)
    #: What its query asks for and is not done, though the server can be used without; for the log.
    left_out: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not self.method or ":" in self.method:
            raise ConfigError("URL: the method is empty or has a colon")
        if not 1 <= self.port <= 0xFFFF:
            raise ConfigError(f"URL: port {self.port} is not in 1..65535")
        _check_host(self.host, self.port)
        if self.plugin_opts is not None and not self.plugin:
            raise ConfigError("URL: plugin options without a plugin")
        for what in ("method", "password", "tag", "plugin", "plugin_opts"):
            try:
                (getattr(self, what) or "").encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                # Not its cause: that may hold the password.
                raise ConfigError(f"URL: a {what} that UTF-8 cannot write") from None
        object.__setattr__(self, "password", without_line_ends(self.password))
        _check_2022_key(self.method, self.password)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL, in every form that is in use.

        The part before the ``@`` may be plain (percent-encoded) or base64 in either alphabet,
        padded or not, wrapped or not; in the legacy form all up to the ``#`` is base64, which may
        hold a line end, too. A slash behind the port and query keys that are not known are ignored.

        :raises ConfigError: it cannot be read, its key does not suit its 2022 method, or it asks
            for another transport; repeats nothing of it.
        """
        text = without_line_ends(text.strip()).strip()
        if len(text) > _LONGEST:
            raise ConfigError(f"URL: {len(text)} characters, more than {_LONGEST}")
        if text[: len(_SCHEME)].lower() != _SCHEME:
            raise ConfigError(f"URL: {_other_scheme(text)}; write {_FORM}")
        rest, _, fragment = text[len(_SCHEME) :].partition("#")
        rest, _, query = rest.partition("?")
        if not rest.rstrip("/"):
            raise ConfigError(f"URL: nothing behind ss://; write {_FORM}")
        userinfo, at, location = rest.rpartition("@")
        if at:
            method, password = _read_userinfo(userinfo)
            location, _, path = location.partition("/")
            if path:
                raise ConfigError("URL: only ?plugin= and #NAME may follow the port")
            host, port = _read_location(location.strip(), encoded=True)
        else:
            method, password, host, port = _read_legacy(rest)
        found = read_query(query)
        return cls(
            method=method,
            password=password,
            host=host,
            port=port,
            tag=percent_decode(fragment, "name behind #") if fragment else found.remarks,
            plugin=found.plugin,
            plugin_opts=found.plugin_opts,
            left_out=found.left_out,
        )

    def format(self) -> str:
        """Write the URL, secret and all.

        :return: the form that SIP002 prescribes: base64 before the ``@``, or for a 2022 method
            plain and percent-encoded.
        """
        if self.method.lower().startswith("2022-"):
            userinfo = f"{_percent_encode(self.method)}:{_percent_encode(self.password)}"
        else:
            plain = f"{self.method}:{self.password}".encode("utf-8", "surrogateescape")
            userinfo = base64.urlsafe_b64encode(plain).decode().rstrip("=")
        host = f"[{self.host}]" if ":" in self.host else _percent_encode(self.host)
        text = f"{_SCHEME}{userinfo}@{host}:{self.port}"
        if self.plugin:
            opts = f";{self.plugin_opts}" if self.plugin_opts is not None else ""
            text += f"/?plugin={_percent_encode(self.plugin + opts)}"
        if self.tag:
            text += f"#{_percent_encode(self.tag)}"
        return text

    def settings(self) -> dict[str, object]:
        """Return what it sets, by the keys of a configuration file.

        :raises ConfigError: it asks for a plugin, which is not supported yet, or has no address.
        """
        try:
            check_server(self.host)
        except ConfigError as error:
            raise ConfigError(f"server: {error}") from None
        if self.plugin:
            raise ConfigError(
                f"URL: plugin {_shown(self.plugin)} is not supported yet; ask whoever runs the "
                "server for an entrance without one"
            )
        return {
            "server": self.host,
            "server_port": self.port,
            "method": self.method,
            "password": self.password,
        }


def _other_scheme(text: str) -> str:
    scheme, colon, _ = text.partition("://")
    scheme = scheme.lower()
    if colon and scheme == "ssconf":
        return (
            "ssconf:// is a place to fetch a key from; open it with https:// in a browser, and "
            "take the ss:// URL that is there"
        )
    if colon and scheme in _OTHER_PROTOCOLS:
        return f"{scheme}:// is of another protocol, which is not supported"
    if colon and scheme in {"http", "https"}:
        return "it does not begin with ss://; what a subscription or page has is read from a file"
    return "it does not begin with ss://"


def _read_userinfo(text: str) -> tuple[str, str]:
    method, colon, password = text.partition(":")
    if colon:
        return percent_decode(method, "method"), percent_decode(password, "password")
    text = percent_decode(text, "part before @")
    # A colon is in neither alphabet of base64: a method and a password whose colon is encoded.
    if ":" not in text:
        decoded = _base64_decode(text)
        if decoded is None:
            raise ConfigError(f"URL: the part before @ is not base64, and has no colon: {_FORM}")
        text = decoded
    method, colon, password = text.partition(":")
    if not colon:
        raise ConfigError(f"URL: no colon between method and password: {_FORM}")
    return method, password


def _read_legacy(text: str) -> tuple[str, str, str, int]:
    text = percent_decode(text, "URL")
    # What ends in a digit does not end in a slash as base64, so that one ends the URL.
    decoded = _base64_decode(text.rstrip("/")) or ""
    userinfo, at, location = decoded.rpartition("@")
    method, colon, password = userinfo.partition(":")
    if at and colon:
        return method, password, *_read_location(location, encoded=False)
    raise ConfigError(f"URL: no @, and it is not base64 of a whole URL either; write {_FORM}")


def _read_location(text: str, *, encoded: bool) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        raise ConfigError(f"URL: the port is missing; write {_FORM}")
    if not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise ConfigError("URL: the port is not a number in 1..65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ConfigError("URL: only an IPv6 address stands in brackets")
    elif ":" in host:
        raise ConfigError("URL: write an IPv6 address in brackets, [2001:db8::1]:8388")
    elif encoded:
        host = percent_decode(host, "host")
    return host, int(port)


def _check_host(host: str, port: int) -> None:
    if not host:
        raise ConfigError(f"URL: the host is missing; write {_FORM}")
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            raise ConfigError("URL: the host is not an IPv6 address") from None
        if "%" not in host:
            return
        # A scope is of this machine, and has no place in a URL.
        raise ConfigError("URL: an IPv6 address with a scope reaches nobody else")
    if not host.isprintable() or not _NOT_IN_HOST.isdisjoint(host):
        raise ConfigError("URL: the host has a character that no name has")
    try:
        Address.of(host, port)
    except AddressError as error:
        raise ConfigError(f"URL: {error}") from None


def _check_2022_key(method: str, password: str) -> None:
    if not method.lower().startswith("2022-"):
        return
    from fastsocks.shadowsocks import METHODS, client_key

    if known := METHODS.get(method.lower()):
        try:
            client_key(known, password)
        except ConfigError as error:
            raise ConfigError(f"URL: {error}") from None


def _percent_encode(text: str) -> str:
    return quote(text, safe="", errors="surrogateescape")


def _base64_decode(text: str) -> str | None:
    """Decode either alphabet, padded or not, wrapped or not; None where it is not base64."""
    text = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return without_line_ends(decoded.decode("utf-8", "surrogateescape"))


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 40 else f"of {len(text)} characters"
