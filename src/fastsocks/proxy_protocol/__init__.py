"""The PROXY protocol: who a client is, as the proxy in front of a service tells."""

from .header import (
    LOCAL_HEADER,
    LONGEST_HEADER,
    LONGEST_LINE,
    ProxyHeader,
    build_header,
    header_for,
    read_header,
)
from .inbound import ProxyProtocolInbounds

__all__ = [
    "LOCAL_HEADER",
    "LONGEST_HEADER",
    "LONGEST_LINE",
    "ProxyHeader",
    "ProxyProtocolInbounds",
    "build_header",
    "header_for",
    "read_header",
]
