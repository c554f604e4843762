"""Servers as providers list them (SIP008)."""

from __future__ import annotations

from collections.abc import Mapping

#: Keys of the document that files of ours have no use for.
_OF_DOCUMENT = frozenset(("version", "bytes_used", "bytes_remaining"))

#: Keys that each entry of such a document has.
_OF_ENTRY = frozenset(("id", "remarks"))

#: Keys of an entry that ask for more than Shadowsocks by TCP and UDP, with the values that ask for
#: nothing. Others that are not known describe the server to its users, and are left alone.
_DECIDING: dict[str, frozenset[object]] = {
    "obfs": frozenset(("", "none", "plain", "false", "0")),
    "protocol": frozenset(("", "none", "origin", "ss", "shadowsocks")),
    "type": frozenset(("", "none", "tcp", "raw", "ss", "shadowsocks")),
    "network": frozenset(("", "none", "tcp", "raw", "udp", "tcp,udp")),
    "security": frozenset(("", "none")),
    "tls": frozenset(("", "none", "false", "0")),
    "v2ray_plugin": frozenset(("",)),
    "shadow_tls": frozenset(("",)),
}


def is_export(content: Mapping[str, object]) -> bool:
    """Tell whether a file is such a document, in which unknown keys mean nothing (SIP008)."""
    servers = content.get("servers")
    if not isinstance(servers, list) or not servers:
        return False
    return not _OF_DOCUMENT.isdisjoint(content) or all(
        isinstance(entry, Mapping) and entry.keys() >= _OF_ENTRY for entry in servers
    )


def deciding_key(entry: Mapping[str, object]) -> str | None:
    """Return the key of an entry that asks for what is not had here, if there is one."""
    for name, value in entry.items():
        harmless = _DECIDING.get(name.lower().replace("-", "_"))
        if harmless is None or value is None or value in ({}, []):
            continue
        if str(value).strip().lower() not in harmless:
            return name
    return None
