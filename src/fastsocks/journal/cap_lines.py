"""What is said of caps that were reached."""

from __future__ import annotations

from fastsocks.policy import Cap

MORE_FILES = "raise the limit of open files: ulimit -n, or LimitNOFILE= in a systemd unit"

#: By the cap; ``count`` is what it is set to.
CAP_LINES = {
    Cap.CONNECTIONS: "{count} connections are open; further ones are closed",
    Cap.CONNECTIONS_PER_CLIENT: "{count} connections of this client are open; further ones are "
    "closed",
    Cap.HANDSHAKES: "{count} handshakes are unfinished or have failed; further connections are "
    "closed",
    Cap.HANDSHAKES_PER_CLIENT: "{count} handshakes of this client are unfinished or have failed; "
    "further connections are closed",
    Cap.LOOKUPS_PER_CLIENT: "{count} name look-ups of this client are under way; further ones wait",
    Cap.UDP_ASSOCIATIONS: "as many UDP associations as there may be; of whoever has most, the one "
    "not used for longest was ended",
    Cap.UDP_ASSOCIATIONS_PER_CLIENT: "{count} UDP associations of this client are open; the one "
    "not used for longest was ended",
    Cap.UDP_ASSOCIATIONS_PER_USER: "{count} UDP associations of this user are open; the one "
    "not used for longest was ended",
}
