"""What a protocol is to connection set-up: one accepted connection, until its request is known."""

# What is written in Cython derives from the twins of these two, which nobody else needs.
from ._inbound_py import Accepted, Inbound, Inbounds

__all__ = ["Accepted", "Inbound", "Inbounds"]
