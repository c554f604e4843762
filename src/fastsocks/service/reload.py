"""Options of a service that change while it runs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypeVar

from fastsocks.config.option import options_of
from fastsocks.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from fastsocks.config import Options

    _Kind = TypeVar("_Kind", bound=Options)


@dataclass(frozen=True)
class Reloaded:
    """What became of options that were given to a running service.

    :param changed: names of those that hold from now on.
    :param needs_restart: names of those that are as they were: they hold after a restart.
    """

    changed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()


class Reload:
    """Options that are checked, and hold once :meth:`apply` is called.

    :param reloaded: what changes, and what does not.
    :param check: checks what a running service alone can, and takes a while; raises ConfigError.
    :param apply: has them hold; cannot fail.
    """

    def __init__(
        self,
        reloaded: Reloaded,
        check: Callable[[], Awaitable[None]],
        apply: Callable[[], None],
    ) -> None:
        #: The parameter.
        self.reloaded = reloaded
        self._check = check
        self._apply = apply

    async def check(self) -> None:
        """Check all that is left to be checked.

        :raises ConfigError: something is wrong.
        """
        if self.reloaded.changed:
            await self._check()

    def apply(self) -> None:
        """Have the options hold."""
        if self.reloaded.changed:
            self._apply()


def changes(before: _Kind, wanted: _Kind, fixed: Collection[str]) -> tuple[_Kind, Reloaded]:
    """Find out what changes, and return the options that can hold while the service runs.

    :param fixed: names of options that this service cannot change, whatever is said of them.
    :raises ConfigError: options of another service, or such as do not go with those that stay.
    """
    if type(wanted) is not type(before):
        raise ConfigError(f"options: {type(wanted).__name__} are for another service")
    differ = [
        one.name for one in fields(before) if getattr(before, one.name) != getattr(wanted, one.name)
    ]
    live = {one.name for one, said in options_of(type(before)) if said.live} - set(fixed)
    stay = tuple(name for name in differ if name not in live)
    try:
        found = replace(wanted, **{name: getattr(before, name) for name in stay})
    except ConfigError as error:
        raise ConfigError(
            f"{error}; with what can change only by a restart ({', '.join(stay)})"
        ) from None
    return found, Reloaded(tuple(name for name in differ if name in live), stay)
