"""All targets: each takes any bytes, and raises what is a finding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import (
    bursts,
    configuration,
    datagrams,
    dns,
    explain,
    http,
    names,
    proxy_protocol,
    relay,
    shadowsocks,
    socks,
)

#: By the names of their folders in the corpus.
TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "address": socks.address,
    "socks_messages": socks.messages,
    "socks_server": socks.server,
    "socks_client": socks.client,
    "socks4_server": socks.server_4,
    "gssapi": socks.gssapi,
    "http_head": http.head,
    "http_server": http.server,
    "http_client": http.client,
    "http_exchange": http.exchange,
    "proxy_protocol": proxy_protocol.header,
    "shadowsocks_server": shadowsocks.server,
    "shadowsocks_client": shadowsocks.client,
    "shadowsocks_layers": shadowsocks.layers,
    "relay": relay.relay,
    "datagrams_socks": datagrams.socks,
    "datagrams_server": datagrams.server,
    "datagrams_client": datagrams.client,
    "datagrams_bursts": bursts.bursts,
    "url": configuration.url,
    "rule": configuration.rule,
    "rules": configuration.rules,
    "names": names.names,
    "dns_answer": dns.answer,
    "acl": configuration.acl,
    "accounts": configuration.accounts,
    "document": configuration.document,
    "configuration": configuration.configuration,
    "explain": explain.stream,
    "explain_datagram": explain.datagram,
    "explain_capture": explain.capture,
}
