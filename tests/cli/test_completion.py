"""Completion of commands and flags in shells."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.services import environment, fastsocks_command, find_program


def run(*arguments: str, **variables: str) -> str:
    done = subprocess.run(
        fastsocks_command(*arguments),
        env=environment(None, **variables),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how(shell: str) -> None:
    text = run("completion", shell)
    assert f"_FASTSOCKS_COMPLETE={shell}_complete" in text


def test_bash_takes_it() -> None:
    script = run("completion", "bash")
    done = subprocess.run(
        [find_program("bash"), "-c", f"{script}\ncomplete -p fastsocks"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "_fastsocks_completion fastsocks" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fastsocks ser", ["server"]),
        ("fastsocks proxy --bind", ["--bind-address", "--bind-ports", "--bind-timeout"]),
        ("fastsocks local --mode tcp", ["tcp_and_udp", "tcp_only"]),
        ("fastsocks server --plug", []),
        (
            "fastsocks server -m 2022-blake3-aes",
            ["2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"],
        ),
        ("fastsocks genkey chacha20-ietf-", ["chacha20-ietf-poly1305"]),
    ],
)
def test_words_are_completed(words: str, expected: list[str]) -> None:
    found = run(
        _FASTSOCKS_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    assert sorted(line.removeprefix("plain,") for line in found.split()) == expected


def test_names_of_files_are_left_to_the_shell() -> None:
    found = run(
        _FASTSOCKS_COMPLETE="bash_complete", COMP_WORDS="fastsocks server -c x", COMP_CWORD="3"
    )
    assert found.strip() == "file,x"


_SHARE = Path(__file__).parent.parent.parent / "packaging" / "share"
_WITH_FILE = {
    "bash": """
        . {share}/bash-completion/completions/fastsocks
        COMP_WORDS=(fastsocks ser) COMP_CWORD=1
        $(complete -p fastsocks | sed 's/.*-F \\([^ ]*\\).*/\\1/') fastsocks
        echo "${{COMPREPLY[@]}}"
    """,
    # Outside of its editor zsh completes nothing: what would be called is replaced.
    "zsh": """
        fpath=({share}/zsh/site-functions $fpath)
        autoload -Uz compinit && compinit -D
        compadd() {{ }}
        _describe() {{ print -l ${{(P)2}} ${{(P)3}} }}
        words=(fastsocks ser) CURRENT=2
        autoload -Uz $_comps[fastsocks] && $_comps[fastsocks]
    """,
    "fish": """
        source {share}/fish/vendor_completions.d/fastsocks.fish
        complete -C 'fastsocks ser'
    """,
}


@pytest.mark.parametrize("shell", _WITH_FILE)
def test_a_shell_takes_the_file_that_is_installed(shell: str, tmp_path: Path) -> None:
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is missing")
    command = tmp_path / "fastsocks"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(fastsocks_command())} "$@"\n')
    command.chmod(0o755)
    done = subprocess.run(
        [program, "-c", _WITH_FILE[shell].format(share=_SHARE)],
        env=environment(None, PATH=f"{tmp_path}:{os.environ['PATH']}", HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "server" in done.stdout
