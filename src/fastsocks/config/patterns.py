"""Regular expressions of ACL files: how long one may take, and what it cannot do without.

Python's engine tries one way of reading a name after another, and clients make up names. So the
ways in which an expression can be read at all are counted before; what has too many is refused.
"""

from __future__ import annotations

import math
import re
import warnings
from typing import NamedTuple

from fastsocks.errors import ConfigError

#: Letters of the longest name, and places where one may begin to be read.
_LETTERS = 254

#: Ways to read a name that an expression may have: in all, which takes 0.2 s, and without those of
#: its unlimited repetitions, each of which is slower to try.
_MOST_WAYS = 4_000_000
_MOST_CHOICES = 4096

#: Times that something may be repeated which can be read in several ways.
_MOST_REPEATED = 12

_QUANTIFIER = re.compile(r"(?:([*+?])|\{(\d*)(,?)(\d*)\})[?+]?", re.ASCII)
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_GROUP = re.compile(r"\((?:\?(?::|=|!|>|<=|<!|P<\w+>))?")
_FLAGS = re.compile(r"\(\?[aimsu]+\)")
_NUMBERED = re.compile(r"x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}", re.IGNORECASE)
_CLASSES = "dDwWsS"
_BOUNDARIES = "bBAZ"


class _Shape(NamedTuple):
    """What is known of a part of an expression."""

    #: In how many ways it can be read from one place on, unlimited repetitions aside; infinite
    #: where there is no bound.
    choices: float = 1
    #: How many unlimited repetitions it has.
    repetitions: int = 0
    #: The longest text that is in all that it matches.
    text: str = ""
    #: The letter that it begins with, or ``^``; None where there are several.
    first: str | None = None

    @property
    def ways(self) -> float:
        """In how many ways a name can be read, wherever that begins."""
        places = self.repetitions + (self.first != "^")
        # Places come one behind the other.
        return self.choices * float(_LETTERS**places) / math.factorial(places)


class _UnknownError(Exception):
    """Something whose ways are not counted."""


def compile_pattern(text: str) -> re.Pattern[str]:
    """Make a regular expression to search names for, without regard to case.

    :raises ConfigError: it is none, or could take too long; says what to write.
    """
    if not text.isascii():
        raise ConfigError(
            "names are compared in ASCII, so that this never holds; write ||example.com, in any "
            "letters, or the xn-- form of the name"
        )
    try:
        with warnings.catch_warnings():
            # What a pattern may mean to later Pythons.
            warnings.simplefilter("ignore", FutureWarning)
            pattern = re.compile(text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"this is no IP address, network, name or regular expression: {error}"
        ) from None
    try:
        shape = _Counter(text).count()
    except (_UnknownError, RecursionError):
        raise ConfigError(
            "this regular expression has something else than letters, classes, groups, "
            "alternatives and repetitions; write ||example.com for a name and all below it"
        ) from None
    if shape.choices > _MOST_CHOICES or shape.ways > _MOST_WAYS:
        raise ConfigError(
            "this regular expression repeats too much: a name could take very long to compare; "
            "write ||example.com for a name and all below it"
        )
    return pattern


def needed_text(pattern: re.Pattern[str]) -> str:
    """Return a text, in lower case, that is in every name in which a pattern is found.

    :param pattern: made by :func:`compile_pattern`.
    :return: the longest that is easily told; "" where none is.
    """
    return _Counter(pattern.pattern).count().text


