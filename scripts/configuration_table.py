"""Write the tables of keys in docs/reference/configuration.md, from the code that reads them.

python scripts/configuration_table.py            # write them
python scripts/configuration_table.py --check    # exit with 1 if they are not up to date
"""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

from fastsocks.config import LocalOptions, ProcessOptions, ProxyOptions, ServerOptions
from fastsocks.config.keys import ALIASES, KEYS, Key, Meaning, Peer, Place, Side, Use
from fastsocks.config.option_help import option_texts

DOCUMENT = Path(__file__).parent.parent / "docs" / "reference" / "configuration.md"

_OPTIONS = {Side.SERVER: ServerOptions, Side.LOCAL: LocalOptions, Side.PROXY: ProxyOptions}
_PEERS = {Peer.LIBEV: "libev", Peer.RUST: "rust", Peer.PYTHON: "python"}
_PLACES = {Place.TOP: "top", Place.SERVERS: "`servers`", Place.LOCALS: "`locals`"}
_PAGE = re.compile(r"\b(\w+)\.md\b")

#: Keys that set no single option of a service.
_TEXTS = {
    "password_file": "A file with the password in its only line, from the folder of this one.",
    "url": "An `ss://` URL, in the place of server, server_port, method and password.",
    "servers": "Several servers, each with keys of its own; local uses the best (see upstream.md).",
    "locals": "Several listeners, each with keys of its own.",
    "protocol": "`socks`, which is socks5 and socks4 of `protocols`, or `http`; the others of "
    "shadowsocks-rust are refused.",
    "disabled": "Leaves this entry out.",
    "acl": "A file of rules, as shadowsocks-libev and shadowsocks-rust have it; they come after "
    "`rules`.",
    "acl_leave_out": "Whether to start without those lines of `acl` that cannot be had, and name "
    "them.",
    "ipv6_only": "Whether `::` leaves IPv4 out.",
    "local_ipv4_address": "The IPv4 address to connect to targets from.",
    "local_ipv6_address": "The IPv6 address to connect to targets from.",
}


def _described() -> dict[tuple[type, str], tuple[str, str]]:
    """Return what the source says of each option, and its default, by class and name."""
    return {
        (kind, field.name): (
            option_texts(kind)[field.name].replace("``", "`"),
            _default(kind, field),
        )
        for kind in (*_OPTIONS.values(), ProcessOptions)
        for field in dataclasses.fields(kind)
    }


def _default(kind: type, field: dataclasses.Field[object]) -> str:
    if field.name == "addresses":
        return "all, IPv6 and IPv4" if kind is ServerOptions else "127.0.0.1"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    if field.default in (dataclasses.MISSING, None, "", ()):
        return ""
    if isinstance(field.default, tuple):
        return ", ".join(map(str, field.default))
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def _peers(key: Key) -> str:
    return ", ".join(name for peer, name in _PEERS.items() if peer in key.peers) or "fastsocks"


def _by_side(texts: dict[Side, str]) -> str:
    """Join what holds on each side; once, where it is the same on all."""
    sides: dict[str, list[str]] = {}
    for side, text in texts.items():
        sides.setdefault(text, []).append(side.value)
    if len(sides) == 1 and len(texts) == len(Side):
        return next(iter(sides))
    return "<br>".join(f"**{', '.join(names)}**: {text}" for text, names in sides.items())


def _all_keys() -> list[Key]:
    """Return every key; one that means something else in an entry stands as it is at the top."""
    found: dict[str, Key] = {}
    for place in Place:
        for name, key in KEYS[place].items():
            found.setdefault(name, key)
    return list(found.values())


def _places(name: str) -> str:
    return ", ".join(text for place, text in _PLACES.items() if name in KEYS[place])


def _linked(text: str) -> str:
    """Let the names of documents lead to them."""
    return _PAGE.sub(r"[\1](../how-to/\1.md)", text)


def _meaning(key: Key, side: Side, described: dict[tuple[type, str], tuple[str, str]]) -> str:
    meaning: Meaning = key.meaning(side)
    if meaning.use is Use.IGNORED:
        return "not used"
    if meaning.use is not Use.OPTION:
        # The heading says it already.
        return meaning.text.removeprefix("ignored: ").removeprefix("not supported yet: ")
    if key.name in _TEXTS:
        return _linked(_TEXTS[key.name])
    kind = ProcessOptions if key.process else _OPTIONS[side]
    text, default = described[kind, meaning.text]
    text = _linked(text)
    return f"{text} Default: {default}." if default else text


def _sides(key: Key) -> list[Side]:
    """Return the sides where a key sets something; all of them where it does so nowhere."""
    setting = [side for side in Side if key.meaning(side).use is Use.OPTION]
    return setting or list(Side)


def _rows(keys: list[Key]) -> list[str]:
    described = _described()
    return [
        f"| `{key.name}` | "
        + _by_side({side: _meaning(key, side, described) for side in _sides(key)}).replace(
            "|", "\\|"
        )
        + f" | {_places(key.name)} | {_peers(key)} |"
        for key in keys
    ]


def tables() -> str:
    """Return the tables in Markdown."""
    head = ["| key | meaning | place | known from |", "|---|---|---|---|"]
    keys = _all_keys()
    parts: list[tuple[str, list[Key]]] = [
        ("Keys that set something", []),
        ("Keys that are ignored, with a warning where that could surprise", []),
        ("Keys that are refused", []),
    ]
    for key in keys:
        uses = {key.meaning(side).use for side in Side}
        number = 0 if Use.OPTION in uses else 2 if Use.REFUSED in uses else 1
        parts[number][1].append(key)
    lines = []
    for title, found in parts:
        lines += [f"## {title}", "", *head, *_rows(found), ""]
    lines += ["Other names: " + ", ".join(f"`{a}` is `{b}`" for a, b in ALIASES.items()) + "."]
    return "\n".join(lines)


def main() -> int:
    """Write the tables, or compare them; return the exit code."""
    marker = "<!-- written by scripts/configuration_table.py -->\n"
    before = DOCUMENT.read_text(encoding="utf-8")
    introduction, _, _ = before.partition(marker)
    after = f"{introduction}{marker}\n{tables()}\n"
    if "--check" not in sys.argv[1:]:
        DOCUMENT.write_text(after, encoding="utf-8")
        return 0
    if before != after:
        print("docs/reference/configuration.md: run scripts/configuration_table.py")
    return int(before != after)


if __name__ == "__main__":
    sys.exit(main())
