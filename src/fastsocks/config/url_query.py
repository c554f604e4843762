"""What the query of an ``ss://`` URL says: a plugin (SIP002), and what programs have added."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from fastsocks.errors import ConfigError

#: Values that ask for nothing.
_OFF = frozenset(("", "0", "false", "none", "null"))

#: Keys that decide how a server is connected to, with the values that ask for nothing but TCP and
#: UDP (v2rayN, Xray, Shadowrocket, NekoBox).
_DECIDING = {
    "type": frozenset(("tcp", "raw", "original")),
    "net": frozenset(("tcp", "raw", "udp")),
    "network": frozenset(("tcp", "raw", "udp")),
    "security": frozenset[str](),
    "headertype": frozenset[str](),
    "obfs": frozenset(("plain",)),
    "protocol": frozenset(("origin", "ss", "shadowsocks")),
    "tls": frozenset[str](),
    "v2ray-plugin": frozenset[str](),
    "shadow-tls": frozenset[str](),
    "shadowtls": frozenset[str](),
    "reality": frozenset[str](),
}

#: Keys whose absence the server does not notice, but perhaps whoever is on the way, or UDP.
_LEFT_OUT = {
    "prefix": "a text at the head of each connection is not sent",
    "uot": "UDP goes by UDP",
    "udp-over-tcp": "UDP goes by UDP",
    "udp_over_tcp": "UDP goes by UDP",
}

#: Keys whose values hold a password, encoded.
_SECRET = ("v2ray-plugin", "shadow-tls", "shadowtls")


class Query(NamedTuple):
    """What it says that counts."""

    plugin: str | None
    plugin_opts: str | None
    #: Of Shadowrocket: what a tag is elsewhere.
    remarks: str | None
    #: What is asked for and not done, though the server can be used without.
    left_out: tuple[str, ...]


def read_query(text: str) -> Query:
    """Read a query, without its ``?``.

    :raises ConfigError: it asks for another transport, or cannot be read.
    """
    plugin, plugin_opts, remarks = None, None, None
    left_out = []
    for key, value in _pairs(text):
        if key == "plugin" and plugin is None:
            plugin, plugin_opts = _split_plugin(value)
        elif key == "remarks" and value:
            remarks = value
        elif key in _DECIDING and value.lower() not in _OFF | _DECIDING[key]:
            shown = f"{key}={value}" if _is_word(key, value) else key
            raise ConfigError(
                f"URL: {shown} asks for another way to connect than plain TCP and UDP, which is "
                "not supported; ask whoever runs the server for an entrance without it"
            )
        elif key in _LEFT_OUT and value.lower() not in _OFF:
            left_out.append(f"{key}: ignored: {_LEFT_OUT[key]}")
    return Query(plugin, plugin_opts, remarks, tuple(left_out))


def _is_word(key: str, value: str) -> bool:
    """Tell whether a message may repeat a value."""
    return key not in _SECRET and value.isalnum() and value.isascii() and len(value) <= 20


def percent_decode(text: str, what: str) -> str:
    """Decode a part of a URL.

    :param what: how a message names the part.
    :raises ConfigError: it cannot be decoded; repeats nothing of it.
    """
    try:
        return unquote(text, errors="surrogateescape")
    except UnicodeError:
        # Not its cause: that may hold the password.
        raise ConfigError(f"URL: the {what} cannot be percent-decoded") from None


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split("&"):
        key, _, value = pair.partition("=")
        # &amp; is what pages and XML make of &.
        key = key.removeprefix("amp;").lower()
        yield key, percent_decode(value, key if key in {"plugin", "remarks"} else "query")


def _split_plugin(value: str) -> tuple[str | None, str | None]:
    end = _unescaped_semicolon(value)
    name = value if end < 0 else value[:end]
    if name.lower() in {"none", "null"}:
        return None, None
    if end < 0:
        return value or None, None
    if not end:
        raise ConfigError("URL: plugin options without a plugin")
    return name, value[end + 1 :]


def _unescaped_semicolon(text: str) -> int:
    position = 0
    while position < len(text):
        if text[position] == ";":
            return position
        position += 2 if text[position] == "\\" else 1
    return -1
