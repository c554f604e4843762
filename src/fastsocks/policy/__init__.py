"""What a service allows."""

from .methods import weakness_of
from .requests import check_request
from .users import encode_accounts

__all__ = ["check_request", "encode_accounts", "weakness_of"]
