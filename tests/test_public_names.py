"""What `import fastsocks` offers, and what `help()` says of it."""

from __future__ import annotations

import dataclasses
import pydoc
import subprocess
import sys

import pytest

import fastsocks
from fastsocks import errors

OPTIONS = [
    fastsocks.ServerOptions,
    fastsocks.LocalOptions,
    fastsocks.ProxyOptions,
    fastsocks.TunnelOptions,
]


def test_every_public_name_is_there_and_listed() -> None:
    for name in fastsocks.__all__:
        assert getattr(fastsocks, name) is not None
        assert name in dir(fastsocks)


def test_every_error_is_public() -> None:
    found = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.FastsocksError) and name[0] != "_"
    }
    assert found <= set(fastsocks.__all__)
    assert all(getattr(fastsocks, name) is getattr(errors, name) for name in found)


@pytest.mark.parametrize("name", ["NoSuchError", "_NetworkError", "nothing"])
def test_other_names_are_not(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(fastsocks, name)


def test_the_version_is_known_without_the_implementation() -> None:
    program = (
        "import sys, fastsocks\nprint(fastsocks.__version__, 'fastsocks.config' in sys.modules)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == f"{fastsocks.__version__} False\n"


@pytest.mark.parametrize("kind", OPTIONS)
def test_help_describes_every_option(kind: type) -> None:
    text = pydoc.plain(pydoc.render_doc(kind))
    for field in dataclasses.fields(kind):
        assert f":param {field.name}: " in text, field.name


def test_help_lists_the_public_names() -> None:
    text = pydoc.plain(pydoc.render_doc(fastsocks))
    for name in ("Server", "open_connection", "DialError", "SharedState"):
        assert name in text
