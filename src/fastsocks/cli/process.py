"""What a process that runs services needs: its limits, its user, and saying where it listens."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING

import fastsocks
from fastsocks.errors import ConfigError

from .core_dumps import forbid_core_dumps
from .loop import loop_name
from .places import listed
from .service_manager import notify

if TYPE_CHECKING:
    import pwd
    import socket
    from collections.abc import Callable, Sequence

    from fastsocks.config import ProcessOptions
    from fastsocks.service import Running

    from .reload import Wanted

#: Characters of a status for people. systemd ignores messages of more than 4 KiB.
_LONGEST_STATUS = 1000

#: What a service manager is told once connections may but finish.
STOPPING = ("STOPPING=1", "STATUS=letting connections finish")

_log = logging.getLogger("fastsocks")


@dataclass(frozen=True)
class Start:
    """What to run, and how."""

    #: Makes the services for this many processes, and for sockets that were passed; called once
    #: the log is set up and limits are raised.
    make: Callable[[int, Sequence[socket.socket]], list[Running]]
    options: ProcessOptions
    #: Reads the configuration again, for services that were given sockets that were passed.
    read_again: Callable[[Sequence[socket.socket]], Wanted]
    #: A file, "-" for standard output, or None.
    access_log: str | None
    #: For the log.
    warnings: Sequence[str] = ()
    #: Called once all of them listen.
    announce: Callable[[Sequence[Running]], None] | None = None


def versions() -> str:
    """Return what the log begins with.

    :raises ConfigError: the event loop that is asked for is not there.
    """
    return f"fastsocks {fastsocks.__version__} ({fastsocks.__impl__}, {loop_name()})"


def announce(services: Sequence[Running], start: Start) -> None:
    """Say where services listen, and that they do."""
    places = list(listed([address for service in services for address in service.addresses]))
    for place in places:
        _log.info("listening on %s", place)
    status = shorten(", ".join(places), _LONGEST_STATUS, placeholder=" ...")
    notify("READY=1", f"STATUS=listening on {status}")
    if start.announce is not None:
        start.announce(services)


def core_count() -> int:
    """Return on how many cores this process may run."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def raise_limits(wanted: int | None) -> None:
    """Set the limit of open files, or raise it to the hard one."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if wanted is not None:
        # Root may go beyond the hard limit.
        top = hard if hard == resource.RLIM_INFINITY else max(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, top))
        except (OSError, ValueError):
            _log.warning(
                "nofile: %d cannot be had, so it is %d, the hard limit; LimitNOFILE= in a systemd "
                "unit raises that",
                wanted,
                hard,
            )
        else:
            return
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS: "unlimited" is more than the kernel allows
        _log.debug("the limit of open files stays at %d: %s", soft, error)


def give_up_rights(options: ProcessOptions) -> None:
    """Become the user that is asked for, if any.

    :raises ConfigError: there is no such user, or this process may not become it.
    """
    if options.user:
        become(options.user)
        if options.no_core_dumps:
            forbid_core_dumps()


def find_user(user: str) -> pwd.struct_passwd:
    """Look a user up.

    :param user: name or number.
    :raises ConfigError: there is none.
    """
    try:
        import pwd
    except ModuleNotFoundError as error:  # Windows
        raise ConfigError("user: this system cannot change it; start as that user") from error
    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError) as error:
        raise ConfigError(f"user: there is no user {user!r}") from error


def become(user: str) -> None:
    """Give up the rights of root for those of a user, for good.

    :param user: name or number.
    :raises ConfigError: there is none, or this process may not.
    """
    entry = find_user(user)
    if os.geteuid() == entry.pw_uid:
        return
    try:
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    except PermissionError as error:
        raise ConfigError(
            f"user: only root can become {user!r}; start as that user, such as by User= in a "
            "systemd unit"
        ) from error
