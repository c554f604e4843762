"""The functions that the story of one connection names are there, where it says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "design" / "architecture.md").read_text("utf-8")
STORY = PAGE.partition("## The story of one connection\n")[2].partition("\n## ")[0]
STEPS = re.findall(r"^\| `([\w.]+)` \| `([\w/.]+)` \|", STORY, re.MULTILINE)


def test_it_is_told_from_beginning_to_end() -> None:
    rows = [line for line in STORY.splitlines() if line.startswith("| `")]
    assert len(STEPS) == len(rows) > 20


@pytest.mark.parametrize(("name", "file"), STEPS, ids=[name for name, _ in STEPS])
def test_a_function_is_there(name: str, file: str) -> None:
    source = (ROOT / "src" / "fastsocks" / file).read_text("utf-8")
    class_name, _, function = name.rpartition(".")
    if class_name:
        found = re.search(
            rf"^(?:cdef )?class {class_name}\b[^\n]*:\n(.*?)(?=^\S|\Z)",
            source,
            re.MULTILINE | re.DOTALL,
        )
        assert found, f"{file} has no class {class_name}"
        source = found[1]
    indent = " {4}" if class_name else ""
    defined = rf"^{indent}(?:async def|def|cp?def [\w ]+?) ?\b{function}\("
    assert re.search(defined, source, re.MULTILINE), f"{name} is not in {file}"


def test_as_few_have_to_be_known_as_the_house_wants() -> None:
    tcp = STORY.partition("**UDP")[0]
    files = set(re.findall(r"^\| `[\w.]+` \| `([\w/.]+)` \|", tcp, re.MULTILINE))
    assert len(files) <= 12, sorted(files)
