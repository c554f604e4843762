"""Listening, dialing and name resolution."""

from .datagrams import has_route, open_datagram_socket, receive_with_arrival, watch_arrivals
from .dial import Dialer, check_local_addresses
from .listen import adopt, defer_accept, is_name, listen, listen_datagrams, listen_together
from .peer import listen_for_peer, outgoing_address
from .resolver import MOST_LOOK_UPS, Resolver
from .tcp import SOCKET_OPTIONS, configure, fast_open_obstacle

__all__ = [
    "MOST_LOOK_UPS",
    "SOCKET_OPTIONS",
    "Dialer",
    "Resolver",
    "adopt",
    "check_local_addresses",
    "configure",
    "defer_accept",
    "fast_open_obstacle",
    "has_route",
    "is_name",
    "listen",
    "listen_datagrams",
    "listen_for_peer",
    "listen_together",
    "open_datagram_socket",
    "outgoing_address",
    "receive_with_arrival",
    "watch_arrivals",
]
