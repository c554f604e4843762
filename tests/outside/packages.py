"""Packages of others, unpacked where their tests can run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

#: Seconds for one command, the download and the compilation of a package among them.
_PATIENCE = 900.0


def folder() -> Path:
    """Return where packages are kept from one run to the next."""
    found = os.environ.get("FASTSOCKS_OUTSIDE") or Path.home() / ".cache" / "fastsocks-outside"
    path = Path(found)
    path.mkdir(parents=True, exist_ok=True)
    return path


def need(program: str, remedy: str) -> str:
    """Return the path of a program, or skip the test."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is missing: {remedy}")
    return found


def run(
    command: Sequence[str | Path], where: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command; its output is that of both streams."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=where,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )


def must(command: Sequence[str | Path], where: Path) -> None:
    """Run a command that has to succeed."""
    found = run(command, where)
    assert found.returncode == 0, found.stdout


def unpacked(archive: Path, into: Path) -> Path:
    """Unpack an archive anew, and return the only folder in it."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    with tarfile.open(archive) as packed:
        packed.extractall(into, filter="data")
    (found,) = into.iterdir()
    return found


def python_suite(name: str, version: str, *more: str) -> tuple[Path, Path]:
    """Get a Python package with its tests.

    :param more: what these need beside pytest.
    :return: an interpreter that has the package, and the folder of its source.
    """
    where = folder() / f"{name}-{version}"
    python = where / "environment" / "bin" / "python"
    ready = where / "ready"
    if not ready.exists() or ready.read_text() != " ".join(more):
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir()
        must([sys.executable, "-m", "venv", where / "environment"], where)
        install: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
        must([*install, "pytest", f"{name}=={version}", *more], where)
        download: list[str | Path] = [python, "-m", "pip", "download", "--quiet", "--no-deps"]
        must([*download, "--no-binary", ":all:", f"{name}=={version}", "--dest", where], where)
        ready.write_text(" ".join(more))
    (archive,) = where.glob("*.tar.gz")
    return python, unpacked(archive, where / "source")


def run_pytest(
    python: Path, source: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> tuple[set[str], dict[str, str]]:
    """Run the tests of a package.

    :return: the names of tests that passed, and what others failed with.
    """
    report = source / "report.xml"
    done = run(
        [
            python,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            *arguments,
        ],
        source,
        environment,
    )
    assert report.exists(), done.stdout
    passed: set[str] = set()
    failed: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314
        name = f"{case.get('classname')}::{case.get('name')}"
        faults = [one for one in case if one.tag in {"failure", "error"}]
        if faults:
            failed[name] = f"{faults[0].get('message')}\n{faults[0].text}"
        elif case.find("skipped") is None:
            passed.add(name)
    assert passed, done.stdout
    return passed, failed


def compare(passed: set[str], failed: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Fail unless what failed is what was expected to.

    :param expected: reasons, by a part of the names of tests.
    """
    surprises = {
        name: text for name, text in failed.items() if not any(part in name for part in expected)
    }
    assert not surprises, "\n\n".join(f"{name}: {text}" for name, text in surprises.items())
    gone = [part for part in expected if not any(part in name for name in failed)]
    assert not gone, f"listed as exceptions, and did not fail: {gone}"
