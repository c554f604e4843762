"""What a service allows."""

from .methods import weakness_of
from .requests import check_request
from .targets import is_loopback, is_public
from .users import encode_accounts

__all__ = ["check_request", "encode_accounts", "is_loopback", "is_public", "weakness_of"]
