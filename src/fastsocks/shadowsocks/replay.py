"""What remembers the salts of earlier connections, in the implementation that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..implementation import IMPLEMENTATION

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._salts_py import SaltFilter
else:
    from ._salts import SaltFilter

__all__ = ["CAPACITY", "RETENTION", "SaltFilter"]

#: Salts of TCP that a process remembers: 8 MB.
CAPACITY = 1 << 20

#: Seconds for which SIP022 wants a salt remembered: as long as its timestamp can pass. 62: stamps
#: have whole seconds, so one dated 30 s ahead stays valid for up to 61.
RETENTION = 62
