"""Exchanges field by field: what the bytes of a capture say, and what is wrong with them."""

from .exchange import explain_datagram, explain_stream
from .table import format_table
from .walk import Explanation, Field

__all__ = ["Explanation", "Field", "explain_datagram", "explain_stream", "format_table"]
