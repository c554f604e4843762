"""How and where this process logs."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Any, TextIO

from fastsocks.errors import ConfigError

#: Stands for standard output, as the file of an access log.
STANDARD_OUTPUT = "-"

#: Of syslog(3), for the journal of systemd.
_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


@dataclass(frozen=True)
class LogOptions:
    """What the command line says of logs."""

    #: ``debug``, ``info``, ``warning`` or ``error``.
    level: str = "info"
    #: ``text`` or ``json``.
    format: str = "text"
    #: A file, STANDARD_OUTPUT, or None for no access log.
    access_log: str | None = None


def set_up_log(options: LogOptions) -> None:
    """Log to standard error, and accesses to where the options say.

    :raises ConfigError: the file of the access log cannot be opened.
    """
    logging.basicConfig(level=options.level.upper(), handlers=[_handler(None, options.format)])
    # Not about connections: asyncio tells which selector it chose, and which calls are slow.
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, logging.getLogger().level))
    if options.access_log is not None:
        accesses = logging.getLogger("fastsocks.access")
        accesses.setLevel(logging.INFO)
        accesses.propagate = False
        accesses.addHandler(_handler(options.access_log, options.format))


def name_worker(number: int) -> None:
    """Let every line say which worker it is of."""
    for logger in (logging.getLogger(), logging.getLogger("fastsocks.access")):
        for handler in logger.handlers:
            if isinstance(handler.formatter, _TextFormatter | _JSONFormatter):
                handler.formatter.worker = number


def _handler(file: str | None, form: str) -> logging.Handler:
    handler: logging.Handler
    formatter: logging.Formatter = _JSONFormatter() if form == "json" else _TextFormatter()
    if file is None or file == STANDARD_OUTPUT:
        stream = sys.stderr if file is None else sys.stdout
        if isinstance(stream, TextIOWrapper):
            # Where the locale cannot write a name it is escaped, as on standard error.
            stream.reconfigure(errors="backslashreplace")
        handler = _StreamHandler(stream)
        if form == "text" and _is_journal(stream):
            formatter = _JournalFormatter()
    else:
        # Opens the file anew once logrotate has moved it away; Windows does not let it.
        kind = logging.FileHandler if sys.platform == "win32" else _watched()
        try:
            handler = type("_FileHandler", (_Telling, kind), {})(file, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"access_log: cannot write {file}: {error.strerror}") from error
    handler.setFormatter(formatter)
    return handler


class _Telling(logging.Handler):
    """Says why lines cannot be written, once, in the place of a traceback for each of them."""

    _told = ""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif str(error) != self._told:
            self._told = str(error)
            # Where it is standard error that fails there is nobody to tell.
            if self not in logging.getLogger().handlers:
                logging.getLogger("fastsocks").error("lines of the access log are lost: %s", error)


class _StreamHandler(_Telling, logging.StreamHandler[TextIO]):
    pass


def _watched() -> type[logging.FileHandler]:
    # Only for an access log: it brings pickle and queue along.
    from logging.handlers import WatchedFileHandler

    return WatchedFileHandler


def _is_journal(stream: TextIO) -> bool:
    # systemd.exec(5) has the variable name what standard error or output was connected to.
    if not (journal := os.environ.get("JOURNAL_STREAM")):
        return False
    try:
        found = os.fstat(stream.fileno())
    except OSError:
        return False
    return journal == f"{found.st_dev}:{found.st_ino}"


class _TextFormatter(logging.Formatter):
    """Lines for people: time, level, message.

    What does not print is escaped, whoever wrote it: a peer chooses names that are logged, and
    must not be able to write lines of its own, or to a terminal.
    """

    def __init__(self, line: str = "%(asctime)s %(levelname)s %(message)s") -> None:
        super().__init__(line, "%Y-%m-%d %H:%M:%S")
        #: None where there is but one process.
        self.worker: int | None = None

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        if not record.message.isprintable():
            record.message = "".join(
                letter if letter.isprintable() else ascii(letter)[1:-1] for letter in record.message
            )
        if self.worker is not None:
            record.message = f"worker {self.worker}: {record.message}"
        return super().formatMessage(record)


class _JournalFormatter(_TextFormatter):
    """Lines for systemd's journal: it has the time, and takes the level in front (sd-daemon(3))."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        level = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return level + super().format(record).replace("\n", f"\n{level}")


class _JSONFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the fields of the record.

    Of several processes each adds its number, as ``worker``.
    """

    def __init__(self) -> None:
        super().__init__()
        #: None where there is but one process.
        self.worker: int | None = None

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **({} if self.worker is None else {"worker": self.worker}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            found["traceback"] = self.formatException(record.exc_info)
        # Everything beyond ASCII is escaped, and with it what does not print.
        return json.dumps(found)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return RFC 3339 in UTC with milliseconds."""
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{text}.{int(record.msecs):03d}Z"
