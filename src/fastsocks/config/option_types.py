"""The types of options that a program gives: one text for several, lists, numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any

from fastsocks.errors import ConfigError


def _texts(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Iterable) or isinstance(value, Mapping | bytes):
        return None
    found = tuple(value)
    return found if all(isinstance(one, str) for one in found) else None


def _text(value: Any) -> str | None:
    if isinstance(value, PurePath):
        return str(value)
    return value if isinstance(value, str) else None


def _whole_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _range(value: Any) -> tuple[int, int] | None:
    if not isinstance(value, tuple | list) or len(value) != 2:
        return None
    first, last = value
    ports = _whole_number(first) is not None and _whole_number(last) is not None
    return (first, last) if ports else None


def _accounts(value: Any) -> Mapping[str, str] | None:
    if not isinstance(value, Mapping):
        return None
    texts = (*value.keys(), *value.values())
    return value if all(isinstance(one, str) for one in texts) else None


def _several(value: Any) -> tuple[Any, ...] | None:
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        return None
    return tuple(value)


#: By how a field is annotated: what its value has to be, and how it is read, which gives None
#: where it is something else.
READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "Sequence[str]": ("a text, or several", _texts),
    "str": ("a text", _text),
    "int": ("a whole number", _whole_number),
    "float": ("a number", _number),
    "bool": ("True or False", _truth),
    "tuple[int, int]": ("two whole numbers", _range),
    "Accounts": ("a mapping of texts to texts", _accounts),
    "Sequence[ServerEntry]": ("a list of ServerEntry", _several),
}


def read_types(options: Any) -> None:
    """Bring the values of a frozen dataclass into the types of its fields.

    :raises ConfigError: one is of another type. The message does not repeat it.
    """
    for field in dataclasses.fields(options):
        annotation = str(field.type)
        reader = READERS.get(annotation.removesuffix(" | None"))
        value = getattr(options, field.name)
        if reader is None or value is field.default:
            continue
        if value is None and annotation.endswith(" | None"):
            continue
        wanted, read = reader
        found = read(value)
        if found is None:
            raise ConfigError(f"{field.name}: it has to be {wanted}, not {type(value).__name__}")
        if found is not value:
            object.__setattr__(options, field.name, found)
