"""``ss://`` URLs, read and written (SIP002)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Self
from urllib.parse import quote, unquote

from fastsocks.address import Address
from fastsocks.errors import AddressError, ConfigError

_SCHEME = "ss://"
_FORM = "ss://METHOD:PASSWORD@HOST:PORT"

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
    #: Text; for a 2022 method a PSK in base64, or several with colons between.
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
        _check_2022_key(self.method, self.password)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL, in every form that is in use.

        The part before the ``@`` may be plain (percent-encoded) or base64 in either alphabet,
        padded or not; in the legacy form all up to the ``#`` is base64. Unknown query keys
        are ignored, and so is a slash behind the port.

        :raises ConfigError: it cannot be read, or its key does not suit its 2022 method; repeats
            nothing of it.
        """
        text = text.strip()
        if len(text) > _LONGEST:
            raise ConfigError(f"URL: {len(text)} characters, more than {_LONGEST}")
        if text[: len(_SCHEME)].lower() != _SCHEME:
            raise ConfigError(f"URL: it does not begin with ss://; write {_FORM}")
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
            host, port = _read_location(location, encoded=True)
        else:
            method, password, host, port = _read_legacy(rest)
        plugin, plugin_opts = _read_plugin(query)
        return cls(
            method=method,
            password=password,
            host=host,
            port=port,
            tag=_percent_decode(fragment, "name behind #") if fragment else None,
            plugin=plugin,
            plugin_opts=plugin_opts,
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

        :raises ConfigError: it asks for a plugin, which is not supported yet.
        """
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


def _read_userinfo(text: str) -> tuple[str, str]:
    method, colon, password = text.partition(":")
    if colon:
        return _percent_decode(method, "method"), _percent_decode(password, "password")
    text = _percent_decode(text, "part before @")
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
    text = _percent_decode(text, "URL")
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
        host = _percent_decode(host, "host")
    return host, int(port)


def _read_plugin(query: str) -> tuple[str | None, str | None]:
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key != "plugin":
            continue
        value = _percent_decode(value, "plugin")
        end = _unescaped_semicolon(value)
        if end < 0:
            return value or None, None
        if not end:
            raise ConfigError("URL: plugin options without a plugin")
        return value[:end], value[end + 1 :]
    return None, None


def _unescaped_semicolon(text: str) -> int:
    position = 0
    while position < len(text):
        if text[position] == ";":
            return position
        position += 2 if text[position] == "\\" else 1
    return -1


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


def _percent_decode(text: str, what: str) -> str:
    try:
        return unquote(text, errors="surrogateescape")
    except UnicodeError:
        # Not its cause: that may hold the password.
        raise ConfigError(f"URL: the {what} cannot be percent-decoded") from None


def _base64_decode(text: str) -> str | None:
    """Decode either alphabet, padded or not; None where it is not base64."""
    text = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded.decode("utf-8", "surrogateescape")


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 40 else f"of {len(text)} characters"
