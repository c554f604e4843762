"""One field is an option everywhere: key, variable, flag, help, ``check`` and documents."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from configured import configure_proxy, configure_server
from fastsocks.cli.commands import fastsocks as cli
from fastsocks.config import ProxyOptions
from fastsocks.config.keys import KEYS, OPTIONS, Side, make_keys
from fastsocks.config.option import LIMITS, Place, documented, keys_of, option, options_of, refused
from fastsocks.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent


@documented
@dataclass(frozen=True, kw_only=True)
class PoliteOptions(ProxyOptions):
    """Options of a proxy with manners."""

    say_please: bool = option(
        False,
        "Ask targets politely.",
        more="In the language of this host.",
        places=Place.TOP | Place.LOCALS,
        elsewhere=refused("only a proxy has manners"),
        section=LIMITS,
    )
    bows: int = option(3, "How often it bows.", flags="-B --bow", limits=(1, 9))


@pytest.fixture(autouse=True)
def polite(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let proxies have the options of PoliteOptions."""
    monkeypatch.setitem(OPTIONS, Side.PROXY, PoliteOptions)
    for place, keys in make_keys().items():
        monkeypatch.setitem(KEYS, place, keys)
    proxy = cli.commands["proxy"]
    proxy.__dict__.pop("params", None)
    yield
    proxy.__dict__.pop("params", None)


def options_of_proxy(**given: object) -> PoliteOptions:
    options = configure_proxy(**{"environ": {}, **given}).services[0].options  # type: ignore[arg-type]
    assert isinstance(options, PoliteOptions)
    return options


def test_a_field_is_a_key_of_files_at_its_places(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"say_please": true, "bows": 4}', "utf-8")
    options = options_of_proxy(file=file)
    assert (options.say_please, options.bows) == (True, 4)
    file.write_text('{"locals": [{"local_port": 1, "say_please": "yes"}]}', "utf-8")
    assert options_of_proxy(file=file).say_please
    file.write_text('{"locals": [{"local_port": 1, "bows": 4}]}', "utf-8")
    with pytest.raises(ConfigError, match=r"locals\[0\]\.bows: there is no such key here"):
        options_of_proxy(file=file)


def test_it_is_a_variable_and_a_flag() -> None:
    assert options_of_proxy(environ={"FASTSOCKS_SAY_PLEASE": "on"}).say_please
    assert options_of_proxy(flags={"say_please": True}).say_please
    assert not options_of_proxy().say_please
    with pytest.raises(ConfigError, match=r"^FASTSOCKS_SAY_PLEASE: it has to be true or false"):
        options_of_proxy(environ={"FASTSOCKS_SAY_PLEASE": "perhaps"})


def test_its_bounds_hold_wherever_it_is_given() -> None:
    with pytest.raises(ConfigError, match=r"^bows: 0 is not in 1\.\.9"):
        PoliteOptions(bows=0)
    with pytest.raises(ConfigError, match=r"^--bow: 10 is not in 1\.\.9"):
        options_of_proxy(flags={"bows": 10})
    with pytest.raises(ConfigError, match=r"^say_please: it has to be True or False, not str"):
        PoliteOptions(say_please="yes")  # type: ignore[arg-type]


def test_other_services_say_what_it_means_to_them(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"method": "aes-256-gcm", "password": "p", "say_please": true}', "utf-8")
    with pytest.raises(ConfigError, match="say_please: only a proxy has manners"):
        configure_server(file=file, environ={})


def test_the_command_has_it_in_its_section() -> None:
    text = CliRunner().invoke(cli, ["proxy", "--help"]).output
    limits = text[text.index("Limits:") : text.index("Process:")]
    assert "--say-please" in limits
    assert "Ask targets politely." in limits
    assert "In the language of this host." not in text
    assert "-B, --bow NUMBER" in text
    assert "How often it bows.  [default: 3]" in " ".join(text.split(" "))
    assert "--say-please" not in CliRunner().invoke(cli, ["local", "--help"]).output


def test_check_shows_it_with_its_source() -> None:
    done = CliRunner().invoke(cli, ["check", "proxy", "--say-please", "-B", "4"])
    rows = {line.split()[0]: line.split()[1:] for line in done.output.splitlines() if line.strip()}
    assert rows["say_please"] == ["true", "--say-please"]
    assert rows["bows"] == ["4", "--bow"]


def test_help_and_the_documents_describe_it() -> None:
    assert ":param say_please: Ask targets politely. In the language of" in str(
        PoliteOptions.__doc__
    )
    table = runpy.run_path(str(ROOT / "scripts" / "configuration_table.py"))["tables"]()
    assert (
        "| `say_please` | **proxy**: Ask targets politely. In the language of this host. "
        "Default: false. | top, `locals` | fastsocks |" in table
    )


@pytest.mark.parametrize("side", list(Side))
def test_everything_is_said_of_every_option(side: Side) -> None:
    for field, said in options_of(OPTIONS[side]):
        assert said.text.endswith("."), field.name
    flags = [
        name
        for one in cli.commands[side.value].params
        if isinstance(one, click.Option)
        for name in one.opts
    ]
    assert len(flags) == len(set(flags))
    keys = [one.name for one in keys_of(OPTIONS[side])]
    assert len(keys) == len(set(keys))
