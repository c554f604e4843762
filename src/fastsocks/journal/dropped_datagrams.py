"""What the log says of datagrams that were dropped, by the reason that is counted."""

from __future__ import annotations

from collections.abc import Mapping

#: The reasons are those of :class:`fastsocks.relay.udp.DatagramEngine`. Those that are not among
#: them are ordinary, as at the end of a service, or told by somebody else.
DROPS: Mapping[str, str] = {
    "truncated": "too short to be one",
    "tag": "wrong password or method, or tampering",
    "header": "a header that does not fit",
    "timestamp": "the clock of the sender is more than 30 s off: check NTP on both",
    "unknown-user": "the identity header names no user",
    "replay": "seen before, or too old to tell",
    "address-type": "an unknown type of address",
    "bad-address": "no address to send to",
    "host-name": "the target is no host name",
    "foreign-source": "not from the client of the association",
    "fragment": "a set of fragments that is incomplete",
    "not-allowed": "the target is no public address",
    "resolve": "the name of the target does not resolve",
    "waiting": "as many as may wait for look-ups",
    "oversize": "more than a datagram can hold",
    "not-sent": "the kernel did not take them",
    "quota": "nothing is left of the user's quota",
    "speed": "faster than the user may be",
}

#: What to do about them, where that is the same in every service.
ADVICE: Mapping[str, str] = {
    "not-allowed": "--allow-private permits it",
    "waiting": "check the resolver of this host, and the servers on the way",
    "not-sent": "check routes and open files; full buffers: net.core.wmem_max",
}
