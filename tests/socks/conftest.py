"""The SOCKS state machines on either twin of the message readers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import fastsocks.socks.client
import fastsocks.socks.server
from socks_playbook import READERS
from twins import IMPLEMENTATIONS, import_twin


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def messages(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The Cython readers and the Python ones in turn, also put into server and client."""
    twin = import_twin("fastsocks.socks", "_messages", request.param)
    with pytest.MonkeyPatch.context() as patch:
        for module in (fastsocks.socks.server, fastsocks.socks.client):
            for name in READERS:
                if hasattr(module, name):
                    patch.setattr(module, name, getattr(twin, name))
        yield twin


@pytest.fixture(scope="module")
def server_class(messages: Any) -> Any:
    """FirstByteServer of the twin that the messages are of."""
    implementation = "python" if messages.__name__.endswith("_py") else "cython"
    return import_twin("fastsocks.socks", "_first_byte", implementation).FirstByteServer


@pytest.fixture(scope="module")
def server_classes() -> tuple[Any, ...]:
    """Both at once."""
    return tuple(
        import_twin("fastsocks.socks", "_first_byte", one).FirstByteServer
        for one in IMPLEMENTATIONS
    )


@pytest.fixture(scope="module")
def message_twins() -> tuple[Any, ...]:
    """Both at once, for tests that compare them."""
    return tuple(import_twin("fastsocks.socks", "_messages", one) for one in IMPLEMENTATIONS)
