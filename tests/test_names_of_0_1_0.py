"""What the documents of 0.1.0 name goes on working, or warns: keys, flags, variables, Python names.

What they tell readers to run is run by test_document_blocks.py, test_document_programs.py and
end_to_end/test_examples.py.
"""

from __future__ import annotations

import importlib
import operator
import re
import warnings
from collections.abc import Iterator
from typing import Any

import click
import pytest

import fastsocks
from fastsocks.cli.commands import fastsocks as command_line
from fastsocks.config.environment import variables
from fastsocks.config.keys import ALIASES, KEYS, Side
from fastsocks.config.option import Place
from harness.documents import OF_0_1_0
from harness.loops import run

__all__ = ["run"]

CONFIGURATION = (OF_0_1_0 / "docs" / "reference" / "configuration.md").read_text("utf-8")
COMMANDS = (OF_0_1_0 / "docs" / "reference" / "commands.md").read_text("utf-8")
ERRORS = (OF_0_1_0 / "docs" / "reference" / "errors.md").read_text("utf-8")
MEMBERS = (OF_0_1_0 / "docs" / "how-to" / "embedding.md").read_text("utf-8")
PYTHON = (OF_0_1_0 / "docs" / "reference" / "python.md").read_text("utf-8")

#: Key, and the places where it may stand.
_ROW = r"^\| `(\w+)` \|.*\| ([^|]*) \| [^|]* \|$"
ROWS = re.findall(_ROW, CONFIGURATION, re.MULTILINE)
#: Those that set something, not only the shape of a file.
SETTING = [
    row
    for row in re.findall(
        _ROW, CONFIGURATION.partition("\n## Keys that are ignored")[0], re.MULTILINE
    )
    if row[0] not in ("servers", "locals", "protocol")
]
#: Command, and what the document says of it.
SECTIONS = re.findall(r"^## fastsocks (\w+)\n(.*?)(?=^## |\Z)", COMMANDS, re.MULTILINE | re.DOTALL)
OF_EVERY_SERVICE = re.search(
    r"^## Every service\n(.*?)(?=^## |\Z)", COMMANDS, re.MULTILINE | re.DOTALL
)


def _flags(text: str) -> list[str]:
    lines = re.findall(r"^- (`-.+?`)(?:: |$)", text, re.MULTILINE)
    return [flag for line in lines for flag in re.findall(r"`(-[\w-]+)", line)]


def test_there_is_something_to_look_for() -> None:
    assert len(ROWS) > 100
    assert {name for name, _ in SECTIONS} >= {"server", "local", "proxy", "check", "url", "passwd"}
    assert OF_EVERY_SERVICE is not None
    assert len(_flags(OF_EVERY_SERVICE[1])) > 20


@pytest.mark.parametrize(("key", "places"), ROWS)
def test_a_key_is_known_where_it_was(key: str, places: str) -> None:
    named = [place for place in Place if re.search(rf"\b{place.name}\b", places, re.IGNORECASE)]
    assert named
    for place in named:
        assert {key, ALIASES.get(key, key)} & KEYS[place].keys(), place


@pytest.mark.parametrize("key", [key for key, places in SETTING if "top" in places])
def test_its_variable_is_read(key: str) -> None:
    variable = f"FASTSOCKS_{key.upper()}"
    assert any(variable in variables(side) for side in Side)


@pytest.mark.parametrize(("command", "section"), SECTIONS)
def test_a_flag_is_taken(command: str, section: str) -> None:
    found = command_line.commands[command]
    context = click.Context(found)
    known = {flag for one in found.get_params(context) for flag in (*one.opts, *one.secondary_opts)}
    wanted = set(_flags(section))
    if "[every service](#every-service)" in section:
        assert OF_EVERY_SERVICE is not None
        wanted |= set(_flags(OF_EVERY_SERVICE[1]))
    assert wanted <= known


@pytest.mark.parametrize("path", re.findall(r"auto(?:class|function|module):: ([\w.]+)", PYTHON))
def test_a_python_name_is_there(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert getattr(importlib.import_module(module), name) is not None


@pytest.mark.parametrize("status", re.findall(r"^\| `([\w-]+)` \|", ERRORS, re.MULTILINE))
def test_an_error_has_its_status(status: str) -> None:
    kinds = (one for one in vars(fastsocks.errors).values() if isinstance(one, type))
    assert status in {getattr(kind, "status", None) for kind in kinds}


def _members() -> Iterator[str]:
    """Yield what its table of members names: `start`, `acceptor.active`."""
    for cell in re.findall(r"^\| (`[^|]+`) \|", MEMBERS, re.MULTILINE):
        before = ""
        for name in re.findall(r"`(?:await )?(\.?[\w.]+)[`(]", cell):
            before = f"{before.partition('.')[0]}{name}" if name.startswith(".") else name
            yield before


@pytest.mark.parametrize("member", [name for name in _members() if not name.endswith("Error")])
def test_a_member_of_a_service_is_there(run: Any, member: str) -> None:
    async def scenario() -> None:
        async with fastsocks.Proxy(fastsocks.ProxyOptions(port=0)) as proxy:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                operator.attrgetter(member)(proxy)
            if member.startswith("acceptor"):
                assert "write stats()" in str(caught[0].message)
            else:
                assert not caught

    run(scenario())
