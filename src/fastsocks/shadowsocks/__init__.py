"""Shadowsocks, sans-IO: methods, keys, headers, records, replay protection."""

from .client import ClientCodec
from .framing import Codec
from .guard import ReplayGuard
from .keys import ClientKey, ServerKey, User, Users, client_key, generate_key, server_key
from .methods import METHODS, Family, Method, lookup
from .packets import PacketCodec, PacketSession, packet_client, packet_server
from .replay import ReplayMemory, replay_memory
from .server import ServerCodec, ServerInbounds, server_codec

__all__ = [
    "METHODS",
    "ClientCodec",
    "ClientKey",
    "Codec",
    "Family",
    "Method",
    "PacketCodec",
    "PacketSession",
    "ReplayGuard",
    "ReplayMemory",
    "ServerCodec",
    "ServerInbounds",
    "ServerKey",
    "User",
    "Users",
    "client_key",
    "generate_key",
    "lookup",
    "packet_client",
    "packet_server",
    "replay_memory",
    "server_codec",
    "server_key",
]
