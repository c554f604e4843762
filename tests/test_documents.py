"""Documents say what the code does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastsocks.cli.flags import NOT_KEYS
from fastsocks.config.keys import KEYS

ROOT = Path(__file__).parent.parent


def test_the_tables_of_keys_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "configuration_table.py"), "--check"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_tables_have_every_key() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == {name for keys in KEYS.values() for name in keys}
    assert set(NOT_KEYS).isdisjoint(rows)


@pytest.mark.parametrize(
    "document",
    ["README.md", "docs/configuration.md", "docs/probing.md", "docs/socks.md", "docs/kerberos.md"],
)
def test_what_a_document_links_to_exists(document: str) -> None:
    path = ROOT / document
    text = path.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (path.parent / target).exists(), target
    for target in re.findall(r"`((?:tests|scripts|examples|docs)/[\w/.]+)`", text):
        assert (ROOT / target).exists(), target


def test_statuses_named_in_the_table_of_probes_are_tested() -> None:
    text = (ROOT / "docs" / "probing.md").read_text("utf-8")
    named = set(re.findall(r"`(tag|replay|timestamp|header|address-type)`", text))
    cases = (ROOT / "tests" / "end_to_end" / "bad_peers.py").read_text("utf-8")
    assert named == {"tag", "replay", "timestamp", "header", "address-type"}
    assert all(f'"{status}"' in cases for status in named)
