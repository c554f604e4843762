"""Write the tables of keys in docs/reference/configuration.md, from the code that reads them.

python scripts/configuration_table.py            # write them
python scripts/configuration_table.py --check    # exit with 1 if they are not up to date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from fastsocks.config.keys import ALIASES, KEYS, OPTIONS, Key, Side
from fastsocks.config.option import Meaning, Peer, Place, Use, default_text
from fastsocks.config.service_options import ProcessOptions

DOCUMENT = Path(__file__).parent.parent / "docs" / "reference" / "configuration.md"

_PEERS = {Peer.LIBEV: "libev", Peer.RUST: "rust", Peer.PYTHON: "python"}
_PLACES = {Place.TOP: "top", Place.SERVERS: "`servers`", Place.LOCALS: "`locals`"}
_PAGE = re.compile(r"\b(\w+)\.md\b")


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


def _meaning(key: Key, side: Side) -> str:
    meaning: Meaning = key.meaning(side)
    if meaning.use is Use.IGNORED:
        return "not used"
    if meaning.use is not Use.OPTION:
        # The heading says it already.
        return meaning.text.removeprefix("ignored: ").removeprefix("not supported yet: ")
    said = key.options[side]
    text = _linked(said.described.replace("``", "`"))
    default = default_text(ProcessOptions if key.process else OPTIONS[side], meaning.text, said)
    return f"{text} Default: {default}." if default else text


def _sides(key: Key) -> list[Side]:
    """Return the sides where a key sets something; all of them where it does so nowhere."""
    setting = [side for side in Side if key.meaning(side).use is Use.OPTION]
    return setting or list(Side)


def _rows(keys: list[Key]) -> list[str]:
    return [
        f"| `{key.name}` | "
        + _by_side({side: _meaning(key, side) for side in _sides(key)}).replace("|", "\\|")
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
