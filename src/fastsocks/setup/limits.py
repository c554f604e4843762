"""Time limits of connection set-up that no option changes."""

#: Seconds for which a client may read a refusal before its connection is closed; RFC 1928
#: section 6 allows 10.
LINGER = 5.0

#: Seconds for which accepting rests after the process ran out of descriptors or memory.
ACCEPT_PAUSE = 0.25

#: Seconds to wait for a server where there is another one to try.
FAILOVER_WAIT = 5.0

#: Seconds to wait for a first payload, for it to travel with the header (SIP022 3.1.4 wants
#: that); longer would hold up protocols in which the target speaks first.
PAYLOAD_WAIT = 0.010
