"""What a method does not give."""

from __future__ import annotations

from fastsocks.shadowsocks import lookup


def weakness_of(method: str) -> str | None:
    """Return the warning that a method deserves, or None.

    :raises MethodError: there is no such method.
    """
    found = lookup(method)
    if found.authenticated:
        return None
    if not found.cipher:
        return f"method {found.name} protects nothing: anyone on the way can read and change all"
    return (
        f"method {found.name} protects nothing against tampering: anyone on the way can change "
        "what passes; use 2022-blake3-aes-128-gcm where both ends can"
    )
