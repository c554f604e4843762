"""What a service allows."""

from .client_counts import ClientCounts
from .limits import Admission, Cap, ClientLimits
from .meters import Meters, Usage
from .methods import weakness_of
from .requests import check_request
from .targets import PublicTargets, is_public
from .users import encode_accounts

__all__ = [
    "Admission",
    "Cap",
    "ClientCounts",
    "ClientLimits",
    "Meters",
    "PublicTargets",
    "Usage",
    "check_request",
    "encode_accounts",
    "is_public",
    "weakness_of",
]
