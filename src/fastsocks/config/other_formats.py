"""Files of other programs, told by what they look like, so that an error can say what to do."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fastsocks.errors import ConfigError

_WRITE_SERVER = (
    "write a file with server, server_port, method and password of its Shadowsocks server, or give "
    "the server's ss:// URL to `fastsocks local`"
)
_WRITE_PROXY = (
    "`fastsocks proxy` takes where to listen by -b and -l, who may use it by --user or "
    "--accounts-file, and what they may reach by --rule"
)
_GIVE_URL = "give one ss:// URL of it to `fastsocks local`, without -c"


class _Format(NamedTuple):
    """A format, and what its users do here."""

    what: str
    advice: str


class _Content(NamedTuple):
    """A format that is JSON, YAML read as such, or TOML."""

    found: _Format
    fits: Callable[[Mapping[str, Any]], bool]


class _Text(NamedTuple):
    """A format of lines."""

    found: _Format
    #: Is searched for, with ``^`` and ``$`` at each line.
    pattern: re.Pattern[str]


def _of(program: str, advice: str) -> _Format:
    return _Format(f"a configuration of {program}", advice)


def _has(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda content: content.keys() >= set(keys)


def _has_any(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda content: not content.keys().isdisjoint(keys)


def _has_entries(key: str, *having: str) -> Callable[[Mapping[str, Any]], bool]:
    """Tell whether a list of objects is there, one of which has one of some keys."""

    def fits(content: Mapping[str, Any]) -> bool:
        entries = content.get(key)
        return isinstance(entries, list) and any(
            isinstance(entry, Mapping) and not entry.keys().isdisjoint(having) for entry in entries
        )

    return fits


_OUTLINE_SERVER = _of(
    "Outline's server",
    "write `servers`, one with a server_port, a method (its cipher) and a password (its secret) "
    "for each key; several keys at one port are `users` of a 2022 method",
)
_OUTLINE = _of("Outline", _WRITE_SERVER)
_GOST = _of("gost", _WRITE_PROXY)
_CLASH = _of("Clash or mihomo", _WRITE_SERVER)
_SING_BOX = _of("sing-box", _WRITE_SERVER)
_XRAY = _of("Xray or V2Ray", _WRITE_SERVER)

#: The first that fits counts. Each looks for keys that no file of ours has.
_CONTENTS = (
    _Content(
        _of(
            "Shadowsocks for Windows, or of ShadowsocksX-NG",
            'write {"version": 1, "servers": [...]} with the list that it has in `configs`',
        ),
        _has("configs"),
    ),
    _Content(_XRAY, _has_entries("inbounds", "protocol")),
    _Content(_XRAY, _has_entries("outbounds", "protocol")),
    _Content(_SING_BOX, _has_entries("inbounds", "type")),
    _Content(_SING_BOX, _has_entries("outbounds", "type")),
    _Content(_XRAY, _has_any("inbound", "outbound", "inbounds", "outbounds", "vmess")),
    _Content(
        _Format(
            "the key to the management of an Outline server",
            "ask there for an access key, which is an ss:// URL",
        ),
        _has("apiUrl"),
    ),
    _Content(
        _Format(
            "an access key of Outline with a prefix",
            "remove `prefix`; that text is not sent here, and the server does without it",
        ),
        _has("server", "server_port", "prefix"),
    ),
    _Content(_OUTLINE_SERVER, _has("accessKeys")),
    _Content(_OUTLINE_SERVER, _has_entries("keys", "cipher", "secret")),
    _Content(_OUTLINE_SERVER, _has_entries("services", "listeners")),
    _Content(_OUTLINE, _has("transport")),
    _Content(_GOST, _has_entries("services", "handler", "listener")),
    _Content(_GOST, _has_any("ServeNodes", "ChainNodes")),
    _Content(_CLASH, _has_any("proxies", "proxy-groups", "proxy-providers", "mixed-port")),
    _Content(_of("Trojan", "it is of another protocol"), _has("run_type")),
    _Content(
        _of(
            "ShadowsocksR",
            "it is of another protocol, but where its `protocol` is origin and its `obfs` plain: "
            "remove those two and their parameters then",
        ),
        _has_any("obfs", "obfs_param", "protocol_param", "obfsparam", "protoparam"),
    ),
    _Content(
        _of("shadowsocks-go", _WRITE_SERVER),
        lambda content: (
            _has_entries("servers", "tcpListeners", "udpListeners", "listen")(content)
            or _has_entries("clients", "endpoint", "tcpAddress", "psk")(content)
        ),
    ),
    _Content(
        _of("NaiveProxy", "it is of another protocol"),
        lambda content: "://" in str(content.get("proxy")) and "listen" in content,
    ),
)


def _lines(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


_SCHEMES = r"(?:ss|ssr|ssd|ssconf|vmess|vless|trojan|hysteria2?|hy2|tuic|snell|socks5?)://"
_SUBSCRIPTION = _Format("a subscription, a list of URLs", _GIVE_URL)

#: The first that fits counts.
_TEXTS = (
    _Text(_SUBSCRIPTION, re.compile(rf"\A\s*{_SCHEMES}", re.IGNORECASE)),
    _Text(
        _Format("a web page", "what it was fetched from wants a login, or another address"),
        re.compile(r"\A\s*<(?:!doctype|html|\?xml)", re.IGNORECASE),
    ),
    _Text(
        _Format("an ACL file", "give it to --acl"),
        _lines(r"^\[(?:accept_all|reject_all|proxy_all|bypass_all|proxy_list|bypass_list|"
               r"black_list|white_list|outbound_block_list|outbound_allow_list)\]"),
    ),
    _Text(
        _Format("a file of accounts", "give it to --accounts-file"),
        _lines(r"\A(?:\s*#.*\n)*[^\s:]+:\$?scrypt"),
    ),
    _Text(
        _Format(
            "a file of variables",
            "name it as EnvironmentFile= to systemd or --env-file to a container, not to -c",
        ),
        _lines(r"^(?:export\s+)?FASTSOCKS_[A-Z0-9_]+="),
    ),
    _Text(_CLASH, _lines(r"^(?:proxies|proxy-groups|proxy-providers|mixed-port|socks-port)\s*:")),
    _Text(_OUTLINE, _lines(r"^transport\s*:|^\s*\$type\s*:")),
    _Text(_GOST, _lines(r"^\s+handler\s*:")),
    _Text(_OUTLINE_SERVER, _lines(r"^(?:keys|services)\s*:")),
    _Text(_XRAY, _lines(r"^(?:in|out)bounds\s*:")),
    _Text(
        _of("Dante", _WRITE_PROXY),
        _lines(r"^\s*(?:(?:internal|external|socksmethod|clientmethod|logoutput|method|"
               r"user\.\w+)\s*:|(?:client|socks)\s+(?:pass|block)\s*\{)"),
    ),
    _Text(
        _of("3proxy", _WRITE_PROXY),
        _lines(r"^\s*(?:auth\s+(?:none|strong|iponly|nbname|cache)|users\s+\S+:(?:CL|CR|NT):|"
               r"(?:socks|proxy|tcppm|udppm|admin)(?:\s+-|\s*$)|nserver\s|nscache\s)"),
    ),
    _Text(_of("Squid", _WRITE_PROXY), _lines(r"^\s*http_(?:port|access)\s")),
    _Text(_of("tinyproxy", _WRITE_PROXY), _lines(r"^\s*(?:ConnectPort|MaxClients|BasicAuth)\s")),
    _Text(
        _of(
            "redsocks",
            "it leads to a SOCKS proxy: `fastsocks local` and `fastsocks proxy` can be that one",
        ),
        _lines(r"^\s*redsocks2?\s*\{"),
    ),
    _Text(
        _of(
            "proxychains",
            "it leads to proxies: `fastsocks local` and `fastsocks proxy` can be one of them",
        ),
        _lines(r"^\[ProxyList\]"),
    ),
    _Text(
        _of("Surge, Quantumult or alike", _WRITE_SERVER),
        _lines(r"^\[(?:Proxy|Proxy Group|server_local|server_remote)\]"),
    ),
)  # fmt: skip

_YAML = _Format("YAML", "it is not read; write the same keys as JSON or TOML")
_LOOKS_LIKE_YAML = _lines(r"\A(?:\s*#.*\n|\s*\n)*(?:---\s*$|[A-Za-z_][\w-]*:(?:\s|$))")


def refuse_content(content: Mapping[str, Any], name: str) -> None:
    """Refuse what another program would read.

    :param content: a file that was taken apart.
    :param name: of the file.
    :raises ConfigError: it is known; names the format and what to do.
    """
    for known in _CONTENTS:
        if known.fits(content):
            raise _refusal(known.found, name)


def refuse_text(text: str, name: str) -> None:
    """Refuse what another program would read; for a text that is no JSON or TOML.

    The parameters and errors are those of :func:`refuse_content`.
    """
    if text.lstrip().startswith("{"):
        # Broken JSON is better told by its place.
        return
    for known in _TEXTS:
        if known.pattern.search(text):
            raise _refusal(known.found, name)
    if re.match(_SCHEMES, _decoded(text), re.IGNORECASE):
        raise _refusal(_SUBSCRIPTION, name)
    if Path(name).suffix.lower() in {".yaml", ".yml"} or _LOOKS_LIKE_YAML.match(text):
        raise _refusal(_YAML, name)


def _refusal(found: _Format, name: str) -> ConfigError:
    return ConfigError(f"{name}: this is {found.what}: {found.advice}")


def _decoded(text: str) -> str:
    """Return a text that is base64 as a whole, as subscriptions are; else nothing."""
    joined = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(joined + "=" * (-len(joined) % 4), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return data.decode("utf-8", "replace").lstrip()
