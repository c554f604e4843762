"""No secret shows, and nothing but ConfigError comes of what people write."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from configured import configure_local, configure_proxy, configure_server, configure_tunnel
from fastsocks.config.document import Document
from fastsocks.config.keys import KEYS
from fastsocks.config.option import Place
from fastsocks.config.settings import Setting
from fastsocks.errors import ConfigError

CANARY = "canary-secret"
PSK = "29ub3TmJNnn3hMwNFRbGTw=="
CONFIGURE = [configure_server, configure_local, configure_proxy, configure_tunnel]
SECRETS = sorted({key.name for place in Place for key in KEYS[place].values() if key.secret})

# The folder is one for all examples; each writes the file anew.
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def everything_shown(configure: Any, file: Path, content: object) -> str:
    """Return what a log, a traceback and a debugger would show."""
    file.write_text(json.dumps(content), "utf-8")
    try:
        found = configure(file=file, environ={})
    except ConfigError as error:
        return "".join(traceback.format_exception(error)) + repr(error)
    services = [(service, service.options, service.sources) for service in found.services]
    return repr(found) + repr(services) + "\n".join(found.warnings)


def test_the_secret_keys_are_these() -> None:
    assert SECRETS == ["accounts", "key", "password", "password_file", "upstream", "url", "users"]


SHAPES: list[Any] = [
    CANARY,
    [CANARY],
    {"a": CANARY},
    {CANARY: {"a": CANARY}},
    [{"name": "a", "password": CANARY}],
    [{"name": "a", "password": CANARY, "more": CANARY}, {"name": "a", "password": CANARY}],
    [{"name": "a", "password": [CANARY]}],
    [f"a:{CANARY}"],
    f"a:{CANARY}",
    f"ss://aes-256-gcm:{CANARY}@h:1",
    f"ss://2022-blake3-aes-128-gcm:{CANARY}@h:1",
    f"ss://aes-256-gcm:{CANARY}@h",
    CANARY * 50,
    f"{CANARY}\ud800",
]


@pytest.mark.parametrize("configure", CONFIGURE)
@pytest.mark.parametrize("key", [key for key in SECRETS if key != "password_file"])
@pytest.mark.parametrize("value", SHAPES, ids=repr)
@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-128-gcm", "none", None])
def test_no_secret_shows(
    tmp_path: Path, configure: Any, key: str, value: Any, method: str | None
) -> None:
    file = tmp_path / "config.json"
    password = PSK if method and method.startswith("2022") else CANARY
    for content in (
        {key: value},
        {"server": "h", "method": method, "password": password, key: value},
        {"servers": [{"server": "h", "method": method, key: value}]},
        {"locals": [{key: value}]},
    ):
        assert CANARY not in everything_shown(configure, file, content)


def test_what_is_read_on_the_way_shows_none() -> None:
    assert CANARY not in repr(Setting(CANARY, "x"))
    assert CANARY not in repr(Document("x", Path(), {"password": CANARY}, open_to_others=True))


names = st.sampled_from([*(key for place in Place for key in KEYS[place]), "_x", "typo"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=12),
    st.sampled_from(["127.0.0.1", "::1", "aes-256-gcm", PSK, "tcp_only", "${X}", "1", "a:b"]),
)
json_values = st.recursive(
    scalars,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(names, children, max_size=3),
    max_leaves=8,
)
good = {"server": "127.0.0.1", "method": "aes-256-gcm", "password": "p"}


@in_one_folder
@given(st.dictionaries(names, json_values, max_size=5), st.sampled_from(CONFIGURE), st.booleans())
@example({"timeout": 10**400}, configure_proxy, False)
@example({"nofile": 1e300}, configure_proxy, False)
@example({"server": "\ud800"}, configure_server, True)
@example({"password": 10**5000 // 7}, configure_server, True)
@example({"locals": [{"local_address": "\x00"}]}, configure_proxy, False)
def test_any_object_is_read_or_refused(
    tmp_path: Path, content: dict[str, Any], configure: Any, plausible: bool
) -> None:
    file = tmp_path / "config.json"
    try:
        text = json.dumps({**good, **content} if plausible else content)
    except ValueError:  # an integer of more digits than Python writes
        return
    file.write_text(text, "utf-8", "surrogatepass")
    shown = str(file)
    try:
        configure(file=file, environ={"X": "x"})
    except ConfigError as error:
        shown = str(error)
    assert shown.startswith(str(file))


@given(
    st.dictionaries(
        st.sampled_from([f"FASTSOCKS_{key.upper()}" for key in KEYS[Place.TOP]]),
        st.text(st.characters(exclude_characters="\0"), max_size=20)
        | st.sampled_from(["127.0.0.1", "aes-256-gcm", "1", "true", "{}", '{"a": 1}', "[]"]),
        max_size=4,
    ),
    st.sampled_from(CONFIGURE),
)
def test_any_environment_is_read_or_refused(environ: dict[str, str], configure: Any) -> None:
    shown = ""
    try:
        configure(environ=environ)
    except ConfigError as error:
        shown = str(error)
    # What is missing has no variable that could be named.
    missing = (
        "method: none given",
        "password: ",
        "server: its address is missing",
        "target: it is missing",
    )
    assert not shown or "FASTSOCKS_" in shown or shown.startswith(missing)
