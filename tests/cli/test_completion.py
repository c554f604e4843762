"""Completion of commands and flags in shells."""

from __future__ import annotations

import subprocess

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
    ],
)
def test_words_are_completed(words: str, expected: list[str]) -> None:
    found = run(
        _FASTSOCKS_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    assert [line.removeprefix("plain,") for line in found.split()] == expected
