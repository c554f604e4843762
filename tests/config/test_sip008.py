"""Lists of servers as providers deliver them (SIP008)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from configured import configure_local, configure_server
from fastsocks.config import Configuration, LocalOptions
from fastsocks.errors import ConfigError

CREDENTIALS = {"password": "p", "method": "aes-256-gcm"}
SERVER = {
    "id": "27b8a625-4f4b-4428-9f0f-8a2317db7c79",
    "remarks": "A",
    "server": "a.example",
    "server_port": 8388,
    **CREDENTIALS,
}
OTHER = {**SERVER, "id": 2, "remarks": "B", "server": "b.example"}


def local(folder: Path, content: object, name: str = "servers.json") -> Configuration[LocalOptions]:
    file = folder / name
    file.write_text(json.dumps(content), "utf-8")
    file.chmod(0o600)
    return configure_local(file=file, environ={})


def document(*servers: object, **more: object) -> dict[str, object]:
    return {"version": 1, "servers": [*servers], **more}


@pytest.mark.parametrize(
    "content",
    [
        document(SERVER),
        document(SERVER, bytes_used=274877906944, bytes_remaining=824633720832),
        document(SERVER, bytes_used="0", bytes_remaining=None),
        document({**SERVER, "plugin": "", "plugin_opts": ""}),
        document({**SERVER, "plugin": None, "plugin_opts": None, "plugin_args": ""}),
        document({**SERVER, "server_port": "8388", "timeout": 5}),
        {"servers": [SERVER], "bytes_used": 0},
        {"servers": [SERVER]},
        [SERVER],
        document({"name": "A", "address": "a.example", "port": 8388, **CREDENTIALS}),
    ],
    ids=lambda content: json.dumps(content)[-60:],
)
def test_documents_in_use(tmp_path: Path, content: object) -> None:
    found = local(tmp_path, content)
    options = found.services[0].options
    assert (options.server, options.server_port) == ("a.example", 8388)
    assert (options.method, options.password) == ("aes-256-gcm", "p")
    assert found.warnings == ()


def test_a_bare_list_of_several(tmp_path: Path) -> None:
    for name in ("servers.json", "servers"):
        options = local(tmp_path, [SERVER, OTHER], name).services[0].options
        assert [options.server, *(entry.server for entry in options.servers)] == [
            "a.example",
            "b.example",
        ]


def test_what_providers_add_is_told_in_one_line(tmp_path: Path) -> None:
    more = {"group": "g", "obfs": "plain", "tls": False, "tags": ["x"], "name": "also remarks"}
    content = document({**SERVER, **more}, {**OTHER, **more}, username="u", expiry=None)
    found = local(tmp_path, content)
    assert len(found.services[0].options.servers) == 1
    (warning,) = found.warnings
    assert warning.endswith("(SIP008): username, expiry, group, obfs, tls, tags, name")


def test_what_providers_add_without_end_is_told_in_part(tmp_path: Path) -> None:
    content = document({**SERVER, **{f"x{number}": 1 for number in range(100)}})
    (warning,) = local(tmp_path, content).warnings
    assert warning.endswith("x10, x11, and 88 more")


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"plugin": "obfs-local", "plugin_opts": "obfs=http"}, "plugin"),
        ({"obfs": "tls1.2_ticket_auth"}, "obfs"),
        ({"protocol": "auth_aes128_md5"}, "protocol"),
        ({"network": "ws"}, "network"),
        ({"tls": True}, "tls"),
        ({"tls": {"enabled": True}}, "tls"),
        ({"v2ray-plugin": "x"}, "'v2ray-plugin'"),
        ({"method": "chacha21"}, "method"),
    ],
    ids=str,
)
def test_servers_that_cannot_be_had_are_left_out_and_told(
    tmp_path: Path, more: dict[str, Any], named: str
) -> None:
    found = local(tmp_path, document({**SERVER, **more}, OTHER))
    options = found.services[0].options
    assert (options.server, options.servers) == ("b.example", ())
    (warning,) = (text for text in found.warnings if "left out" in text)
    assert f"servers[0].{named}: " in warning
    with pytest.raises(ConfigError, match=rf"servers\[0\]\.{named}: "):
        local(tmp_path, document({**SERVER, **more}))


def test_our_own_files_stay_strict(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"servers\[0\]\.group: there is no such key"):
        local(tmp_path, {"servers": [{"server": "a.example", "group": "g", **CREDENTIALS}]})
    file = tmp_path / "server.json"
    file.write_text(json.dumps(document({**SERVER, "server": "::", "group": "g"})), "utf-8")
    with pytest.raises(ConfigError, match=r"servers\[0\]\.group: there is no such key"):
        configure_server(file=file, environ={})
