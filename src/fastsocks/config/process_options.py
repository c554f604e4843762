"""The options of the process."""

from __future__ import annotations

from dataclasses import dataclass

from . import values
from .option import LOG, PROCESS, Checked, Peer, documented, option

#: More than any machine has cores; each has its part of the memory that all share.
MOST_WORKERS = 1024


@documented
@dataclass(frozen=True, kw_only=True)
class ProcessOptions(Checked):
    """What concerns the process, for the command line to act on."""

    # fmt: off
    workers: int = option(1,
        "How many processes serve; auto, or 0, is one for each core.",
        more="Each is on a core of its own, of those that this process may use.",
        peers=Peer.PYTHON, read=values.read_workers, metavar="NUMBER|auto", section=PROCESS,
        limits=(0, MOST_WORKERS))
    nofile: int | None = option(None, "Limit of open files to set, for each worker.",
        default="as high as it may be", peers=Peer.LIBEV | Peer.RUST, flags="-n --nofile",
        section=PROCESS, limits=(1, None))
    no_core_dumps: bool = option(False,
        "Leave no core dump, which would have keys in it, and on Linux let no program of the same "
        "user look into the memory.",
        more="These are debuggers, tracers, profilers (PR_SET_DUMPABLE).",
        section=PROCESS)
    user: str = option("", "Become this user, a name or a number, once the ports are open.",
        peers=Peer.LIBEV | Peer.PYTHON, flags="-a", metavar="USER", section=PROCESS)
    log_format: str = option("text", "Form of log lines.", section=LOG, choices=("text", "json"))
    log_level: str = option("info", "The least that is logged.",
        shorthands={"-v --verbose": "debug"}, section=LOG,
        choices=("debug", "info", "warning", "error"))
    public_address: str = option("", "Where clients reach this server, for its URL.",
        default="the address by which this host reaches the Internet", commands=("server", "url"),
        metavar="HOST[:PORT]")
    # fmt: on