class _Counter:
    """Reads an expression that compiles, from its front."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def count(self) -> _Shape:
        if (found := _FLAGS.match(self._text)) is not None:
            self._position = found.end()
        shape = self._alternatives()
        if self._position < len(self._text):
            raise _UnknownError
        return shape

    def _alternatives(self) -> _Shape:
        branches = [self._sequence()]
        while self._takes("|"):
            branches.append(self._sequence())
        if len(branches) == 1:
            return branches[0]
        # Of those that begin with different letters one can match at a place.
        choices: dict[str | None, float] = {None: 0}
        for one in branches:
            choices[one.first] = choices.get(one.first, 0) + one.choices
        others = choices.pop(None)
        alike = max(choices.values(), default=0)
        return _Shape(alike + others, max(one.repetitions for one in branches))

    def _sequence(self) -> _Shape:
        choices, repetitions = 1.0, 0
        longest = run = ""
        first: str | None = None
        start = self._position
        while self._position < len(self._text) and self._text[self._position] not in "|)":
            at_start = self._position == start
            shape, is_letter = self._item()
            choices *= shape.choices
            repetitions += shape.repetitions
            if at_start:
                first = shape.first
            if is_letter:
                run += shape.text
            else:
                longest, run = max(longest, run, shape.text, key=len), ""
        return _Shape(choices, repetitions, max(longest, run, key=len), first)

    def _item(self) -> tuple[_Shape, bool]:
        """Read a letter, a class or a group, and how often it may be there.

        :return: also whether it is one letter, once.
        """
        shape, is_letter = self._atom()
        found = _QUANTIFIER.match(self._text, self._position)
        if found is None or found[0] in {"{}", "{}?", "{}+"}:
            return shape, is_letter
        self._position = found.end()
        sign, low_text, comma, high_text = found.groups()
        low = {"*": 0, "+": 1, "?": 0}[sign] if sign else int(low_text or 0)
        high: float = math.inf
        if sign == "?":
            high = 1
        elif not sign and (high_text or not comma):
            high = int(high_text) if comma else low
        return _repeated(shape, low, high), False

    def _atom(self) -> tuple[_Shape, bool]:
        text, start = self._text, self._position
        letter = text[start]
        if letter == "(":
            return self._group(), False
        if letter == "[":
            found = _CLASS.match(text, start)
            if found is None:
                raise _UnknownError
            self._position = found.end()
            return _Shape(), False
        self._position += 1
        if letter == "\\":
            return self._escaped()
        if letter in "^$":
            return _Shape(first=letter), False
        if letter == ".":
            return _Shape(), False
        return _Shape(text=letter.lower(), first=letter.lower()), True

    def _escaped(self) -> tuple[_Shape, bool]:
        letter = self._text[self._position]
        self._position += 1
        if not letter.isalnum():
            return _Shape(text=letter, first=letter), True
        if letter in _BOUNDARIES:
            return _Shape(first="^" if letter == "A" else None), False
        if letter not in _CLASSES:
            found = _NUMBERED.match(self._text, self._position - 1)
            if found is None:
                raise _UnknownError
            self._position = found.end()
        return _Shape(), False

    def _group(self) -> _Shape:
        found = _GROUP.match(self._text, self._position)
        if found is None:
            raise _UnknownError
        self._position = found.end()
        if found[0] == "(" and self._text.startswith("?", self._position):
            raise _UnknownError
        shape = self._alternatives()
        if not self._takes(")"):
            raise _UnknownError
        looks_around = found[0] in {"(?=", "(?!", "(?<=", "(?<!"}
        return shape._replace(text="", first=None) if looks_around else shape

    def _takes(self, letter: str) -> bool:
        if self._text.startswith(letter, self._position):
            self._position += 1
            return True
        return False


def _repeated(shape: _Shape, low: int, high: float) -> _Shape:
    """Return what a part becomes that is there `low` to `high` times."""
    plain = shape.choices == 1 and not shape.repetitions
    choices: float
    if plain:
        choices, repetitions = (1, 1) if high == math.inf else (high - low + 1, 0)
    elif high > _MOST_REPEATED:
        choices, repetitions = math.inf, 0
    else:
        choices = sum(shape.choices**times for times in range(low, int(high) + 1))
        repetitions = shape.repetitions * int(high)
    if not low:
        return _Shape(choices, repetitions)
    return _Shape(choices, repetitions, shape.text, shape.first)
