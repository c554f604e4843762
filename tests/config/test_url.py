"""``ss://`` URLs: every vector, what is refused, and that what is written is read back."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastsocks.config import ServerURL
from fastsocks.errors import ConfigError

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "uri.json").read_text("utf-8"))
FIELDS = ("method", "password", "host", "port", "tag", "plugin", "plugin_opts")
PARSED = [vector for vector in VECTORS["uris"] if vector["expect"] in {"ok", "lenient"}]
REFUSED = [vector for vector in VECTORS["uris"] if vector["expect"] == "error"]

CANARY = "canary-secret"


def name_of(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def test_no_vector_is_left_out() -> None:
    assert len(PARSED) + len(REFUSED) == len(VECTORS["uris"])


@pytest.mark.parametrize("vector", PARSED, ids=name_of)
def test_vector_is_read(vector: dict[str, Any]) -> None:
    url = ServerURL.parse(vector["uri"])
    assert {name: getattr(url, name) for name in FIELDS} == {
        name: vector.get(name) for name in FIELDS
    }


@pytest.mark.parametrize("vector", REFUSED, ids=name_of)
def test_vector_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^URL: "):
        ServerURL.parse(vector["uri"])


@pytest.mark.parametrize("vector", VECTORS["produce"], ids=lambda vector: str(vector["uri"]))
def test_vector_is_written(vector: dict[str, Any]) -> None:
    fields: dict[str, Any] = {name: vector.get(name) for name in FIELDS}
    assert ServerURL(**fields).format() == vector["uri"]


@pytest.mark.parametrize("vector", PARSED, ids=name_of)
def test_a_2022_method_is_never_written_in_base64(vector: dict[str, Any]) -> None:
    url = ServerURL.parse(vector["uri"])
    assert ServerURL.parse(url.format()) == url
    plain = url.format().startswith(f"ss://{url.method}:")
    assert plain == url.method.startswith("2022-")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" SS://aes-256-gcm:pw@h:1\n", ("aes-256-gcm", "pw", "h", 1)),
        ("ss://aes-256-gcm%3Ap%40w@h:1/", ("aes-256-gcm", "p@w", "h", 1)),
        ("ss://aes-256-gcm:p@w@h:1", ("aes-256-gcm", "p@w", "h", 1)),
        ("ss://none:@127.0.0.1:65535", ("none", "", "127.0.0.1", 65535)),
        ("ss://aes-256-gcm:a+b@h:1", ("aes-256-gcm", "a+b", "h", 1)),
        ("ss://aes-256-gcm:pw@b%C3%BCcher.example:1", ("aes-256-gcm", "pw", "bücher.example", 1)),
        # Raw standard alphabet with a slash: aes-256-gcm:ÿþ?~~ of the vectors.
        (
            "ss://YWVzLTI1Ni1nY206w7/Dvj9+fg@example.com:8388",
            ("aes-256-gcm", "ÿþ?~~", "example.com", 8388),
        ),
        (
            "ss://YWVzLTI1Ni1jZmI6cHdAZXhhbXBsZS5jb206ODM4OA/#t",
            ("aes-256-cfb", "pw", "example.com", 8388),
        ),
    ],
)
def test_forms_in_use(text: str, expected: tuple[str, str, str, int]) -> None:
    url = ServerURL.parse(text)
    assert (url.method, url.password, url.host, url.port) == expected


def url_with(location: str) -> str:
    return f"ss://aes-256-gcm:{CANARY}@{location}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CANARY, "does not begin with ss://"),
        (f"https://aes-256-gcm:{CANARY}@h:1", "does not begin with ss://"),
        ("ss:///", "nothing behind"),
        (url_with("h"), "the port is missing"),
        (url_with("[2001:db8::1]"), "the port is missing"),
        (url_with("h:"), "the port is not a number"),
        (url_with("h:0"), r"port 0 is not in 1\.\.65535"),
        (url_with("h:65536"), r"port 65536 is not in 1\.\.65535"),
        (url_with("h:8a"), "the port is not a number"),
        (url_with("h:٣"), "the port is not a number"),
        (url_with(":1"), "the host is missing"),
        (url_with("2001:db8::1:8388"), r"an IPv6 address in brackets"),
        (url_with("[h]:1"), "only an IPv6 address stands in brackets"),
        (url_with("[::g]:1"), "the host is not an IPv6 address"),
        (url_with("[fe80::1%25eth0]:1"), "not an IPv6 address|scope"),
        (url_with("a%20b:1"), "a character that no name has"),
        (url_with("a%00b:1"), "a character that no name has"),
        (url_with("h:1/path"), "only .plugin= and #NAME may follow"),
        (url_with("h:1?plugin=%3Bx"), "plugin options without a plugin"),
        (f"ss://:{CANARY}@h:1", "the method is empty"),
        (f"ss://{CANARY}@h:1", "not base64, and has no colon"),
        ("ss://" + "a" * 20000, "20005 characters"),
        (f"ss://2022-blake3-aes-128-gcm:{CANARY}@h:1", "is 16 bytes in base64"),
        (url_with(f"{'x' * 256}:1"), "256 bytes"),
    ],
)
def test_refusals_say_why_and_repeat_nothing(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ServerURL.parse(text)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_password_does_not_show() -> None:
    url = ServerURL.parse(f"ss://aes-256-gcm:{CANARY}@h:1/?plugin=x%3B{CANARY}")
    for text in (repr(url), str(url), f"{url}", repr([url])):
        assert CANARY not in text
    assert CANARY in url.format() or "@" in url.format()


def test_settings_are_those_of_a_file() -> None:
    assert ServerURL.parse("ss://aes-256-gcm:pw@[2001:db8::1]:8388#x").settings() == {
        "server": "2001:db8::1",
        "server_port": 8388,
        "method": "aes-256-gcm",
        "password": "pw",
    }


def test_a_plugin_is_read_but_not_supported() -> None:
    url = ServerURL.parse("ss://aes-256-gcm:pw@h:1/?plugin=obfs-local%3Bobfs%3Dhttp")
    with pytest.raises(ConfigError, match="plugin 'obfs-local' is not supported yet"):
        url.settings()


@pytest.mark.parametrize(
    "changes",
    [
        {"method": ""},
        {"method": "a:b"},
        {"port": 0},
        {"port": 65536},
        {"host": ""},
        {"host": "[::1]"},
        {"host": "a b"},
        {"host": "fe80::1%eth0"},
        {"password": "\ud800"},
        {"tag": "\ud800"},
        {"plugin": None, "plugin_opts": "x"},
    ],
)
def test_what_no_url_can_say(changes: dict[str, Any]) -> None:
    fields = {"method": "aes-256-gcm", "password": "pw", "host": "h", "port": 1, **changes}
    with pytest.raises(ConfigError, match=r"^URL: "):
        ServerURL(**fields)


@given(st.one_of(st.text(), st.text().map("ss://{}".format), st.binary().map(repr)))
@example("ss://\ud800@h:1")
@example("ss://%@h:1")
@example("ss://[@]:1")
@example("ss://aes-256-gcm:%ff%ed%a0%80@h:1")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        url = ServerURL.parse(text)
    except ConfigError:
        return
    assert ServerURL.parse(url.format()) == url


# In place of what UTF-8 cannot decode stand surrogates (PEP 383), as in command lines.
texts = st.text(st.characters(exclude_categories=["Cs"]))
command_line_texts = st.binary(max_size=40).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)
hosts = st.one_of(
    st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,60}[a-z0-9])?", fullmatch=True),
    st.ip_addresses().map(str),
)


@given(
    method=st.sampled_from(["aes-256-gcm", "none", "chacha20-ietf-poly1305", "unknown"]),
    password=st.one_of(texts, command_line_texts),
    host=hosts,
    port=st.integers(1, 65535),
    tag=st.none() | texts.filter(bool),
    plugin=st.none() | st.from_regex(r"[a-z0-9-]+", fullmatch=True),
    plugin_opts=st.none() | texts,
)
def test_what_is_written_is_read_back(plugin_opts: str | None, **fields: Any) -> None:
    url = ServerURL(**fields, plugin_opts=plugin_opts if fields["plugin"] else None)
    text = url.format()
    assert text.isascii()
    assert text.isprintable()
    assert ServerURL.parse(text) == url


@given(keys=st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=3))
def test_2022_keys_are_read_back(keys: list[bytes]) -> None:
    password = ":".join(base64.b64encode(key).decode() for key in keys)
    url = ServerURL(method="2022-blake3-aes-128-gcm", password=password, host="h", port=1)
    assert ServerURL.parse(url.format()) == url
