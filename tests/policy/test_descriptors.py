"""What the caps allow together fits the limit of open files."""

from __future__ import annotations

import pytest

from fastsocks.policy import descriptors

resource = pytest.importorskip("resource")

#: Of each kind, how many descriptors one takes at most.
CONNECTION = 2
ASSOCIATION = 3
BIND = 2


@pytest.mark.parametrize("files", [128, 256, 400, 1024, 4096, 65_536, 1_048_576])
@pytest.mark.parametrize("udp", [False, True])
def test_all_caps_fit_together(monkeypatch: pytest.MonkeyPatch, files: int, udp: bool) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    connections = descriptors.possible_connections(udp=udp)
    associations = descriptors.possible_associations() if udp else 0
    binds = descriptors.possible_binds()
    assert connections is not None
    assert associations is not None
    assert binds is not None
    # The first look-ups, and what a process has for itself.
    others = 76 - 16
    pipes = 2 * (files // 64)
    taken = CONNECTION * connections + ASSOCIATION * associations + BIND * binds
    assert taken + descriptors.possible_lookup_sockets() + pipes + others <= files
    # And little of it lies idle.
    assert taken > files / 2 or files < 400


def test_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert descriptors.possible_connections(udp=True) is None
    assert descriptors.possible_associations() is None
    assert descriptors.possible_binds() is None


def test_a_limit_too_low_for_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (20, 20))
    assert descriptors.possible_connections(udp=True) == 1
    assert descriptors.possible_associations() == 1
    assert descriptors.possible_binds() == 1
