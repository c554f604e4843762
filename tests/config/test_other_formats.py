"""Files of other programs: one line names the format and says what to do."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from configured import configure_local, configure_proxy, configure_server
from fastsocks.errors import ConfigError
from harness.real_files import (
    DEBIAN,
    LIBEV_CLIENT,
    LIBEV_SERVER,
    LIBEV_SHARED,
    RUST_CLIENT,
    RUST_USERS,
    SIP008,
    TOML,
)

CANARY = "canary-secret"

WINDOWS: dict[str, Any] = {
    "version": "4.4.1.0",
    "configs": [
        {
            "server": "a.example",
            "server_port": 8388,
            "password": CANARY,
            "method": "aes-256-gcm",
            "plugin": "",
            "plugin_opts": "",
            "plugin_args": "",
            "remarks": "",
            "timeout": 5,
        }
    ],
    "index": 0,
    "global": False,
    "enabled": True,
    "shareOverLan": False,
    "localPort": 1080,
}
SING_BOX = {
    "log": {"level": "info"},
    "inbounds": [{"type": "mixed", "listen": "127.0.0.1", "listen_port": 2080}],
    "outbounds": [{"type": "shadowsocks", "server": "a.example", "password": CANARY}],
}
XRAY = {
    "inbounds": [{"port": 10808, "protocol": "socks", "settings": {"udp": True}}],
    "outbounds": [{"protocol": "shadowsocks", "settings": {"servers": [{"password": CANARY}]}}],
}
V2RAY = {"inbound": {"port": 1080, "protocol": "socks"}, "outbound": {"protocol": "vmess"}}
SSR = {
    "server": "a.example",
    "password": CANARY,
    "method": "aes-256-cfb",
    "protocol": "auth_aes128_md5",
    "protocol_param": "",
    "obfs": "tls1.2_ticket_auth",
    "obfs_param": "",
}
SHADOWSOCKS_GO = {
    "servers": [
        {
            "name": "ss-2022",
            "protocol": "2022-blake3-aes-128-gcm",
            "tcpListeners": [{"network": "tcp", "address": ":20220"}],
            "psk": CANARY,
        }
    ]
}
OUTLINE_YAML = f"""\
transport:
  $type: tcpudp
  tcp: &shared
    $type: shadowsocks
    endpoint: a.example:443
    cipher: chacha20-ietf-poly1305
    secret: {CANARY}
  udp: *shared
"""
OUTLINE_SERVER = f"""\
keys:
  - id: user-0
    port: 9000
    cipher: chacha20-ietf-poly1305
    secret: {CANARY}
"""
CLASH = f"""\
mixed-port: 7890
mode: rule
proxies:
  - {{name: a, type: ss, server: a.example, port: 443, cipher: aes-128-gcm, password: {CANARY}}}
