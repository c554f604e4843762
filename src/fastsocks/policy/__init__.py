"""What a service allows."""

from .client_counts import ClientCounts
from .counters import UserCounters
from .limits import Admission, Cap, ClientLimits
from .methods import weakness_of
from .requests import check_request
from .targets import PublicTargets, is_public
from .user_counts import Usage, UserCounts
from .users import encode_accounts

__all__ = [
    "Admission",
    "Cap",
    "ClientCounts",
    "ClientLimits",
    "PublicTargets",
    "Usage",
    "UserCounters",
    "UserCounts",
    "check_request",
    "encode_accounts",
    "is_public",
    "weakness_of",
]
