"""The types of options: what a program may give, and how keys are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from fastsocks.errors import ConfigError

from . import values
from .rules import read_rules


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


def _anything(value: Any) -> Any:
    return value


class Type(NamedTuple):
    """What the type of an option means."""

    #: What its value has to be.
    wanted: str
    #: Reads what a program gives; None where it is something else.
    read: Callable[[Any], Any]
    #: Reads what a file, a variable or a flag gives.
    read_key: Callable[[Any], Any]


#: By how a field is annotated, without ``| None``.
TYPES: dict[str, Type] = {
    "Sequence[str]": Type("a text, or several", _texts, values.read_words),
    "str": Type("a text", _text, values.read_text),
    "int": Type("a whole number", _whole_number, values.read_integer),
    "float": Type("a number", _number, values.read_seconds),
    "bool": Type("True or False", _truth, values.read_flag),
    "tuple[int, int]": Type("two whole numbers", _range, values.read_ports),
    "Accounts": Type("a mapping of texts to texts", _accounts, values.read_accounts),
    "Sequence[ServerEntry]": Type("a list of ServerEntry", _several, _anything),
    # The checks of their class say what is wrong with these.
    "Sequence[Rule | str]": Type("", _anything, read_rules),
    "Hook": Type("", _anything, _anything),
}


def read_types(options: Any) -> None:
    """Bring the values of a frozen dataclass into the types of its fields.

    :raises ConfigError: one is of another type. The message does not repeat it.
    """
    for field in dataclasses.fields(options):
        annotation = str(field.type)
        value = getattr(options, field.name)
        if value is field.default or (value is None and annotation.endswith(" | None")):
            continue
        wanted = TYPES.get(annotation.removesuffix(" | None"))
        if wanted is None:
            continue
        found = wanted.read(value)
        if found is None:
            kind = type(value).__name__
            raise ConfigError(f"{field.name}: it has to be {wanted.wanted}, not {kind}")
        if found is not value:
            object.__setattr__(options, field.name, found)
