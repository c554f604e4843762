"""Rules and ACL files, from text."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configured import configure_proxy
from fastsocks.config.acl import read_acl
from fastsocks.config.rules import Action, read_rule, read_rules
from fastsocks.errors import ConfigError


def test_every_condition() -> None:
    rule = read_rule(
        'Deny from 192.0.2.0/24,2001:db8::1 user "a b", user to 10.0.0.0/8, private, '
        "*.Example.com, =www.example.org, 2001:db8::/32 port 25,6881-6999 command connect,udp"
    )
    assert rule.action is Action.DENY
    assert rule.clients == (ip_network("192.0.2.0/24"), ip_network("2001:db8::1"))
    assert rule.users == {"a b", "user"}
    assert rule.networks == (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    assert rule.private
    assert rule.suffixes == ("example.com",)
    assert rule.names == ("www.example.org",)
    assert rule.ports == ((25, 25), (6881, 6999))
    assert rule.commands == {1, 3}


@pytest.mark.parametrize("text", ["deny", "deny all", "DENY  all"])
def test_no_condition(text: str) -> None:
    rule = read_rule(text)
    assert not rule.has_targets
    assert not any((rule.clients, rule.users, rule.ports, rule.commands))


def test_mapped_networks_are_ipv4() -> None:
    assert read_rule("deny to ::ffff:10.0.0.0/104").networks == (ip_network("10.0.0.0/8"),)


def test_names_beyond_ascii() -> None:
    assert read_rule("deny to bücher.example.").suffixes == ("xn--bcher-kva.example",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("reject to a.b", "begin with allow, deny or direct"),
        ('"deny"', "begin with allow, deny or direct"),
        ("deny 10.0.0.0/8", "'10.0.0.0/8' is none of from, user, to, port, command"),
        ("deny to a.b c.d", "'c.d' is none of .*commas between"),
        ("deny to", "to: a value is missing"),
        ("deny to a.b,", "to: a value is missing"),
        ("deny to a.b to c.d", "to is there twice"),
        ("deny to 10.0.0.1/8", "has bits set behind its prefix; 10.0.0.0/8"),
        ("deny to 10.0.0.0/33", "no IP address or network"),
        ("deny from example.com", "from: 'example.com' is no IP address"),
        ("deny to a*b", "'a\\*b' is no name"),
        ("deny port 65536", "'65536' is no port"),
        ("deny port 9-8", "'9-8' is no port"),
        ("deny port http", "'http' is no port"),
        ("deny command get", "'get' is none of connect, bind, udp"),
        ('deny user "a', "a quotation mark is missing"),
    ],
)
def test_errors_say_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_rule(text)


@pytest.mark.parametrize("value", [3, {"deny": 1}, None])
def test_what_is_no_list(value: object) -> None:
    with pytest.raises(ConfigError, match="it has to be a list of rules"):
        read_rules(value)


def test_errors_name_the_number() -> None:
    with pytest.raises(ConfigError, match=r"^rule 2: it has to begin"):
        read_rules(["deny", "reject"])
    with pytest.raises(ConfigError, match=r"^rule 1: it has to be a text"):
        read_rules([3])


def test_one_text_has_lines_or_semicolons() -> None:
    assert [rule.text for rule in read_rules("deny port 25; allow\n\ndeny")] == [
        *("deny port 25", "allow", "deny")
    ]


@given(st.text(alphabet='alowdenyirct from"to,:/.0123456789\n*=', max_size=60))
def test_any_text_is_a_rule_or_a_config_error(text: str) -> None:
    try:
        read_rules([text])
    except ConfigError:
        return


ACL = r"""
# a comment
[outbound_block_list]
127.0.0.0/8
::1
||ads.example    # and this one
[bypass_list]
|only.example
(^|\.)suffix\.example$
^exact\.example$
tracker\d+\.
192.0.2.0/24
[proxy_list]
(?:^|\.)proxied\.example$
198.51.100.0/24
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "list.acl"


def test_lists_of_local(file: Path) -> None:
    file.write_text("[proxy_all]\n" + ACL, "utf-8")
    rules = read_acl(file, server=False)
    told = [(rule.action.value, rule.text) for rule in rules]
    assert told == [
        ("deny", "127.0.0.0/8"),
        ("deny", "::1"),
        ("deny", "||ads.example"),
        ("allow", r"(?:^|\.)proxied\.example$"),
        ("direct", "|only.example"),
        ("direct", r"(^|\.)suffix\.example$"),
        ("direct", r"^exact\.example$"),
        ("direct", r"tracker\d+\."),
        ("direct", "192.0.2.0/24"),
    ]
    assert [rule.suffixes for rule in rules][2] == ("ads.example",)
    assert rules[5].suffixes == ("suffix.example",)
    assert rules[6].names == ("exact.example",)
    assert rules[7].patterns
    assert rules[0].source == f"{file}: line 5"


def test_bypass_all(file: Path) -> None:
    file.write_text("[bypass_all]\n" + ACL, "utf-8")
    rules = read_acl(file, server=False)
    assert [(rule.action.value, rule.text) for rule in rules[-2:]] == [
        ("allow", "198.51.100.0/24"),
        ("direct", "[bypass_all]"),
    ]


