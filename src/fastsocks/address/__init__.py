"""Addresses, in the form that SOCKS5 and Shadowsocks share."""

from typing import TYPE_CHECKING

from fastsocks.implementation import IMPLEMENTATION

from ._address import LARGEST_ADDRESS, Address
from ._word import one_word

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._header_py import read_address
    from ._host_name_py import canonical, host_name
else:
    from ._header import read_address
    from ._host_name import canonical, host_name

__all__ = ["LARGEST_ADDRESS", "Address", "canonical", "host_name", "one_word", "read_address"]
