"""Rules about requests, whoever makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsocks.errors import PolicyError

if TYPE_CHECKING:
    from fastsocks.request import Request


def check_request(request: Request) -> None:
    """Refuse what no service carries out.

    :raises PolicyError: the port is 0. It is refused here and not only where it would be
        dialed, because a Shadowsocks server cannot tell our client of it.
    """
    if request.address.port == 0:
        raise PolicyError("port 0 cannot be reached")
