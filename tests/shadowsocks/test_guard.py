"""Which salts are refused, by the rule of each edition."""

from __future__ import annotations

import pytest

from fastsocks.errors import ReplayError
from fastsocks.shadowsocks import METHODS, ReplayGuard
from fastsocks.shadowsocks.methods import Family, Method
from shadowsocks_ends import AEAD, AEAD_2022, STREAM


@pytest.mark.parametrize("method", [*AEAD, *STREAM])
def test_looks_before_and_after(method: str) -> None:
    guard, salt = ReplayGuard(METHODS[method]), bytes(METHODS[method].salt_size)
    for _ in range(3):
        guard.check(salt)  # to look is not to remember
    guard.add(salt)
    for refused in (guard.check, guard.add):
        with pytest.raises(ReplayError):
            refused(salt)
    guard.check(b"\1" + salt[1:])


@pytest.mark.parametrize("method", AEAD_2022)
def test_2022_looks_when_it_adds(method: str) -> None:
    guard, salt = ReplayGuard(METHODS[method]), bytes(METHODS[method].salt_size)
    guard.add(salt)
    guard.check(salt)
    with pytest.raises(ReplayError):
        guard.add(salt)
    guard.add(b"\1" + salt[1:])


def test_2022_forgets_by_time_the_others_by_number() -> None:
    """What SIP022 promises is kept, at the price of a refusal; elsewhere nobody is refused."""
    for name, method in METHODS.items():
        guard = ReplayGuard(method, capacity=64)
        for number in range(64):
            guard.add(number.to_bytes(method.salt_size, "little") if method.salt_size else b"")
        if name in AEAD_2022:
            with pytest.raises(ReplayError, match="too many"):
                guard.add(b"\xff" * method.salt_size)
        else:
            guard.add(b"\xff" * method.salt_size)


@pytest.mark.parametrize("size", [0, 6, 7, 8])
def test_short_ivs_are_not_remembered(size: int) -> None:
    guard = ReplayGuard(Method("short", Family.STREAM, "RC4", 16, size, 0))
    iv = bytes(size)
    guard.add(iv)
    if size < 8:
        guard.check(iv)
        guard.add(iv)
    else:
        with pytest.raises(ReplayError):
            guard.check(iv)


def test_guards_share_nothing() -> None:
    one, other = (ReplayGuard(METHODS["aes-128-gcm"]) for _ in range(2))
    one.add(bytes(16))
    other.check(bytes(16))
