"""Documents say what the code does."""

from __future__ import annotations

import ast
import json
import logging
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fastsocks.cli.invocation import NOT_KEYS
from fastsocks.cli.log import _JSONFormatter
from fastsocks.config.keys import ALIASES, KEYS
from fastsocks.journal import access_log, log
from fastsocks.setup import stages

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize(
    "script", ["command_reference.py", "configuration_table.py", "reference_tables.py"]
)
def test_the_tables_that_a_script_writes_are_up_to_date(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), "--check"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_tables_have_every_key() -> None:
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == {name for keys in KEYS.values() for name in keys}
    assert set(NOT_KEYS).isdisjoint(rows)


def anchors(path: Path) -> set[str]:
    """Return where links can lead to within a document, as GitHub and MyST name it."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_page_is_two_clicks_from_the_index() -> None:
    docs = ROOT / "docs"
    text = (docs / "index.md").read_text("utf-8")
    listed = set(re.findall(r"^(?:[\w ]+<)?([\w/-]+)>?$", text, re.MULTILINE))
    pages = {str(path.relative_to(docs).with_suffix("")) for path in docs.rglob("*.md")}
    assert pages - {"index"} <= listed


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_links_to_exists(document: str) -> None:
    path = ROOT / document
    text = path.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (path.parent / target).exists(), target
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", text):
        assert anchor in anchors((path.parent / target) if target else path), f"{target}#{anchor}"
    for target in re.findall(r"`((?:tests|scripts|examples|docs)/[\w/.]+)`", text):
        assert (ROOT / target).exists(), target


def test_the_fields_of_log_lines_are_those_of_the_code() -> None:
    modules = (access_log, log, stages)
    trees = [ast.parse(Path(str(module.__file__)).read_text("utf-8")) for module in modules]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    written = {
        str(keyword.arg)
        for node in nodes
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "line_fields"
        for keyword in node.keywords
    } - {"None"}
    # Those that are put in, and those of Stages.fields.
    dicts = (node for node in nodes if isinstance(node, ast.AugAssign | ast.Call | ast.Assign))
    for node in dicts:
        for value in ast.walk(node):
            if isinstance(value, ast.Dict):
                written |= {str(key.value) for key in value.keys if isinstance(key, ast.Constant)}
    record = logging.makeLogRecord({"levelname": "INFO", "exc_info": (ValueError, None, None)})
    formatter = _JSONFormatter()
    formatter.worker = 1
    written |= set(json.loads(formatter.format(record)))
    text = (ROOT / "docs" / "reference" / "log.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == written - {"fields"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_configuration_in_a_document_has_keys_that_exist(document: str) -> None:
    known = {*ALIASES, *(name for keys in KEYS.values() for name in keys)}
    text = (ROOT / document).read_text("utf-8")
    for block in re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        content = tomllib.loads(block)
        entries = [entry for name in ("servers", "locals") for entry in content.get(name, [])]
        assert known.issuperset(key for table in (content, *entries) for key in table)


def test_statuses_named_in_the_table_of_probes_are_tested() -> None:
    text = (ROOT / "docs" / "design" / "probing.md").read_text("utf-8")
    named = set(re.findall(r"`(tag|replay|timestamp|header|address-type)`", text))
    cases = (ROOT / "tests" / "end_to_end" / "bad_peers.py").read_text("utf-8")
    assert named == {"tag", "replay", "timestamp", "header", "address-type"}
    assert all(f'"{status}"' in cases for status in named)
