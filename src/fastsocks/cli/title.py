"""Keeping secrets of the command line out of the list of processes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence

#: What stands in the place of a secret.
HIDDEN = "..."

_SECRET_FLAGS = ("--password", "--key", "--user", "--upstream", "--plugin-opts")
#: ``-k`` by itself or behind others: ``-vk``.
_SHORT = re.compile(r"-[A-Za-z0-9]*?k")
#: Whatever its scheme is, and as far as it goes: a password may have blanks, quotes, brackets. Of
#: schemes that are ours the slashes may be missing.
_URL = re.compile(
    r"\b((?:[a-z][a-z0-9+.-]*:(?=//))|(?:ss|socks[45][ah]?|https?):)(//)?.*",
    re.IGNORECASE | re.DOTALL,
)
#: What is left of a URL whose scheme is missing.
_CREDENTIALS = re.compile(r"[^/]*:.*@", re.DOTALL)


def hide_secrets() -> None:
    """Overwrite the arguments of this process, as ``ps`` shows them, if a secret is among them.

    It takes a moment until a program gets this far, in which they can be read.
    """
    shown = ["fastsocks", *without_secrets(sys.argv[1:])]
    if shown[1:] == sys.argv[1:] or sys.platform == "win32":
        # On Windows only administrators read the command lines of others.
        return
    from setproctitle import setproctitle

    setproctitle(" ".join(shown))


def title_part(part: str) -> None:
    """Let the list of processes say which part of the program this process is.

    :param part: such as ``worker 1``.
    """
    from setproctitle import setproctitle

    setproctitle(" ".join(["fastsocks", f"[{part}]", *without_secrets(sys.argv[1:])]))


def without_secrets(arguments: Sequence[str]) -> Iterator[str]:
    """Yield `arguments` with HIDDEN for passwords, keys and what follows ``ss://``.

    More may be hidden than is secret, never less.
    """
    next_is_secret = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        short = _SHORT.match(argument)
        if next_is_secret:
            next_is_secret = False
            yield HIDDEN
        elif name in _SECRET_FLAGS:
            next_is_secret = not equals
            yield f"{name}={HIDDEN}" if equals else name
        elif short and short[0] == argument:
            next_is_secret = True
            yield argument
        elif short:
            yield short[0] + HIDDEN
        elif _CREDENTIALS.match(argument) and not _URL.search(argument):
            yield HIDDEN
        else:
            yield without_urls(argument)


def without_urls(text: str) -> str:
    """Return `text` with HIDDEN for whatever follows ``ss://``, or the like of an upstream."""
    return _URL.sub(lambda found: f"{found[1].lower()}{found[2] or ''}{HIDDEN}", text)
