"""Files as users of shadowsocks-libev and shadowsocks-rust have them."""

#: What Debian's package installs, but for the password, which it makes at random.
DEBIAN = """\
{
    "server":["::1", "127.0.0.1"],
    "mode":"tcp_and_udp",
    "server_port":8388,
    "local_port":1080,
    "password":"cNlnUivfi4ed",
    "timeout":86400,
    "method":"chacha20-ietf-poly1305"
}
"""

LIBEV_SERVER = """\
{
    "server": ["[::0]", "0.0.0.0"],
    "server_port": "443",
    "password": "barfoo!",
    "timeout": "60",
    "method": "aes-256-gcm",
    "fast_open": true,
    "reuse_port": true,
    "no_delay": true,
    "local_ipv4_address": "10.0.0.2",
    "local_ipv6_address": "2620:129:35::33",
    "nameserver": "1.1.1.1",
    "mode": "tcp_and_udp",
    "user": "nobody",
    "nofile": 32768,
    "ipv6_first": false,
    "plugin": "",
    "plugin_opts": ""
}
"""

LIBEV_CLIENT = """\
{
    "server": ["first.example.com:8388", "second.example.com:8389"],
    "server_port": 1234,
    "local_address": "0.0.0.0",
    "local_port": "4321",
    "password": "PasSworD",
    "timeout": 60,
    "method": "xchacha20-ietf-poly1305",
    "mode": "tcp_only",
    "fast_open": false
}
"""

LIBEV_SHARED = """\
{
    "server": "my.example.com",
    "server_port": 8388,
    "local_address": "127.0.0.1",
    "local_port": 1080,
    "password": "mypassword",
    "timeout": 300,
    "method": "aes-256-gcm",
    "fast_open": false,
    "workers": 1
}
"""

LIBEV_OBFS = """\
{
    "server": "0.0.0.0",
    "server_port": 8388,
    "password": "mypassword",
    "method": "aes-256-gcm",
    "plugin": "obfs-server",
    "plugin_opts": "obfs=http"
}
"""

RUST_SERVER = """\
{
    // listen on :: for dual stack support, no need add [] around.
    "server": "::",
    "server_port": 8388,
    "method": "2022-blake3-aes-256-gcm",
    "password": "${SERVER_KEY}",
    "timeout": 7200,
    "keep_alive": 15, /* seconds */
    "mode": "tcp_and_udp",
    'no_delay': false,
    nofile: 10240,
    "ipv6_only": false,
    "dns": "system",
    "log": {"level": 1},
    "runtime": {"mode": "multi_thread", "worker_count": 10},
}
"""

RUST_USERS = """\
{
    "servers": [
        {
            "address": "0.0.0.0",
            "port": 8389,
            "method": "chacha20-ietf-poly1305",
            "password": "your-password",
            "mode": "tcp_only",
            "tcp_weight": 1.0,
            "disabled": false
        },
        {
            "disabled": true,
            "server": "eg.disable.me",
            "server_port": 8390,
            "password": "mGvbWWay8ueP9IHnV5F1uWGN2BRToiVCAWJmWOTLU24=",
            "method": "chacha20-ietf-poly1305"
        },
        {
            "server": "::",
            "server_port": 8390,
            "method": "2022-blake3-aes-256-gcm",
            "password": "3SYJ/f8nmVuzKvKglykRQDSgg10e/ADilkdRWrrY9HU=",
            "users": [
                {"name": "username", "password": "4w0GKJ9U3Ox7CIXGU4A3LDQAqP6qrp/tUi/ilpOR9p4="}
            ]
        }
    ],
    "mode": "tcp_and_udp",
    "timeout": 60
}
"""

RUST_CLIENT = """\
{
    "locals": [
        {"local_address": "127.0.0.1", "local_port": 1080, "mode": "tcp_only"},
        {"protocol": "socks", "local_address": "::1", "local_port": 1081},
        {"disabled": true, "protocol": "http", "local_address": "127.0.0.1", "local_port": 3128}
    ],
    "server": "2001:db8::1",
    "server_port": 8390,
    "method": "2022-blake3-aes-128-gcm",
    "password": "29ub3TmJNnn3hMwNFRbGTw==:X2bWAN3LLHYhqddEHcovrg=="
}
"""

RUST_REDIR = """\
{
    "locals": [
        {"local_port": 1080},
        {"protocol": "redir", "local_port": 60080, "tcp_redir": "tproxy"}
    ],
    "servers": [
        {"address": "192.0.2.1", "port": 8388, "method": "aes-256-gcm", "password": "p"}
    ]
}
"""

RUST_ACL = """\
{
    "server": "::", "server_port": 8388, "method": "aes-256-gcm", "password": "p",
    "acl": "/etc/shadowsocks-rust/server.acl"
}
"""

SIP008 = """\
{
    "version": 1,
    "servers": [
        {
            "id": "27b8a625-4f4b-4428-9f0f-8a2317db7c79",
            "remarks": "Name of the server",
            "server": "example.com",
            "server_port": 8388,
            "password": "example",
            "method": "chacha20-ietf-poly1305",
            "plugin": "",
            "plugin_opts": ""
        },
        {
            "id": "7842c068-c667-41f2-8f7d-04feece3cb67",
            "remarks": "Name of another server",
            "server": "192.0.2.9",
            "server_port": 8389,
            "password": "other",
            "method": "chacha20-ietf-poly1305"
        }
    ],
    "bytes_used": 274877906944,
    "bytes_remaining": 824633720832
}
"""

TOML = """\
method = "2022-blake3-aes-128-gcm"
timeout = 15
allow_private = true

[[servers]]
server = ["192.0.2.1", "2001:db8::1"]
server_port = 8388
password = "29ub3TmJNnn3hMwNFRbGTw=="
[servers.users]
alice = "X2bWAN3LLHYhqddEHcovrg=="

[[servers]]
server_port = 8389
password_file = "key"
"""

SERVER_KEY = "3SYJ/f8nmVuzKvKglykRQDSgg10e/ADilkdRWrrY9HU="
