"""The relays that are compared: how each is started, and at what version.

A new peer is one Peer in PEERS: a function from a Link to its ends, in the
order to start them, the last one being the one that the load talks to.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .peer import (
    HOST,
    SOCKS5,
    End,
    Link,
    MissingPeerError,
    Peer,
    debian_version,
    find,
    installed,
    output,
)

_REMEDY = "scripts/install_peers.sh {}"


def _is_2022(method: str) -> bool:
    return method.startswith("2022-")


# A client of this load has one address, and up to 10,000 connections.
_ONE_CLIENT = ["--max-connections-per-client", "60000"]


def _fastsocks(implementation: str, workers: int = 0) -> Peer:
    env = {"FASTSOCKS_IMPL": implementation}
    command = [sys.executable, "-m", "fastsocks"]
    more = ["--workers", str(workers)] if workers else []

    def ends(link: Link) -> list[End]:
        way = ["-s", HOST, "-p", str(link.server_port), "-k", link.key, "-m", link.method]
        listen = ["-b", HOST, "-l", str(link.local_port), *more]
        if link.method == SOCKS5:
            return [End("proxy", [*command, "proxy", *listen], link.local_port, env)]
        server = [*command, "server", "--allow-private", *_ONE_CLIENT, *way, *more]
        return [
            End("server", server, link.server_port, env),
            End("local", [*command, "local", *way, *listen], link.local_port, env),
        ]

    def version() -> str:
        code, lines = output([*command, "--version"], env)
        if code:
            raise MissingPeerError(f"FASTSOCKS_IMPL={implementation}: {lines[-1]}")
        if workers and "--workers" not in "".join(output([*command, "proxy", "--help"])[1]):
            raise MissingPeerError("this fastsocks has no --workers")
        return ", ".join(lines)

    return Peer(
        f"fastsocks ({workers} workers)" if workers else f"fastsocks ({implementation})",
        ends,
        version,
        lambda method: True,
        udp=(),
        version_command=lambda: ([*command, "--version"], env),
        named_only=workers > 0,
    )


def _libev_ends(link: Link) -> list[End]:
    remedy = _REMEDY.format("libev")
    way = ["-s", HOST, "-p", str(link.server_port), "-k", link.key, "-m", link.method]
    listen = ["-b", HOST, "-l", str(link.local_port)]
    return [
        End("server", [find("ss-server", remedy), *way], link.server_port),
        End("local", [find("ss-local", remedy), *way, *listen], link.local_port),
    ]


def _libev_version() -> str:
    return output([find("ss-server", _REMEDY.format("libev")), "-h"])[1][0]


def _rust_ends(link: Link) -> list[End]:
    remedy = _REMEDY.format("rust")
    way = ["-s", f"{HOST}:{link.server_port}", "-k", link.key, "-m", link.method]
    listen = ["-b", f"{HOST}:{link.local_port}"]
    return [
        End("server", [find("ssserver", remedy), *way], link.server_port),
        End("local", [find("sslocal", remedy), *way, *listen], link.local_port),
    ]


def _rust_command() -> tuple[Sequence[str], Mapping[str, str]]:
    return [find("ssserver", _REMEDY.format("rust")), "--version"], {}


def _xray_ends(link: Link) -> list[End]:
    program = find("xray", _REMEDY.format("xray"))
    key = {"method": link.method, "password": link.key}
    socks = {"protocol": "socks", "settings": {"auth": "noauth", "udp": True, "ip": HOST}}
    direct: dict[str, Any] = {"protocol": "freedom"}
    server = {"address": HOST, "port": link.server_port, **key}
    outbound = {"protocol": "shadowsocks", "settings": {"servers": [server]}}
    inbound = {"protocol": "shadowsocks", "settings": {**key, "network": "tcp,udp"}}

    def end(role: str, port: int, takes: dict[str, Any], sends: dict[str, Any]) -> End:
        path = link.folder / f"xray-{role}.json"
        listener = {"listen": HOST, "port": port, **takes}
        config = {
            "log": {"loglevel": "warning"},
            "inbounds": [listener],
            "outbounds": [sends],
        }
        path.write_text(json.dumps(config))
        return End(role, [program, "run", "-c", str(path)], port)

    if link.method == SOCKS5:
        return [end("proxy", link.local_port, socks, direct)]
    return [
        end("server", link.server_port, inbound, direct),
        end("local", link.local_port, socks, outbound),
    ]


def _xray_command() -> tuple[Sequence[str], Mapping[str, str]]:
    return [find("xray", _REMEDY.format("xray")), "version"], {}


def _xray_version() -> str:
    return " ".join(output(_xray_command()[0])[1][0].split()[:2])


def _pproxy_ends(link: Link) -> list[End]:
    program = find("pproxy", _REMEDY.format("pproxy"))
    local = f"socks5://{HOST}:{link.local_port}"
    if link.method == SOCKS5:
        return [End("proxy", [program, "-l", local], link.local_port)]
    # A path of the URL would be a plugin's.
    key = quote(link.key.replace("/", "_"), safe="")
    server = f"ss://{link.method}:{key}@{HOST}:{link.server_port}"
    return [
        End("server", [program, "-l", server], link.server_port),
        End("local", [program, "-l", local, "-r", server], link.local_port),
    ]


def _pproxy_version() -> str:
    find("pproxy", _REMEDY.format("pproxy"))
    python = installed() / "pproxy/bin/python"
    text = "import importlib.metadata as m; print('pproxy', m.version('pproxy'))"
    code, lines = output([str(python), "-c", text])
    return lines[0] if code == 0 else "pproxy, version unknown"


def _microsocks_ends(link: Link) -> list[End]:
    program = find("microsocks", _REMEDY.format("microsocks"))
    return [End("proxy", [program, "-i", HOST, "-p", str(link.local_port)], link.local_port)]


def _microsocks_version() -> str:
    find("microsocks", _REMEDY.format("microsocks"))
    return debian_version("microsocks")


_DANTE = """\
logoutput: stderr
internal: {host} port = {port}
external: {host}
clientmethod: none
socksmethod: none
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
"""


def _dante_ends(link: Link) -> list[End]:
    program = find("danted", _REMEDY.format("dante"))
    path = link.folder / "danted.conf"
    path.write_text(_DANTE.format(host=HOST, port=link.local_port))
    return [End("proxy", [program, "-f", str(path)], link.local_port)]


def _dante_version() -> str:
    find("danted", _REMEDY.format("dante"))
    return debian_version("dante-server")


_THREADS = Path(__file__).resolve().parents[1] / "threads"
_BLAKE3 = "blake3/vendor/blake3/c"


def _threads_speaks(method: str) -> bool:
    if _is_2022(method):
        return "chacha8" not in method and (installed() / _BLAKE3 / "blake3.c").exists()
    return method in {SOCKS5, "aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305"}


def _threads_ends(link: Link) -> list[End]:
    program, port = str(_THREADS / "relay"), str(link.local_port)
    if link.method == SOCKS5:
        return [End("proxy", [program, "proxy", port], link.local_port)]
    way = [link.method, link.key]
    server = str(link.server_port)
    return [
        End("server", [program, "server", server, *way], link.server_port),
        End("local", [program, "local", port, *way, server], link.local_port),
    ]


def _threads_version() -> str:
    # Always anew: make does not see that FASTSOCKS_OPENSSL_DIR is another one.
    command = ["make", "-s", "-B", "-C", str(_THREADS), "relay"]
    if _threads_speaks("2022-blake3-aes-128-gcm"):
        command.append(f"BLAKE3_DIR={installed() / _BLAKE3}")
    code, lines = output(command, {"LC_ALL": "C"})
    if code:
        raise MissingPeerError(f"benchmarks/threads does not build: {Path(lines[-1]).name}")
    return output([str(_THREADS / "relay"), "version"])[1][0]


BASELINE = "fastsocks (cython)"
THREADS = "C threads"
DIRECT = "no proxy"

PEERS = {
    "fastsocks": _fastsocks("cython"),
    "fastsocks-python": _fastsocks("python"),
    "fastsocks-workers": _fastsocks("cython", workers=2),
    "rust": Peer(
        "shadowsocks-rust",
        _rust_ends,
        lambda: output(_rust_command()[0])[1][0],
        lambda method: method != SOCKS5,
        udp=["-U"],
        version_command=_rust_command,
    ),
    "libev": Peer(
        "shadowsocks-libev",
        _libev_ends,
        _libev_version,
        lambda method: method != SOCKS5 and not _is_2022(method),
        udp=["-u"],
    ),
    "xray": Peer(
        "xray",
        _xray_ends,
        _xray_version,
        lambda method: True,
        udp=(),
        version_command=_xray_command,
    ),
    "pproxy": Peer(
        "pproxy",
        _pproxy_ends,
        _pproxy_version,
        lambda method: not _is_2022(method),
        rounds=1,
        most_connections=500,
    ),
    "microsocks": Peer(
        "microsocks",
        _microsocks_ends,
        _microsocks_version,
        lambda method: method == SOCKS5,
    ),
    "dante": Peer(
        "dante",
        _dante_ends,
        _dante_version,
        lambda method: method == SOCKS5,
        udp=(),
        most_connections=2000,
    ),
    "threads": Peer(
        THREADS, _threads_ends, _threads_version, _threads_speaks, most_connections=1000
    ),
    "direct": Peer(
        DIRECT, lambda link: [], lambda: "the load generator alone", lambda method: True, udp=()
    ),
}
