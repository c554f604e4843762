"""What both twins say when something is wrong."""

from __future__ import annotations

TAG_MISMATCH = "the tag does not match"


def missing(cipher: str) -> str:
    """Say that this libcrypto lacks `cipher`, and the cure where there is one."""
    if cipher == "RC4":
        return (
            "this libcrypto has no RC4: install OpenSSL's legacy provider (Debian 13: the package "
            "openssl-provider-legacy) or take another method"
        )
    return f"this libcrypto has no cipher {cipher!r}"


def wrong_size(what: str, found: int, wanted: int) -> str:
    """Say that `what` has another size in bytes than it must have."""
    return f"{what} of {found} bytes where {wanted} belong"
