"""Why a packet is dropped: the codes of the Cython codecs, and the errors both twins raise."""

from __future__ import annotations

from ..errors import (
    AddressError,
    AddressTypeError,
    HeaderError,
    ProtocolError,
    ReplayError,
    TagError,
    TimestampError,
    TruncatedError,
    UserError,
)

TRUNCATED = -1
TAG_MISMATCH = -2
WRONG_TYPE = -3
WRONG_TIME = -4
UNKNOWN_USER = -5
REPLAYED = -6
PAST_THE_END = -7
FOREIGN_SESSION = -8
NEW_SESSION_TOO_SOON = -9
UNKNOWN_ADDRESS_TYPE = -10
WRONG_NAME = -11
FOREIGN_SERVER = -12
NO_ROOM = -13
CLOCK_SET_BACK = -14

_ERRORS: dict[int, tuple[type[ProtocolError], str]] = {
    TRUNCATED: (TruncatedError, "a packet too short to be one"),
    TAG_MISMATCH: (
        TagError,
        "a packet does not open: wrong password or method, or tampering",
    ),
    WRONG_TYPE: (HeaderError, "a packet of the wrong direction"),
    WRONG_TIME: (TimestampError, "the peer's clock is more than 30 s off: check NTP on both"),
    UNKNOWN_USER: (UserError, "the identity header names no user of this server or session"),
    REPLAYED: (ReplayError, "a packet that was seen before, or is too old to tell"),
    PAST_THE_END: (HeaderError, "a header reaches past its packet"),
    FOREIGN_SESSION: (HeaderError, "an answer to another session"),
    NEW_SESSION_TOO_SOON: (
        HeaderError,
        "a third session of the server while the second is in use",
    ),
    UNKNOWN_ADDRESS_TYPE: (AddressTypeError, "a packet with an unknown address type"),
    WRONG_NAME: (AddressError, "a packet to a host name that is empty or contains NUL"),
    FOREIGN_SERVER: (HeaderError, "a packet from another address than that of the next server"),
    NO_ROOM: (ReplayError, "too many sessions within a minute to remember another one"),
    CLOCK_SET_BACK: (
        ReplayError,
        "the clock was set back: until it is where it was, new sessions may be replays",
    ),
}


def packet_error(fault: int, skew: int = 0) -> ProtocolError:
    """Make the error that stands for a fault.

    :param fault: one of the codes of this module.
    :param skew: seconds by which the peer's clock is ahead of ours, for ``WRONG_TIME``.
    """
    kind, message = _ERRORS[fault]
    if fault == WRONG_TIME and skew:
        where = "ahead of" if skew > 0 else "behind"
        message = f"the peer's clock is {abs(skew)} s {where} ours: check NTP on both"
    return kind(message)
