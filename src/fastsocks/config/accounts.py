"""Users and their passwords, as options have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from fastsocks.errors import ConfigError

#: Passwords (or, on a 2022 server, keys) by user name.
Accounts: TypeAlias = Mapping[str, str]

#: RFC 1929: ULEN and PLEN are one byte each.
LONGEST_CREDENTIAL = 255


def check_accounts(accounts: Accounts) -> None:
    """Check that SOCKS5 can carry these names and passwords (RFC 1929).

    :raises ConfigError: it cannot.
    """
    for name, password in accounts.items():
        for what, text in (("name", name), ("password", password)):
            try:
                size = len(text.encode("utf-8", "surrogateescape"))
            except UnicodeEncodeError:
                raise ConfigError(f"a {what} that UTF-8 cannot write") from None
            if not 1 <= size <= LONGEST_CREDENTIAL:
                raise ConfigError(f"a {what} has 1 to 255 bytes, not {size} (RFC 1929)")
