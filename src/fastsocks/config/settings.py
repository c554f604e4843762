"""Settings: values that were given somewhere, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fastsocks.errors import ConfigError

from .keys import KEYS, Key, Side
from .option import Place, Use
from .text import without_line_ends


@dataclass(frozen=True)
class Setting:
    """A value and where it was given."""

    value: Any = field(repr=False)
    #: ``--method``, ``ss:// URL``, ``FASTSOCKS_METHOD``, ``config.json: servers[1].method`` or
    #: ``default``.
    source: str


#: Settings from one place, by key.
Layer: TypeAlias = Mapping[str, Setting]


def read_setting(key: Key, value: object, source: str) -> Setting:
    """Read one value; a text without what is around it by accident.

    :raises ConfigError: it is not what the key takes; names `source`, repeats no text.
    """
    if isinstance(value, str):
        value = without_line_ends(value)
    try:
        return Setting(key.read(value), source)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


def read_flags(flags: Mapping[str, object], side: Side) -> dict[str, Setting]:
    """Read the flags of a command, or the arguments of a program that starts a service.

    :param flags: values by key; None and empty tuples are flags that were not given.
    :raises ConfigError: a value is not what its key takes.
    :raises TypeError: `side` has no such key.
    """
    layer = {}
    for name, value in flags.items():
        key = KEYS[Place.TOP].get(name)
        if key is None or key.meaning(side).use is not Use.OPTION:
            raise TypeError(f"{side.value} has no option {name!r}")
        if value is not None and value != ():
            layer[name] = read_setting(key, value, key.flag(side))
    return layer


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the one of `known` that `name` is most likely to mean."""
    import difflib  # only here: it takes a while

    normal = name.lower().replace("-", "_")
    return difflib.get_close_matches(normal, sorted(known), n=1, cutoff=0.0)[0]


def shown(name: str) -> str:
    """Return `name` as a message may repeat it."""
    if len(name) > 40:
        return f"a name of {len(name)} characters"
    return name if name.isidentifier() else repr(name)
