"""Who may use a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def encode_accounts(accounts: Mapping[str, str]) -> dict[bytes, bytes] | None:
    """Bring accounts into the form in which SOCKS5 carries them (RFC 1929).

    :param accounts: passwords by user name; bytes that are not UTF-8 as surrogate escapes.
    :return: None where there are none, which lets everybody in.
    """
    return {
        name.encode("utf-8", "surrogateescape"): password.encode("utf-8", "surrogateescape")
        for name, password in accounts.items()
    } or None