"""
DANTE = """\
logoutput: stderr
internal: eth0 port = 1080
external: eth1
socksmethod: username none
client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
"""
THREEPROXY = f"""\
nserver 1.1.1.1
nscache 65536
users alice:CL:{CANARY}
auth strong
allow alice
socks -p1080
"""
URLS = f"ss://YWVzLTI1Ni1nY206cHc@a.example:443#{CANARY}\nvmess://e30=\n"
GOST = "services:\n- name: s\n  addr: :8080\n  handler:\n    type: socks5\n"
SURGE = f"[General]\nloglevel = notify\n[Proxy]\na = ss, a.example, 443, password={CANARY}\n"

#: A name, its content, what the message names, and what it says to do.
FILES: list[tuple[str, object, str, str]] = [
    ("gui-config.json", WINDOWS, "Shadowsocks for Windows", r"`configs`"),
    ("config.json", SING_BOX, "sing-box", "server_port"),
    ("config", SING_BOX, "sing-box", "server_port"),
    ("config.json", {"outbounds": SING_BOX["outbounds"]}, "sing-box", "server_port"),
    ("config.json", XRAY, "Xray or V2Ray", "server_port"),
    ("config.json", f"// commented\n{json.dumps(XRAY)}", "Xray or V2Ray", "server_port"),
    ("config.json", V2RAY, "Xray or V2Ray", "server_port"),
    ("config.json", SSR, "ShadowsocksR", "another protocol"),
    ("config.json", SHADOWSOCKS_GO, "shadowsocks-go", "server_port"),
    ("config.json", {"run_type": "client", "password": [CANARY]}, "Trojan", "another protocol"),
    ("config.json", {"listen": "socks://", "proxy": f"https://u:{CANARY}@h"}, "NaiveProxy", ""),
    ("config.json", {"ServeNodes": ["socks5://:1080"]}, "gost", "fastsocks proxy"),
    ("key.json", {"apiUrl": f"https://h/{CANARY}", "certSha256": "00"}, "management", "ss://"),
    ("key", {"server": "h", "server_port": 1, "prefix": "POST "}, "Outline", "remove `prefix`"),
    ("config.json", {"accessKeys": [{"password": CANARY}]}, "Outline's server", "`servers`"),
    ("config.yml", OUTLINE_SERVER, "Outline's server", "`servers`"),
    ("config", OUTLINE_SERVER, "Outline's server", "`servers`"),
    ("access.yaml", OUTLINE_YAML, "Outline", "ss:// URL"),
    ("access.txt", OUTLINE_YAML, "Outline", "ss:// URL"),
    ("clash.yaml", CLASH, "Clash or mihomo", "ss:// URL"),
    ("config.yaml", f"socks-port: 7891\nsecret: {CANARY}\n", "Clash or mihomo", "ss:// URL"),
    ("config.yaml", GOST, "gost", "fastsocks proxy"),
    ("danted.conf", DANTE, "Dante", "fastsocks proxy"),
    ("sockd.conf", f"# {CANARY}\nclient block {{ from: 0/0 }}\n", "Dante", "--rule"),
    ("3proxy.cfg", THREEPROXY, "3proxy", "fastsocks proxy"),
    ("3proxy", "auth none\r\nsocks\r\n", "3proxy", "--user"),
    ("squid.conf", "http_port 3128\nhttp_access deny all\n", "Squid", "fastsocks proxy"),
    ("redsocks.conf", "base {\n}\nredsocks {\n}\n", "redsocks", "fastsocks local"),
    ("proxychains4.conf", "strict_chain\n[ProxyList]\nsocks5 127.0.0.1 1\n", "proxychains", ""),
    ("surge.conf", SURGE, "Surge", "ss:// URL"),
    ("urls.txt", URLS, "a list of URLs", "fastsocks local"),
    ("urls.json", URLS, "a list of URLs", "fastsocks local"),
    ("sub", base64.b64encode(URLS.encode()).decode(), "a list of URLs", "fastsocks local"),
    ("sub.json", base64.b64encode(URLS.encode()).decode(), "a list of URLs", "fastsocks local"),
    ("page.json", f"<!DOCTYPE html><p>{CANARY}", "a web page", "login"),
    ("bypass.acl", "[bypass_all]\n[proxy_list]\n(^|\\.)a\\.example$\n", "an ACL file", "--acl"),
    ("users", f"# users\nalice:$scrypt$ln=14,r=8,p=1${CANARY}\n", "accounts", "--accounts-file"),
    ("fastsocks.env", f"FASTSOCKS_PASSWORD={CANARY}\n", "variables", "EnvironmentFile="),
    ("config.yaml", f"server: a.example\npassword: {CANARY}\n", "YAML", "JSON or TOML"),
    ("config", f"---\nserver: a.example\npassword: {CANARY}\n", "YAML", "JSON or TOML"),
]


@pytest.mark.parametrize(
    ("name", "content", "named", "advice"), FILES, ids=[f"{row[2]}-{row[0]}" for row in FILES]
)
def test_it_is_named(tmp_path: Path, name: str, content: object, named: str, advice: str) -> None:
    file = tmp_path / name
    file.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    for configure in (configure_local, configure_server, configure_proxy):
        with pytest.raises(ConfigError) as caught:
            configure(file=file, environ={})
        message = str(caught.value)
        assert message.startswith(f"{file}: this is ")
        assert named in message
        assert advice in message
        assert "\n" not in message
        assert CANARY not in message


@pytest.mark.parametrize(
    "text",
    [DEBIAN, LIBEV_CLIENT, LIBEV_SERVER, LIBEV_SHARED, RUST_CLIENT, RUST_USERS, SIP008, TOML],
    ids=["debian", "client", "server", "shared", "rust client", "rust users", "sip008", "toml"],
)
def test_ours_are_not_taken_for_others(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    (tmp_path / "key").write_text("X2bWAN3LLHYhqddEHcovrg==\n", "utf-8")
    file.write_text(text, "utf-8")
    configure = configure_local if text in {SIP008, RUST_CLIENT, LIBEV_CLIENT} else configure_server
    configure(file=file, environ={})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", f'{{"server": "h"\n"auth": none, "password": "{CANARY}"}}'),
        ("config.toml", f'server = "h"\npassword = {CANARY}\n'),
        ("config.json", ""),
    ],
)
def test_what_is_broken_is_told_by_its_place(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"line \d+, column \d+: this is n") as caught:
        configure_local(file=file, environ={})
    assert CANARY not in str(caught.value)
