"""``ss://`` URLs: every vector, what is refused, and that what is written is read back."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from configured import configure_local
from fastsocks.config import ServerURL
from fastsocks.errors import ConfigError
from fastsocks.outbound.upstream import read_upstream

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


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


USERINFO = coded("aes-256-gcm:pw")
WRAPPED = coded("chacha20-ietf-poly1305:a-password-that-is-long-enough-to-be-wrapped@a.example:443")


@pytest.mark.parametrize(
    ("text", "host", "password", "tag"),
    [
        # base64 of a line, as `echo ... | base64` makes it.
        (f"ss://{coded('aes-256-gcm:pw@192.0.2.1:8888')}", "192.0.2.1", "pw", None),
        (f"ss://{coded('aes-256-gcm:pw@192.0.2.1:8888')}\r\n", "192.0.2.1", "pw", None),
        (f"ss://{coded('aes-256-gcm:pw@a.example:1') + chr(10)}#t", "a.example", "pw", "t"),
        (f"ss://{coded('aes-256-gcm:pw')}%0A@a.example:1", "a.example", "pw", None),
        (f"ss://{USERINFO[:8]} {USERINFO[8:]}@a.example:1", "a.example", "pw", None),
        (
            f"ss://{WRAPPED[:76]}\n{WRAPPED[76:]}#w",
            "a.example",
            "a-password-that-is-long-enough-to-be-wrapped",
            "w",
        ),
        (f"\ufeffss://{USERINFO}@a.example:1", "a.example", "pw", None),
        ("ss://aes-256-gcm:pw%0A@a.example:1", "a.example", "pw", None),
        (f"ss://{USERINFO}@a.example:1 #t", "a.example", "pw", "t"),
        # Outline, its prefix too.
        (f"ss://{USERINFO}@a.example:1/?outline=1#Alias", "a.example", "pw", "Alias"),
        (f"ss://{USERINFO}@a.example:1/?outline=1&prefix=POST%20", "a.example", "pw", None),
        # v2rayN and Xray, where nothing but TCP and UDP is asked for.
        (f"ss://{USERINFO}@a.example:1?type=tcp&security=none#n", "a.example", "pw", "n"),
        (f"ss://{USERINFO}@a.example:1?type=raw&headerType=none", "a.example", "pw", None),
        (f"ss://{USERINFO}@a.example:1?type=tcp&amp;security=none", "a.example", "pw", None),
        # Shadowrocket.
        (
            f"ss://{coded('aes-256-gcm:pw@a.example:1')}?remarks=A%20B&obfs=none",
            "a.example",
            "pw",
            "A B",
        ),
        (f"ss://{USERINFO}@a.example:1?tfo=1&uot=1#n", "a.example", "pw", "n"),
        # Clash's converters and others.
        (f"ss://{USERINFO}@a.example:1/?plugin=&group=Zw==#n", "a.example", "pw", "n"),
        (f"ss://{USERINFO}@a.example:1/?plugin=none#n", "a.example", "pw", "n"),
        (
            f"ss://{USERINFO}@a.example:1#\N{EARTH GLOBE AMERICAS} 1",
            "a.example",
            "pw",
            "\N{EARTH GLOBE AMERICAS} 1",
        ),
        (
            f"ss://{USERINFO}@a.example:1#%F0%9F%87%BA%F0%9F%87%B8",
            "a.example",
            "pw",
            "\U0001f1fa\U0001f1f8",
        ),
        (f"ss://{USERINFO}@[2001:db8::1]:1/?outline=1", "2001:db8::1", "pw", None),
    ],
)
def test_what_programs_export(text: str, host: str, password: str, tag: str | None) -> None:
    url = ServerURL.parse(text)
    assert (url.host, url.password, url.tag, url.plugin) == (host, password, tag, None)
    assert ServerURL.parse(url.format()) == url
    assert url.settings()["password"] == password


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("type=ws&path=%2F&security=tls", "type=ws"),
        ("security=tls&sni=a.example&type=tcp", "security=tls"),
        ("security=reality&pbk=x", "security=reality"),
        ("type=grpc&serviceName=x", "type=grpc"),
        ("TYPE=WS", "type=WS"),
        ("type=tcp&amp;security=tls", "security=tls"),
        ("type=tcp&headerType=http&host=a", "headertype=http"),
        ("network=quic", "network=quic"),
        ("obfs=http&obfs-host=a.example", "obfs=http"),
        ("obfs=websocket&obfsParam=a", "obfs=websocket"),
        ("v2ray-plugin=eyJtb2RlIjoid2Vic29ja2V0In0%3D", "v2ray-plugin"),
        (f"v2ray-plugin={CANARY}", "v2ray-plugin"),
        ("shadow-tls=c2VjcmV0", "shadow-tls"),
        ("shadow-tls=eyJ2ZXJzaW9uIjoiMyJ9%3D", "shadow-tls"),
        ("tls=1", "tls=1"),
        ("protocol=auth_aes128_md5", "protocol"),
    ],
)
def test_another_transport_is_refused_by_name(query: str, named: str) -> None:
    for text in (
        f"ss://{USERINFO}@a.example:443?{query}#n",
        f"ss://{coded('aes-256-gcm:pw@a.example:443')}?{query}",
        f"ss://aes-256-gcm:pw@a.example:443/?{query}",
    ):
        with pytest.raises(ConfigError, match=f"^URL: {named} asks for another way") as caught:
            ServerURL.parse(text)
        assert CANARY not in str(caught.value)


def test_what_can_be_left_out_is_told() -> None:
    flags = {"url": f"ss://{USERINFO}@a.example:1/?outline=1&prefix=POST%20&uot=1&type=tcp"}
    assert configure_local(flags, environ={}).warnings == (
        "ss:// URL: prefix: ignored: a text at the head of each connection is not sent",
        "ss:// URL: uot: ignored: UDP goes by UDP",
    )


@pytest.mark.parametrize("method", ["AEAD_CHACHA20_POLY1305", "chacha20-poly1305"])
def test_methods_by_the_names_of_others(method: str) -> None:
    flags = {"url": f"ss://{coded(f'{method}:pw')}@a.example:1"}
    options = configure_local(flags, environ={}).services[0].options
    assert options.method == "chacha20-ietf-poly1305"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"ssr://{CANARY}", "ssr:// is of another protocol"),
        (f"vmess://{CANARY}", "vmess:// is of another protocol"),
        (f"VLESS://{CANARY}@h:1", "vless:// is of another protocol"),
        (f"trojan://{CANARY}@h:1", "trojan:// is of another protocol"),
        (f"hysteria2://{CANARY}@h:1", "hysteria2:// is of another protocol"),
        (f"ssconf://h/{CANARY}", "open it with https://"),
        (f"https://h/{CANARY}", "does not begin with ss://; what a subscription"),
    ],
)
def test_other_schemes_are_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ServerURL.parse(text)
    assert CANARY not in str(caught.value)


def test_what_stands_for_an_address_is_none() -> None:
    url = ServerURL.parse(f"ss://{USERINFO}@ADDRESS-OF-THIS-SERVER:8388")
    for use in (
        url.settings,
        lambda: configure_local({"url": url.format()}, environ={}),
        lambda: configure_local({"server": "address-of-this-server", "method": "none"}, environ={}),
        lambda: read_upstream(url.format()),
    ):
        with pytest.raises(ConfigError, match="ADDRESS-OF-THIS-SERVER stands for the server's"):
            use()


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
