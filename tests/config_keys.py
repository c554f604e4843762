"""What comes of every key of a configuration file, on every side."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastsocks.config import ServerEntry
from fastsocks.config.option import Place
from fastsocks.config.rules import read_rules

#: A key of 16 bytes.
PSK = "29ub3TmJNnn3hMwNFRbGTw=="

#: What a file says besides the key of a test, by side and place.
TOP: dict[str, dict[str, Any]] = {
    "server": {
        "server": "127.0.0.1",
        "server_port": 8389,
        "method": "aes-256-gcm",
        "password": "p",
    },
    "local": {
        "server": "example.com",
        "server_port": 8389,
        "method": "aes-256-gcm",
        "password": "p",
    },
    "proxy": {},
    "tunnel": {
        "server": "example.com",
        "server_port": 8389,
        "method": "aes-256-gcm",
        "password": "p",
        "target": "192.0.2.1:53",
    },
}
SERVERS = TOP
LOCALS: dict[str, Any] = {"local_port": 1081}


class Sets(NamedTuple):
    """The key sets an option, of the service or the process."""

    option: str
    value: Any


IGNORED, WARNING, REFUSED = "ignored", "warning", "refused"
Outcome = Sets | str
#: The value of a key, and what comes of it on server, local and proxy; on a tunnel it is as on
#: local, but for TUNNEL.
Row = tuple[Any, Outcome, Outcome, Outcome]


def same(value: Any, option: str, read: Any = None) -> Row:
    sets = Sets(option, value if read is None else read)
    return value, sets, sets, sets


def everywhere(value: Any, outcome: str) -> Row:
    return value, outcome, outcome, outcome


FRONTS = same("192.0.2.0/24", "accept_proxy_protocol", ("192.0.2.0/24",))
TELLS_CLIENT: Row = (
    True,
    Sets("send_proxy_protocol", True),
    REFUSED,
    Sets("send_proxy_protocol", True),
)

EVERYWHERE: dict[str, Row] = {
    "server": ("::1", Sets("addresses", ("::1",)), Sets("server", "::1"), REFUSED),
    "server_port": (9000, Sets("port", 9000), Sets("server_port", 9000), REFUSED),
    "method": ("CHACHA20-IETF-POLY1305", Sets("method", "chacha20-ietf-poly1305"),
               Sets("method", "chacha20-ietf-poly1305"), REFUSED),
    "password": ("other", Sets("password", "other"), Sets("password", "other"), REFUSED),
    "key": ("A" * 43, Sets("key", "A" * 43), Sets("key", "A" * 43), REFUSED),
    "timeout": same(7.5, "timeout"),
    "mode": same("tcp_only", "mode"),
}  # fmt: skip
UDP = {
    "udp_timeout": same(90, "udp_timeout"),
    "udp_max_associations": same(512, "udp_max_associations"),
    "udp_mtu": same(1300, "mtu"),
    "inbound_udp_allow_fragmentation": everywhere(True, WARNING),
    "outbound_udp_allow_fragmentation": everywhere(True, WARNING),
}
PLUGIN = {
    "plugin": everywhere("v2ray-plugin", REFUSED),
    "plugin_opts": everywhere("server", WARNING),
    "plugin_args": everywhere(["--verbose"], WARNING),
    "plugin_mode": everywhere("tcp_only", WARNING),
}
OUTBOUND = {
    "outbound_bind_addr": everywhere("192.0.2.1", REFUSED),
    "outbound_bind_interface": everywhere("eth1", REFUSED),
    "outbound_fwmark": everywhere(255, REFUSED),
    "outbound_user_cookie": everywhere(255, REFUSED),
    "outbound_proxy": everywhere("socks5://127.0.0.1:1", REFUSED),
}
RULES = read_rules(["deny"])
FURTHER: dict[str, Any] = {
    "server": "192.0.2.8",
    "server_port": 8389,
    "method": "aes-128-gcm",
    "password": "q",
}

METADATA = {
    name: everywhere(value, IGNORED)
    for name, value in {
        "version": 1,
        "id": "27b8a625-4f4b-4428-9f0f-8a2317db7c79",
        "remarks": "mine",
        "bytes_used": 274877906944,
        "bytes_remaining": 824633720832,
    }.items()
}

ROWS: dict[Place, dict[str, Row]] = {
    Place.TOP: {
        **EVERYWHERE,
        **UDP,
        **PLUGIN,
        **OUTBOUND,
        **METADATA,
        "local_address": ("127.0.0.2", WARNING, Sets("addresses", ("127.0.0.2",)),
                          Sets("addresses", ("127.0.0.2",))),
        "local_port": (1081, IGNORED, Sets("port", 1081), Sets("port", 1081)),
        "local_ipv4_address": ("192.0.2.1", Sets("outbound_addresses", ("192.0.2.1",)),
                               WARNING, WARNING),
        "local_ipv6_address": ("2001:db8::1", Sets("outbound_addresses", ("2001:db8::1",)),
                               WARNING, WARNING),
        "password_file": ("secret", Sets("password", "from the file"),
                          Sets("password", "from the file"), REFUSED),
        "url": (f"ss://2022-blake3-aes-128-gcm:{PSK}@192.0.2.7:8390",
                REFUSED, Sets("server", "192.0.2.7"), REFUSED),
        "users": ([{"name": "a", "password": PSK}], Sets("users", {"a": PSK}), REFUSED, REFUSED),
        "accounts": ([{"name": "a", "password": "b"}], REFUSED, Sets("accounts", {"a": "b"}),
                     Sets("accounts", {"a": "b"})),
        "accounts_file": ("/etc/accounts", REFUSED, Sets("accounts_file", "/etc/accounts"),
                          Sets("accounts_file", "/etc/accounts")),
        "allow_private": (True, Sets("allow_private", True), WARNING, Sets("allow_private", True)),
        "allow_unencrypted": (True, Sets("allow_unencrypted", True), IGNORED, IGNORED),
        "tcp_idle_timeout": same(600, "tcp_idle_timeout"),
        "grace": same(0, "grace"),
        "fast_open": same(True, "fast_open"),
        "reuse_port": same(True, "reuse_port"),
        "no_delay": same(False, "no_delay"),
        "ipv6_first": same(True, "ipv6_first"),
        "ipv6_only": everywhere(True, IGNORED),
        "search_domains": (
            "corp.example, lan", Sets("search_domains", ("corp.example", "lan")),
            WARNING, Sets("search_domains", ("corp.example", "lan")),
        ),
        "ipv4_first": same(True, "ipv4_first"),
        "ipv4_only": same(True, "ipv4_only"),
        "target_ipv6_only": same(True, "ipv6_only"),
        "mtu": same(1492, "mtu"),
        "udp_address": ("192.0.2.9", IGNORED, Sets("udp_address", "192.0.2.9"),
                        Sets("udp_address", "192.0.2.9")),
        "short_replies": (True, IGNORED, Sets("short_replies", True), Sets("short_replies", True)),
        "max_request_head": (
            9000, IGNORED, Sets("max_request_head", 9000), Sets("max_request_head", 9000),
        ),
        "bind_address": ("192.0.2.9", IGNORED, IGNORED, Sets("bind_addresses", ("192.0.2.9",))),
        "gssapi": (True, REFUSED, Sets("gssapi", True), Sets("gssapi", True)),
        "gssapi_keytab": ("f", REFUSED, Sets("gssapi_keytab", "f"), Sets("gssapi_keytab", "f")),
        "gssapi_protection": (["None"], REFUSED, Sets("gssapi_protection", ("none",)),
                              Sets("gssapi_protection", ("none",))),
        "bind_ports": ("4000-4100", IGNORED, IGNORED, Sets("bind_ports", (4000, 4100))),
        "bind_timeout": (7, IGNORED, IGNORED, Sets("bind_timeout", 7)),
        "udp_max_associations_per_client": same(3, "udp_max_associations_per_client"),
        "udp_max_associations_per_user": same(3, "udp_max_associations_per_user"),
        "access_log": same(True, "access_log"),
        "max_connections": same(1000, "max_connections"),
        "max_connections_per_client": same(100, "max_connections_per_client"),
        "max_handshakes": same(50, "max_handshakes"),
        "max_handshakes_per_client": same(5, "max_handshakes_per_client"),
        "max_drains": same(0, "max_drains"),
        "max_drains_per_client": same(0, "max_drains_per_client"),
        "max_lookups_per_client": same(3, "max_lookups_per_client"),
        "user": same("nobody", "user"),
        "workers": same("auto", "workers", 0),
        "nofile": same("32768", "nofile", 32768),
        "no_core_dumps": same(True, "no_core_dumps"),
        "log_level": same("DEBUG", "log_level", "debug"),
        "log_format": same("json", "log_format"),
        "public_address": same("vpn.example.com", "public_address"),
        "servers": ([FURTHER], IGNORED, Sets("servers", (ServerEntry(**FURTHER),)), REFUSED),
        "locals": ([LOCALS], IGNORED, Sets("port", 1081), Sets("port", 1081)),
        "protocol": ("http", IGNORED, Sets("protocols", ("http",)), Sets("protocols", ("http",))),
        "protocols": (["HTTP", "socks5"], IGNORED, Sets("protocols", ("http", "socks5")),
                      Sets("protocols", ("http", "socks5"))),
        "keep_alive": everywhere(15, WARNING),
        "mptcp": everywhere(True, WARNING),
        "dscp": everywhere({"ef": 46}, WARNING),
        "tcp_incoming_sndbuf": everywhere(65536, WARNING),
        "tcp_incoming_rcvbuf": everywhere(65536, WARNING),
        "tcp_outgoing_sndbuf": everywhere(65536, WARNING),
        "tcp_outgoing_rcvbuf": everywhere(65536, WARNING),
        "resolver": same("9.9.9.9, [::1]:5353", "resolver", ("9.9.9.9", "[::1]:5353")),
        "nameserver": same("8.8.8.8,8.8.4.4", "resolver", ("8.8.8.8", "8.8.4.4")),
        "dns": same("cloudflare", "resolver", ("1.1.1.1", "1.0.0.1")),
        "dns_cache_size": everywhere(64, WARNING),
        "balancer": everywhere({"max_server_rtt": 5}, WARNING),
        "manager_address": everywhere("127.0.0.1", WARNING),
        "manager_port": everywhere(6100, WARNING),
        "log": everywhere({"level": 1}, WARNING),
        "runtime": everywhere({"mode": "multi_thread"}, WARNING),
        "use_syslog": everywhere(True, WARNING),
        "workdir": everywhere("/tmp", WARNING),  # noqa: S108
        "launchd_tcp_socket_name": everywhere("TCPListener", WARNING),
        "launchd_udp_socket_name": everywhere("UDPListener", WARNING),
        "upstream": (["socks5://h"], Sets("upstream", ("socks5://h",)), REFUSED,
                     Sets("upstream", ("socks5://h",))),
        "rules": same(["deny"], "rules", RULES),
        "acl": everywhere("/nowhere.acl", REFUSED),
        "acl_leave_out": everywhere(True, IGNORED),
        "forbidden_ip": everywhere("127.0.0.0/8", REFUSED),
        "port_password": everywhere({"8381": "foobar"}, REFUSED),
        "security": everywhere({"replay_attack": {"policy": "reject"}}, REFUSED),
        "online_config": everywhere({"config_url": "https://example.com"}, REFUSED),
        "auth": everywhere(True, REFUSED),
        "one_time_auth": everywhere(True, REFUSED),
        "target": everywhere("192.0.2.1:54", REFUSED),
        "tunnel_address": everywhere("192.0.2.1:54", REFUSED),
        "forward_address": everywhere("192.0.2.2", REFUSED),
        "forward_port": everywhere(54, REFUSED),
        "payload_wait": everywhere(20, IGNORED),
        "accept_proxy_protocol": FRONTS,
        "send_proxy_protocol": TELLS_CLIENT,
        "tcp_tproxy": everywhere(True, REFUSED),
    },
    Place.SERVERS: {
        **EVERYWHERE,
        **UDP,
        **PLUGIN,
        **OUTBOUND,
        **METADATA,
        "password_file": ("secret", Sets("password", "from the file"),
                          Sets("password", "from the file"), REFUSED),
        "users": ([{"name": "a", "password": PSK}], Sets("users", {"a": PSK}), IGNORED, REFUSED),
        "allow_private": (True, Sets("allow_private", True), WARNING, REFUSED),
        "allow_unencrypted": (True, Sets("allow_unencrypted", True), IGNORED, REFUSED),
        "disabled": (False, IGNORED, IGNORED, REFUSED),
        "tcp_weight": everywhere(0.5, WARNING),
        "udp_weight": everywhere(0.5, WARNING),
        "upstream": (["socks5://h"], Sets("upstream", ("socks5://h",)), REFUSED,
                     Sets("upstream", ("socks5://h",))),
        "accept_proxy_protocol": FRONTS,
        "send_proxy_protocol": TELLS_CLIENT,
        "rules": same(["deny"], "rules", RULES),
        "acl": everywhere("/nowhere.acl", REFUSED),
        "acl_leave_out": everywhere(True, IGNORED),
    },
    Place.LOCALS: {
        "local_address": ("127.0.0.2", IGNORED, Sets("addresses", ("127.0.0.2",)),
                          Sets("addresses", ("127.0.0.2",))),
        "local_port": (1082, IGNORED, Sets("port", 1082), Sets("port", 1082)),
        "accounts": ({"a": "b"}, IGNORED, Sets("accounts", {"a": "b"}),
                     Sets("accounts", {"a": "b"})),
        "accounts_file": ("/etc/accounts", IGNORED, Sets("accounts_file", "/etc/accounts"),
                          Sets("accounts_file", "/etc/accounts")),
        "allow_private": (True, IGNORED, WARNING, Sets("allow_private", True)),
        "mode": same("tcp_only", "mode"),
        "upstream": (["socks5://h"], Sets("upstream", ("socks5://h",)), REFUSED,
                     Sets("upstream", ("socks5://h",))),
        "rules": same(["deny"], "rules", RULES),
        "disabled": everywhere(False, IGNORED),
        "protocol": ("socks", IGNORED, Sets("protocols", ("socks5", "socks4")),
                     Sets("protocols", ("socks5", "socks4"))),
        "protocols": ("socks5,http", IGNORED, Sets("protocols", ("socks5", "http")),
                      Sets("protocols", ("socks5", "http"))),
        "udp_address": ("192.0.2.9", IGNORED, Sets("udp_address", "192.0.2.9"),
                        Sets("udp_address", "192.0.2.9")),
        "short_replies": (True, IGNORED, Sets("short_replies", True), Sets("short_replies", True)),
        "max_request_head": (
            9000, IGNORED, Sets("max_request_head", 9000), Sets("max_request_head", 9000),
        ),
        "bind_address": ("192.0.2.9", IGNORED, IGNORED, Sets("bind_addresses", ("192.0.2.9",))),
        "gssapi": (True, IGNORED, Sets("gssapi", True), Sets("gssapi", True)),
        "gssapi_keytab": ("f", IGNORED, Sets("gssapi_keytab", "f"), Sets("gssapi_keytab", "f")),
        "gssapi_protection": (["None"], IGNORED, Sets("gssapi_protection", ("none",)),
                              Sets("gssapi_protection", ("none",))),
        "bind_ports": ("4000-4100", IGNORED, IGNORED, Sets("bind_ports", (4000, 4100))),
        "bind_timeout": (7, IGNORED, IGNORED, Sets("bind_timeout", 7)),
        "local_udp_address": everywhere("127.0.0.1", WARNING),
        "local_udp_port": everywhere(1081, WARNING),
        "launchd_tcp_socket_name": everywhere("TCPListener", WARNING),
        "launchd_udp_socket_name": everywhere("UDPListener", WARNING),
        "payload_wait": everywhere(20, IGNORED),
        "accept_proxy_protocol": FRONTS,
        "send_proxy_protocol": TELLS_CLIENT,
        "acl_leave_out": everywhere(True, IGNORED),
        **{
            name: everywhere(value, REFUSED)
            for name, value in {
                "acl": "/nowhere.acl",
                "socks5_auth_config_path": "/etc/shadowsocks/auth.json",
                "http_auth_config_path": "/etc/shadowsocks/auth.json",
                "target": "192.0.2.1:54",
                "forward_address": "192.0.2.2",
                "forward_port": 54,
                "tcp_redir": "tproxy",
                "udp_redir": "tproxy",
                "local_dns_address": "114.114.114.114",
                "local_dns_port": 53,
                "remote_dns_address": "8.8.8.8",
                "remote_dns_port": 53,
                "client_cache_size": 5,
                "fake_dns_record_expire_duration": 10,
                "fake_dns_ipv4_network": "10.255.0.0/16",
                "fake_dns_ipv6_network": "fdf2:e786:ab40:9d2f::/64",
                "fake_dns_database_path": "/var/fakedns.db",
                "tun_interface_name": "tun0",
                "tun_interface_address": "10.255.0.1/24",
                "tun_interface_destination": "10.255.0.2/24",
                "tun_device_fd_from_path": "/tun.sock",
            }.items()
        },
    },
}  # fmt: skip

_OF_TUNNEL: dict[str, Outcome] = {
    **dict.fromkeys(
        ("protocols", "udp_address", "short_replies", "max_request_head", "allow_private"), IGNORED
    ),
    **dict.fromkeys(
        ("accounts", "accounts_file", "gssapi", "gssapi_keytab", "gssapi_protection"), REFUSED
    ),
    # There is a server, too.
    "upstream": REFUSED,
    "target": Sets("target", "192.0.2.1:54"),
    "payload_wait": Sets("payload_wait", 20),
    "send_proxy_protocol": Sets("send_proxy_protocol", True),
}

#: What comes of a key on a tunnel, where that is not what comes of it on local.
TUNNEL: dict[Place, dict[str, Outcome]] = {
    Place.TOP: {
        **_OF_TUNNEL,
        "protocol": IGNORED,
        "users": REFUSED,
        "locals": Sets("port", 1081),
        "tunnel_address": Sets("target", "192.0.2.1:54"),
    },
    Place.SERVERS: {
        "allow_private": IGNORED,
        "send_proxy_protocol": Sets("send_proxy_protocol", True),
    },
    Place.LOCALS: {**_OF_TUNNEL, "protocol": REFUSED},
}
