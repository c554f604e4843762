"""BLAKE3 as SIP022 and SIP023 use it, through the `blake3` package."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ..buffer import Buffer

if TYPE_CHECKING:
    from blake3 import blake3


def blake3_derive(context: str, material: Buffer, length: int) -> bytes:
    """Derive a subkey in BLAKE3's key derivation mode (SIP022 section 2.2).

    :param context: the purpose, hard-coded text.
    :param material: key material of any size: a PSK and behind it a salt or session ID.
    :param length: of the result in bytes.
    """
    return _blake3()(material, derive_key_context=context).digest(length=length)


def blake3_hash16(data: Buffer) -> bytes:
    """Return the first 16 bytes of BLAKE3's hash, by which SIP023 names a PSK."""
    return _blake3()(data).digest(length=16)


@cache
def _blake3() -> type[blake3]:
    # Half a megabyte that only the methods of 2022 need.
    from blake3 import blake3

    return blake3
