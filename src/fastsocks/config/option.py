"""What an option is: a field of a dataclass, with all that is said of it anywhere.

Keys of configuration files, variables, flags and their sections, ``help()`` and the documents are
made from it, and so are the checks of its value.
"""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, Flag, auto
from pathlib import PurePath
from typing import Any, NamedTuple, TypeVar

from fastsocks.errors import ConfigError

from . import values
from .rules import read_rules

_Kind = TypeVar("_Kind")

#: Columns of what ``help()`` shows.
_WIDTH = 92

#: Headings of the help of commands, in their order; an option without one comes before them.
ACCESS = "Who may use it, and for what"
WAYS = "Ways to the target"
UDP = "UDP"
BINDING = "Connections from the target (BIND)"
LIMITS = "Limits"
PROCESS = "Process"
LOG = "Log"
SECTIONS = (ACCESS, WAYS, UDP, BINDING, LIMITS, PROCESS, LOG)


class Peer(Flag):
    """Whose configurations have a key, besides ours."""

    NOBODY = 0
    LIBEV = auto()
    RUST = auto()
    #: The first shadowsocks, in Python.
    PYTHON = auto()


class Place(Flag):
    """Where in a file a key may stand."""

    TOP = auto()
    #: In an entry of ``servers``.
    SERVERS = auto()
    #: In an entry of ``locals``.
    LOCALS = auto()


class Use(Enum):
    """What becomes of a key."""

    #: It sets an option.
    OPTION = "option"
    #: It is for somebody else, or says nothing that could be acted on.
    IGNORED = "ignored"
    #: It is ignored, with a warning.
    WARNING = "warning"
    #: It is an error.
    REFUSED = "refused"


@dataclass(frozen=True)
class Meaning:
    """What a key means to one service."""

    use: Use
    #: The option that it sets, or the warning or error with what to do instead.
    text: str = ""


IGNORED = Meaning(Use.IGNORED)


def warning(text: str) -> Meaning:
    """Return the meaning of a key that is ignored with a warning."""
    return Meaning(Use.WARNING, f"ignored: {text}")


def refused(text: str) -> Meaning:
    """Return the meaning of a key that is an error."""
    return Meaning(Use.REFUSED, text)


@dataclass(frozen=True, kw_only=True)
class Option:
    """What is said of an option, or of another key that sets it."""

    #: What it is, in a sentence or two: for ``--help``, which shows no more, and all else.
    text: str = field(default="", kw_only=False)
    #: What ``help()`` and the documents say besides.
    more: str = ""
    #: Its default, where the value itself does not tell.
    default: str = ""
    #: In files, and in capitals behind ``FASTSOCKS_``; by default the name of the field, None for
    #: what only programs set.
    key: str | None = ""
    peers: Peer = Peer.NOBODY
    #: Where the key may stand besides the top level of a file, or its only places.
    places: Place = Place.TOP
    #: How the value of the key is read; by default its type says.
    read: Callable[[object], object] | None = None
    #: What the key means to services that have no such option; by the name of the service, where
    #: that differs, and IGNORED to others.
    elsewhere: Meaning | Mapping[str, Meaning] = IGNORED
    #: Whether the value is, or has in it, something that nobody else may know.
    secret: bool = False
    #: Other keys that set it.
    also: Mapping[str, Option] = field(default_factory=dict)
    #: Flags with blanks between them, the one that messages name last; by default ``--`` and the
    #: key, "" for none.
    flags: str | None = None
    #: Services whose commands have the flag, where not all do that have the option.
    commands: tuple[str, ...] = ()
    #: What stands for the value of the flag in its help; by default its type says.
    metavar: str = ""
    #: Whether the flag, which takes one of several, may be repeated.
    repeated: bool = False
    #: Flags that stand for a value.
    shorthands: Mapping[str, str] = field(default_factory=dict)
    #: Where in the help of a command the flag stands; None is nowhere.
    section: str | None = ""
    #: The words that it may be.
    choices: tuple[str, ...] = ()
    #: Its lowest and highest value; None is no limit.
    limits: tuple[float, float | None] | None = None
    #: Raises ConfigError for what it must not be.
    check: Callable[[Any], None] | None = None
    #: Whether it can change while a service runs; else it takes a restart.
    live: bool = False
    #: The option that has taken its place, where it has no effect any more.
    replaced_by: str = ""

    @property
    def described(self) -> str:
        """All that the documents say."""
        words = f"One of {', '.join(self.choices)}." if self.choices and not self.metavar else ""
        return " ".join(filter(None, (self.text, self.more, words)))

    def means_to(self, service: str) -> Meaning:
        """Return what the key means to a service that has no such option."""
        if isinstance(self.elsewhere, Meaning):
            return self.elsewhere
        return self.elsewhere.get(service, IGNORED)

    def flag_names(self, key: str) -> list[str]:
        """Return the flags of `key`."""
        return [f"--{key.replace('_', '-')}"] if self.flags is None else self.flags.split()


