"""What the source says of each option, for `help()` and for the reference."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from typing import TypeVar

_FIELD = re.compile(r"((?:    #: .*\n)+)    (\w+):")
_WIDTH = 92

Options = TypeVar("Options")


def option_texts(kind: type) -> dict[str, str]:
    """Return the comment of each field of a class of options, in their order.

    :param kind: a dataclass whose comments begin with ``#:``; those of its bases count.
    """
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            source = inspect.getsource(base)
            for comment, name in _FIELD.findall(source):
                lines = (line.strip().removeprefix("#:").strip() for line in comment.split("\n"))
                texts[name] = " ".join(lines).strip()
    return {field.name: texts.get(field.name, "") for field in dataclasses.fields(kind)}


def with_help(kind: type[Options]) -> type[Options]:
    """Have the docstring of a class of options describe each of them."""
    kind.__doc__ = _Help(inspect.cleandoc(kind.__doc__ or ""))  # type: ignore[assignment]
    return kind


class _Help:
    """A docstring that is put together when somebody reads it, not when a service starts."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __get__(self, _: object, kind: type) -> str:
        described = (
            textwrap.fill(f":param {name}: {text}", _WIDTH, subsequent_indent="    ")
            for name, text in option_texts(kind).items()
            if text
        )
        return "\n".join((self._text, "", *described))
