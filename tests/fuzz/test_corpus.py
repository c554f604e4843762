"""The inputs that are kept of every target: what reaches all code, and what was a finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from twins import extension_modules, is_built, missing_extension

CORPUS = Path(__file__).parent / "corpus"
TARGETS = sorted(folder.name for folder in CORPUS.iterdir())


@pytest.fixture(scope="module", autouse=True)
def _both_twins() -> None:
    for module in extension_modules():
        if not is_built(module):
            missing_extension(module)


@pytest.mark.parametrize("target", TARGETS)
def test_no_finding(target: str) -> None:
    from fuzz.targets import TARGETS as CALLS

    for path in sorted((CORPUS / target).iterdir()):
        try:
            CALLS[target](path.read_bytes())
        except Exception as error:
            error.add_note(f"the input: {path}")
            raise


def test_every_target_has_a_corpus() -> None:
    from fuzz.targets import TARGETS as CALLS

    assert sorted(CALLS) == TARGETS
