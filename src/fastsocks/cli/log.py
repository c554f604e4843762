"""How and where this process logs."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from fastsocks.errors import ConfigError

from .log_queue import Descriptor, LineQueue, LogFile

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

_log = logging.getLogger("fastsocks")


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


def carry_by_process(give_up_rights: Callable[[], None]) -> None:
    """Have a process write the log: this one makes others later, and must have no thread.

    :param give_up_rights: is called in that process.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _QueueHandler):
            handler.queue.use_process(give_up_rights)


def become_worker(number: int) -> None:
    """Log as this worker, of which every line says the number."""
    for logger in (logging.getLogger(), logging.getLogger("fastsocks.access")):
        for handler in logger.handlers:
            if isinstance(handler, _QueueHandler):
                handler.queue.after_fork()
            if isinstance(handler.formatter, _TextFormatter | _JSONFormatter):
                handler.formatter.worker = number


@contextmanager
def each_line_once() -> Iterator[None]:
    """Leave out lines that say what another one in this block has said: services are many."""
    seen: set[tuple[int, str]] = set()

    def is_new(record: logging.LogRecord) -> bool:
        line = record.levelno, record.getMessage()
        known = line in seen
        seen.add(line)
        return not known

    handlers = logging.getLogger().handlers[:]
    for handler in handlers:
        handler.addFilter(is_new)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_new)


def _handler(file: str | None, form: str) -> logging.Handler:
    formatter: logging.Formatter = _JSONFormatter() if form == "json" else _TextFormatter()
    handler: logging.Handler
    if file is None or file == STANDARD_OUTPUT:
        stream = sys.stderr if file is None else sys.stdout
        if form == "text" and _is_journal(stream):
            formatter = _JournalFormatter()
        handler = _stream_handler(stream)
    else:
        try:
            handler = _file_handler(file)
        except OSError as error:
            raise ConfigError(f"access_log: cannot write {file}: {error.strerror}") from error
    handler.setFormatter(formatter)
    return handler


def _stream_handler(stream: TextIO) -> logging.Handler:
    try:
        number = stream.fileno()
    except OSError:  # a program that runs this one has put something else there
        return logging.StreamHandler(stream)
    if sys.platform == "win32":  # which has no pipes that never wait
        return logging.StreamHandler(stream)
    return _QueueHandler(Descriptor(number), stream.encoding)


def _file_handler(file: str) -> logging.Handler:
    if sys.platform == "win32":
        return logging.FileHandler(file, encoding="utf-8")
    return _QueueHandler(LogFile(file), "utf-8")


class _QueueHandler(logging.Handler):
    """Puts lines into a queue, and says of those that are lost that they are."""

    def __init__(self, destination: Descriptor | LogFile, encoding: str) -> None:
        super().__init__()
        self.queue = LineQueue(destination, lost=self._lost, failed=self._failed)
        self._encoding = encoding
        self._told = ""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put(self._line(record))
        except Exception:  # noqa: BLE001 - as every handler does it
            self.handleError(record)

    def close(self) -> None:
        self.queue.close()
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        # Where the locale cannot write a name it is escaped.
        return f"{self.format(record)}\n".encode(self._encoding, "backslashreplace")

    def _lost(self, count: int) -> bytes:
        """Say how many lines were lost; return it, where it is this log that says so."""
        text = "%d lines of %s were lost here: whoever reads or stores it was too slow"
        fields = {"times": count}
        if self not in logging.getLogger().handlers:
            _log.warning(text, count, "the access log", extra={"fields": fields})
            return b""
        record = _log.makeRecord(
            _log.name,
            logging.WARNING,
            "",
            0,
            text,
            (count, "the log"),
            None,
            "",
            {"fields": fields},
        )
        return self._line(record)

    def _failed(self, error: OSError) -> None:
        """Say why lines cannot be written, once, if there is anybody to tell."""
        if str(error) != self._told and self not in logging.getLogger().handlers:
            self._told = str(error)
            _log.error("lines of the access log are lost: %s", error)


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