def test_lists_of_a_server(file: Path) -> None:
    file.write_text(
        "[reject_all]\n[white_list]\n192.0.2.0/24\n[black_list]\n192.0.2.9\n"
        "[outbound_block_list]\n10.0.0.0/8\n",
        "utf-8",
    )
    rules = read_acl(file, server=True)
    assert [(rule.action.value, bool(rule.clients), rule.text) for rule in rules] == [
        ("deny", False, "10.0.0.0/8"),
        ("deny", True, "192.0.2.9"),
        ("allow", True, "192.0.2.0/24"),
        ("deny", False, "[reject_all]"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[block_list]\n", r"line 1: there is no section \[block_list\]"),
        ("\n10.0.0.1/33\n", "line 2: .*is no IP address or network"),
        ("(a+)+$\n", "line 1: this regular expression repeats too much"),
        (".*a.*b.*\n", "line 1: this regular expression repeats too much"),
        ("^(a|aa)+$\n", "line 1: this regular expression repeats too much"),
        ("((a*)b?)*\n", "line 1: this regular expression repeats too much"),
        ("(?:a?){50}\n", "line 1: this regular expression repeats too much"),
        ("a?" * 13 + "\n", "line 1: this regular expression repeats too much"),
        ("a?a?a?a?a?.*b.*\n", "line 1: this regular expression repeats too much"),
        ("||\n", "line 1: this name is empty"),
        ("|.\n", "line 1: this name is empty"),
        ("(\n", "line 1: this is no IP address, network, name or regular expression"),
        ("(?:ab|.b)" * 13 + "c\n", "line 1: this regular expression repeats too much"),
        ("a.*a.*a?a?c\n", "line 1: this regular expression repeats too much"),
        (r"(a)\1" + "\n", "line 1: this regular expression has something else"),
        ("(?x)a b\n", "line 1: this regular expression has something else"),
        ("tracker\u4e2d+\n", "line 1: names are compared in ASCII"),
        ("||a b\n", "line 1: 'a b' is no name"),
        ("|127.1\n", "line 1: '127.1' is the IP address 127.0.0.1; write that"),
    ],
)
def test_what_an_acl_cannot_say(file: Path, text: str, message: str) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message):
        read_acl(file, server=False)


def test_an_acl_that_is_no_text(file: Path) -> None:
    file.write_bytes(b"example.com\n\xff\xfe\x00\n")
    with pytest.raises(ConfigError, match="line 2: it is not UTF-8"):
        read_acl(file, server=False)


def test_patterns_that_lists_have(file: Path) -> None:
    patterns = [
        r"^(.+\.)?google\.(com|co\.[a-z]+)$",
        r"^ads?\d{1,3}\.(?:example|test)$",
        r"(?:^|\.)a(b|c)?\d*?\.",
        # Later Pythons may read it in another way, and this one warns of that.
        r"[[]x",
    ]
    file.write_text("\n".join(patterns), "utf-8")
    rules = read_acl(file, server=False)
    assert [rule.text for rule in rules] == patterns
    assert rules[0].patterns[0].search("www.google.co.uk")


def test_shapes_of_stock_files(file: Path) -> None:
    """Of those that come with shadowsocks-android and shadowsocks-libev."""
    label = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    file.write_text(
        "[outbound_block_list]\n127.0.0.0/8\n::ffff:127.0.0.1/104\n10.1.2.3/8\n2001:db8::1/32\n"
        f"[proxy_list]\n(?:^|\\.)shop(\\.{label}){{1,2}}$\n(?:^|\\.)news\\.example%2f$\n"
        "(^|\\.)192\\.0\\.2\\.1$\n^192\\.0\\.2\\.2$\n",
        "utf-8",
    )
    rules = read_acl(file, server=False)
    assert [str(rule.networks[0]) for rule in rules if rule.networks] == [
        *("127.0.0.0/8", "127.0.0.0/8", "10.0.0.0/8", "2001:db8::/32"),
    ]
    (shop, news, *literals) = [rule.patterns[0] for rule in rules if rule.patterns]
    assert shop.search("www.shop.co.uk")
    assert not shop.search("shop.a.b.c")
    assert not news.search("news.example")
    assert len(literals) == 2


def test_lines_are_left_out_by_choice(file: Path) -> None:
    file.write_text("[black_list]\n||ok.example\n(a+)+$\n10.0.0.0/8\n||\n", "utf-8")
    left_out: list[str] = []
    rules = read_acl(file, server=False, left_out=left_out)
    assert [rule.text for rule in rules] == ["||ok.example", "10.0.0.0/8"]
    assert [text.partition(": this")[0] for text in left_out] == [
        f"{file}: line 3",
        f"{file}: line 5",
    ]
    # What stands below a section that nobody knows would be something else.
    file.write_text("[unknown_list]\n||ok.example\n", "utf-8")
    with pytest.raises(ConfigError, match="there is no section"):
        read_acl(file, server=False, left_out=left_out)


def test_what_is_left_out_is_told(file: Path) -> None:
    file.write_text("||ok.example\n" + "(a+)+$\n" * 13, "utf-8")
    flags = {"acl": str(file)}
    with pytest.raises(ConfigError, match=r"repeats too much.*--acl-leave-out starts without"):
        configure_proxy(flags)
    found = configure_proxy({**flags, "acl_leave_out": True}, environ={})
    assert [rule.text for rule in found.services[0].options.read_rules] == ["||ok.example"]
    told = [text for text in found.warnings if "left out" in text]
    assert len(told) == 11
    assert f"left out: {file}: line 2: this regular expression repeats too much" in told[0]
    assert "3 further lines" in told[-1]


def test_names_are_no_clients_of_a_server(file: Path) -> None:
    file.write_text("[black_list]\n||example.com\n", "utf-8")
    with pytest.raises(ConfigError, match="line 2: on a server this list is of clients"):
        read_acl(file, server=True)


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"list\.acl: No such file"):
        read_acl(file, server=True)
