"""How lines look, and where they go."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsocks.cli.log import LogOptions, set_up_log
from fastsocks.errors import ConfigError
from harness.deadline import wait_until

LINE_BREAKS = "\n\r\x0b\x0c\x1b[2J\x7f\x85\u2028\u202e\udcff"


@pytest.fixture(autouse=True)
def _separate_logging() -> Iterator[None]:
    """Leave the loggers as they were, without pytest's own handlers meanwhile."""
    loggers = [logging.getLogger(name) for name in ("", "asyncio", "fastsocks.access")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers.clear()
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        for handler in logger.handlers:
            with contextlib.suppress(OSError):
                handler.close()
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


def _set_up(options: LogOptions) -> None:
    logging.getLogger().handlers.clear()  # pytest has put its own there again
    set_up_log(options)


def _all_written() -> None:
    """Wait until what was logged is where it belongs."""
    for logger in (logging.getLogger(), accesses):
        for handler in logger.handlers:
            handler.close()


log = logging.getLogger("fastsocks.test")
accesses = logging.getLogger("fastsocks.access")


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    _set_up(LogOptions())
    log.debug("hidden")
    log.warning("what %s", "happened")
    written = capsys.readouterr()
    assert written.out == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d WARNING what happened\n", written.err)


@pytest.mark.parametrize(("form", "start"), [("text", "<4>what"), ("json", '{"time"')])
def test_the_journal_is_told_the_level(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str, start: str
) -> None:
    with (tmp_path / "journal").open("w") as journal, (tmp_path / "other").open("w") as other:
        found = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        monkeypatch.setattr(sys, "stderr", journal)
        monkeypatch.setattr(sys, "stdout", other)
        _set_up(LogOptions(format=form, access_log="-"))
        log.warning("what %s", "happened")
        accesses.warning("who went where")
        _all_written()
    assert (tmp_path / "journal").read_text().startswith(start)
    assert not (tmp_path / "other").read_text().startswith("<")


def test_each_line_of_a_traceback_has_the_level_in_the_journal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "journal").open("w") as journal:
        found = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        monkeypatch.setattr(sys, "stderr", journal)
        _set_up(LogOptions())
        try:
            raise ValueError("the cause")
        except ValueError:
            log.exception("failed")
        _all_written()
    lines = (tmp_path / "journal").read_text().splitlines()
    assert lines[0] == "<3>failed"
    assert lines[-1] == "<3>ValueError: the cause"
    assert all(line.startswith("<3>") for line in lines)


@pytest.mark.parametrize("form", ["text", "json"])
def test_nobody_writes_lines_of_their_own(capsys: pytest.CaptureFixture[str], form: str) -> None:
    _set_up(LogOptions(format=form, access_log="-"))
    for logger in (log, accesses):
        logger.warning("name %s end", LINE_BREAKS, extra={"fields": {"target": LINE_BREAKS}})
    for written in capsys.readouterr():
        assert written.endswith("\n")
        assert written[:-1].isprintable()
        assert "\\n" in written
        assert "\\u202e" in written


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    _set_up(LogOptions(level="debug", format="json"))
    log.debug("what %s", "happened", extra={"fields": {"status": "tag", "peer": "192.0.2.1:1"}})
    found = json.loads(capsys.readouterr().err)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found == {
        "level": "debug",
        "logger": "fastsocks.test",
        "message": "what happened",
        "status": "tag",
        "peer": "192.0.2.1:1",
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_kept(capsys: pytest.CaptureFixture[str], form: str) -> None:
    _set_up(LogOptions(format=form))
    try:
        raise ValueError("the cause")
    except ValueError:
        log.exception("failed")
    written = capsys.readouterr().err
    assert "ValueError: the cause" in written
    assert (written.count("\n") == 1) == (form == "json")


def test_accesses_go_to_their_file_only(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    _set_up(LogOptions(level="error", access_log=str(file)))
    accesses.info("first")
    if sys.platform != "win32":
        wait_until(lambda: file.read_text("utf-8").endswith(" INFO first\n"), "it is written")
        file.rename(tmp_path / "access.log.1")  # as logrotate does
        accesses.info("second")
    _all_written()
    assert file.read_text("utf-8").endswith(" INFO second\n")
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform == "win32", reason="no modes")
@pytest.mark.parametrize(("mask", "mode"), [(0, 0o640), (0o022, 0o640), (0o077, 0o600)])
def test_nobody_else_reads_who_went_where(tmp_path: Path, mask: int, mode: int) -> None:
    file = tmp_path / "access.log"
    before = os.umask(mask)
    try:
        _set_up(LogOptions(access_log=str(file)))
        file.rename(tmp_path / "moved")
        accesses.info("a line")
        _all_written()
    finally:
        os.umask(before)
    for path in (file, tmp_path / "moved"):
        assert path.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has it")  # noqa: PTH110
@pytest.mark.parametrize("standard", [True, False])
def test_a_log_that_cannot_be_written_is_told_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, standard: bool
) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full, monkeypatch.context() as patch:
        if standard:
            patch.setattr(sys, "stdout", full)
        _set_up(LogOptions(access_log="-" if standard else "/dev/full"))
        for number in range(3):
            accesses.info("line %d", number)
        _all_written()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "ERROR lines of the access log are lost: [Errno 28] No space left on device"
    )


def test_what_the_locale_cannot_write_is_escaped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "output"
    with file.open("w", encoding="ascii", errors="strict") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        _set_up(LogOptions(access_log="-"))
        accesses.info("b\xfccher.example")
        _all_written()
        monkeypatch.undo()
    assert file.read_bytes().endswith(rb"b\xfccher.example" + b"\n")


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"access_log: cannot write .*No such file"):
        _set_up(LogOptions(access_log=str(tmp_path / "none" / "access.log")))


def test_levels(capsys: pytest.CaptureFixture[str]) -> None:
    _set_up(LogOptions(level="error"))
    log.warning("hidden")
    log.error("shown")
    logging.getLogger("asyncio").warning("hidden, too")
    lines: list[Any] = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
