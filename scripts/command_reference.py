"""Write what the commands say of themselves as a page of the documents, and as a man page.

python scripts/command_reference.py            # write both
python scripts/command_reference.py --check    # exit with 1 if they are not up to date
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from fastsocks.cli import help as layout
from fastsocks.cli.commands import fastsocks as group

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "commands.md"
MAN_PAGE = ROOT / "packaging" / "share" / "man" / "man1" / "fastsocks.1"
MARKER = "<!-- written by scripts/command_reference.py -->\n"

_MAN_HEAD = r""".\" Written by scripts/command_reference.py.
.TH FASTSOCKS 1 "" fastsocks "User Commands"
.nh
.ad l
.SH NAME
fastsocks \- relay by SOCKS, HTTP and Shadowsocks
"""

_MAN_TAIL = r""".SH ENVIRONMENT
.TP
.BI FASTSOCKS_ NAME
The value of a flag or of a key of the configuration file: FASTSOCKS_SERVER_PORT is
\fB\-\-server\-port\fR. Lists have commas between their values. A flag beats it, and it beats the
file.
.TP
.B FASTSOCKS_IMPL
Which implementation runs: \fBcython\fR, \fBpython\fR or, the default, \fBauto\fR, which is cython
where its extension modules are there.
.TP
.B FASTSOCKS_LOOP
Which event loop runs: \fBuvloop\fR, \fBasyncio\fR or, the default, \fBauto\fR, which is uvloop
where it is there.
.SH FILES
.TP
.I server.json
The key that \fBfastsocks server\fR made when it was first run, for its owner's eyes only. It is in
the folder
.IR $STATE_DIRECTORY ,
else
.IR $XDG_STATE_HOME/fastsocks ,
for root
.IR /var/lib/fastsocks ,
else
.IR ~/.local/state/fastsocks .
.SH EXIT STATUS
.TP
.B 0
Stopped on request.
.TP
.B 1
Failed while running.
.TP
.B 2
Wrong usage or configuration.
.TP
.B 3
Cannot listen.
.SH SEE ALSO
.BR curl (1),
.BR ss\-local (1),
.BR ss\-server (1)
"""


class Flag(NamedTuple):
    """What a command can be told."""

    #: ``-s``, ``--server``.
    names: tuple[str, ...]
    #: ``ADDRESS``; empty if it takes no value.
    value: str
    text: str


class Command(NamedTuple):
    """What a command says of itself."""

    name: str
    usage: str
    paragraphs: tuple[str, ...]
    #: By heading.
    flags: dict[str, list[Flag]]
    examples: tuple[str, ...]
    is_service: bool


def read_commands() -> tuple[list[Command], dict[str, list[Flag]]]:
    """Return all commands, and apart from them the flags that every service has."""
    parent = click.Context(group, info_name="fastsocks")
    found = [_read(command, parent) for command in group.commands.values()]
    services = [command for command in found if command.is_service]
    shared = {
        title: [
            flag for flag in flags if all(flag in each.flags.get(title, ()) for each in services)
        ]
        for title, flags in services[0].flags.items()
    }
    for service in services:
        for title, flags in service.flags.items():
            flags[:] = [flag for flag in flags if flag not in shared.get(title, ())]
    return found, shared


def _read(command: click.Command, parent: click.Context) -> Command:
    context = click.Context(command, info_name=command.name, parent=parent)
    return Command(
        name=command.name or "",
        usage=" ".join([context.command_path, *command.collect_usage_pieces(context)]),
        paragraphs=tuple(
            " ".join(part.split()) for part in inspect.cleandoc(command.help or "").split("\n\n")
        ),
        flags={
            title: [_read_flag(option) for option in options]
            for title, options in layout.sections(command).items()
        },
        examples=layout.EXAMPLES[command.name or ""],
        is_service=isinstance(command, layout.Service),
    )


def _read_flag(option: click.Option) -> Flag:
    choices = isinstance(option.type, click.Choice) and "|".join(option.type.choices)
    value = "" if option.is_flag else option.metavar or choices or ""
    return Flag(tuple(option.opts), value, " ".join((option.help or "").split()))


# The page


def page() -> str:
    """Return the page below its introduction."""
    found, shared = read_commands()
    return "\n".join([*_page_commands(found), *_page_shared(shared)])


def _page_commands(commands: list[Command]) -> Iterator[str]:
    for command in commands:
        yield from ("", f"## fastsocks {command.name}", "", "```text", command.usage, "```", "")
        for paragraph in command.paragraphs:
            yield from (_with_code(paragraph), "")
        if command.is_service:
            yield from ("Its own flags, beside those of [every service](#every-service):", "")
        yield from _page_flags(command.flags)
        yield "<!-- not run: the examples of its help, with files and hosts of the reader -->"
        yield from ("```sh", *command.examples, "```")


def _page_shared(flags: dict[str, list[Flag]]) -> Iterator[str]:
    yield from ("", "## Every service", "")
    yield from ("These flags `fastsocks server`, `local`, `proxy` and `tunnel` have.", "")
    yield from _page_flags(flags)


def _page_flags(sections: dict[str, list[Flag]]) -> Iterator[str]:
    for title, flags in sections.items():
        if flags and title != "Options":
            yield from (f"**{title}**", "")
        for flag in flags:
            *others, last = flag.names
            names = ", ".join(f"`{name}`" for name in [*others, f"{last} {flag.value}".rstrip()])
            yield f"- {names}: {_with_code(flag.text)}"
        if flags:
            yield ""


def _with_code(text: str) -> str:
    """Mark flags, variables and URLs as code, beside what `text` marks itself."""
    parts = text.split("`")
    code = r"(?<![\w-])(?:--?[a-zA-Z][\w-]*|FASTSOCKS_\w+|\w+://[\w\[\]:@.]*(?<![.,]))(?:\.\.\.)?"
    parts[::2] = [re.sub(code, lambda found: f"`{found[0]}`", part) for part in parts[::2]]
    return "`".join(parts)


# The man page


def man_page() -> str:
    """Return the man page, in the macros of man(7)."""
    found, shared = read_commands()
    return _MAN_HEAD + "\n".join([*_man_commands(found, shared), *_man_examples(found), _MAN_TAIL])


def _man_commands(commands: list[Command], shared: dict[str, list[Flag]]) -> Iterator[str]:
    yield ".SH SYNOPSIS"
    for command in commands:
        _, name, *rest = command.usage.split()
        yield from (f".SY fastsocks\\ {name}", _escaped(" ".join(rest)), ".YS")
    yield ".SH DESCRIPTION"
    yield _escaped(inspect.cleandoc(group.help or "").split("\n\n", maxsplit=1)[0])
    yield ".SH COMMANDS"
    for command in commands:
        yield f".SS {command.name}"
        for number, paragraph in enumerate(command.paragraphs):
            yield from ([".PP"] if number else [])
            yield _with_bold(paragraph)
        yield from _man_flags(command.flags)
    yield ".SH FLAGS OF EVERY SERVICE"
    yield from _man_flags(shared)


def _man_flags(sections: dict[str, list[Flag]]) -> Iterator[str]:
    for title, flags in sections.items():
        if flags and title != "Options":
            yield f".PP\n.B {_escaped(title)}"
        for flag in flags:
            names = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in flag.names)
            value = f" \\fI{_escaped(flag.value)}\\fR" if flag.value else ""
            yield from (".TP", names + value, _with_bold(flag.text))


def _man_examples(commands: list[Command]) -> Iterator[str]:
    yield from (".SH EXAMPLES", ".EX")
    for command in commands:
        yield from map(_escaped, command.examples)
    yield ".EE"


def _with_bold(text: str) -> str:
    parts = _escaped(text).split("`")
    return "".join(f"\\fB{part}\\fR" if index % 2 else part for index, part in enumerate(parts))


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def main() -> int:
    """Write both, or compare them; return the exit code."""
    introduction, _, _ = PAGE.read_text(encoding="utf-8").partition(MARKER)
    outdated = 0
    for path, text in ((PAGE, introduction + MARKER + page()), (MAN_PAGE, man_page())):
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            print(f"{path.relative_to(ROOT)}: run scripts/command_reference.py")
            outdated = 1
    return outdated


if __name__ == "__main__":
    sys.exit(main())