def about(text: str, /, **said: Any) -> dict[str, Option]:
    """Return the metadata of a field that has no default.

    :param text: see :class:`Option`; `said` is its other fields.
    """
    return {"option": Option(text, **said)}


def option(default: Any, text: str, /, **said: Any) -> Any:
    """Return the field of a class of options.

    :param default: ``dict`` for an empty one.
    :param text: see :class:`Option`; `said` is its other fields.
    """
    metadata, shown = about(text, **said), not said.get("secret", False)
    if default is dict:
        return field(default_factory=dict, repr=shown, metadata=metadata)
    return field(default=default, repr=shown, metadata=metadata)


def options_of(kind: type) -> Iterator[tuple[dataclasses.Field[Any], Option]]:
    """Yield the fields of a class of options, and what is said of each.

    Fields that somebody's own class has besides are left out.
    """
    for one in dataclasses.fields(kind):
        if (said := one.metadata.get("option")) is not None:
            yield one, said


def default_text(kind: type, name: str, said: Option) -> str:
    """Return what is said of a default; "" where there is none to speak of.

    :param said: of the field `name` of `kind`, or of another key that sets it.
    """
    defaults = {one.name: one.default for one, its in options_of(kind) if its is said}
    if said.default or name not in defaults:
        return said.default
    default = defaults[name]
    if default in (dataclasses.MISSING, None, "", ()):
        return ""
    if isinstance(default, tuple):
        return ", ".join(map(str, default))
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


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


class OptionKey(NamedTuple):
    """A key that sets an option."""

    name: str
    #: The field that it sets.
    field: str
    option: Option
    read: Callable[[object], object]


def keys_of(kind: type) -> Iterator[OptionKey]:
    """Yield every key that sets an option of a class.

    Keys of what the class itself has come before those of its bases.
    """
    found = {one.name: (one, said) for one, said in options_of(kind)}
    for base in kind.__mro__:
        for name in vars(base).get("__annotations__", ()):
            one, said = found.pop(name, (None, None))
            if one is None or said is None or said.key is None:
                continue
            read = TYPES[str(one.type).removesuffix(" | None")].read_key
            if said.choices and read is values.read_text:
                read = values.read_lowercase
            key = said.key or name
            yield OptionKey(key, name, said, said.read or read)
            for other, also in said.also.items():
                text = also.text or f"The same as `{key}`."
                yield OptionKey(other, name, replace(also, text=text), also.read or read)


def documented(kind: type[_Kind]) -> type[_Kind]:
    """Have the docstring of a class of options describe each of them."""
    kind.__doc__ = _Docstring(inspect.cleandoc(kind.__doc__ or ""))  # type: ignore[assignment]
    return kind


class _Docstring:
    """A docstring that is put together when somebody reads it, not when a service starts."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __get__(self, _: object, kind: type) -> str:
        described = (
            textwrap.fill(f":param {one.name}: {said.described}", _WIDTH, subsequent_indent="    ")
            for one, said in options_of(kind)
        )
        return "\n".join((self._text, "", *described))


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Checked:
    """Options that are checked when they are made; :func:`option` makes its fields."""

    def __post_init__(self) -> None:
        for one, said in options_of(type(self)):
            annotation, value = str(one.type), getattr(self, one.name)
            if value is one.default or (value is None and annotation.endswith(" | None")):
                continue
            wanted = TYPES[annotation.removesuffix(" | None")]
            try:
                if (read := wanted.read(value)) is None:
                    # Not the value: it may be a secret.
                    kind = type(value).__name__
                    raise ConfigError(f"it has to be {wanted.wanted}, not {kind}")
                if read is not value:
                    object.__setattr__(self, one.name, read)
                if read != one.default:
                    _check(said, read)
            except ConfigError as error:
                raise ConfigError(f"{one.name}: {error}") from None


def _check(said: Option, value: Any) -> None:
    if said.choices:
        words = {value} if isinstance(value, str) else {*value}
        if not words or not words <= {*said.choices}:
            number = "it is one of" if isinstance(value, str) else "one or more of"
            raise ConfigError(f"{number} {', '.join(said.choices)}")
    if said.limits is not None:
        lowest, highest = said.limits
        if highest is None and value < lowest:
            raise ConfigError(f"{value} is below {lowest}")
        if highest is not None and not lowest <= value <= highest:
            raise ConfigError(f"{value} is not in {lowest}..{highest}")
    if said.check is not None:
        said.check(value)
