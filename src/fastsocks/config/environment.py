"""Settings from the environment: ``FASTSOCKS_`` and a key in capitals."""

from __future__ import annotations

from collections.abc import Mapping

from fastsocks.errors import ConfigError

from .keys import KEYS, Key, Side
from .option import Place, Use
from .settings import Setting, nearest, read_setting, shown
from .text import without_line_ends

PREFIX = "FASTSOCKS_"

#: Variables that are read elsewhere, or by the tests.
RESERVED = frozenset(
    PREFIX + name
    for name in (
        "BUILD",
        "IMPL",
        "LOOP",
        "OPENSSL_DIR",
        "PEERS",
        "REQUIRE_EXTENSIONS",
        "REQUIRE_PEERS",
        "VERSION",
    )
)

#: Keys that give a file its shape, or name a part of it.
_OF_FILES = ("servers", "locals", "protocol", "version", "id", "remarks", "bytes_used")


def variables(side: Side) -> dict[str, Key]:
    """Return the keys that the environment can give to `side`, by variable."""
    return {
        PREFIX + key.name.upper(): key
        for key in KEYS[Place.TOP].values()
        if key.meaning(side).use is Use.OPTION and key.name not in _OF_FILES
    }


def read_environment(
    environ: Mapping[str, str], side: Side
) -> tuple[dict[str, Setting], list[str]]:
    """Read the variables of `environ`; an empty one counts as absent.

    :return: settings by key, and warnings about variables that say nothing to `side`.
    :raises ConfigError: a value is not what its key takes, or the key is refused.
    """
    known = variables(side)
    layer: dict[str, Setting] = {}
    warnings: list[str] = []
    for variable in sorted(environ):
        value = without_line_ends(environ[variable])
        if not variable.startswith(PREFIX) or variable in RESERVED or not value:
            continue
        if key := known.get(variable):
            layer[key.name] = read_setting(key, value, variable)
        elif warning := _without_effect(variable, side, known):
            warnings.append(f"{shown(variable)}: {warning}")
    return layer, warnings


def _without_effect(variable: str, side: Side, known: Mapping[str, Key]) -> str | None:
    key = KEYS[Place.TOP].get(variable.removeprefix(PREFIX).lower())
    if key is None or key.name in _OF_FILES:
        near = nearest(variable.removeprefix(PREFIX), [key.name for key in known.values()])
        return f"ignored: there is no such variable; the nearest is {PREFIX}{near.upper()}"
    meaning = key.meaning(side)
    # One environment may be that of several services.
    if any(key.meaning(other).use is Use.OPTION for other in Side):
        return None if meaning.use is Use.IGNORED else f"ignored: it is not for {side.value}"
    if meaning.use is Use.REFUSED:
        raise ConfigError(f"{variable}: {meaning.text}")
    return meaning.text or None
