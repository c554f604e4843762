"""What README.md and the tutorial tell readers to run is run.

Every fenced block of them is, one after the other as by a reader, unless a comment in front of it
says why not: ``<!-- not run: REASON -->``. What depends on the reader is filled in: addresses, the
URL that their server has printed, the page that they fetch.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.deadline import DEADLINE
from harness.listener import free_port
from harness.process import Process
from harness.services import environment, fastsocks_command, find_program
from harness.shadowsocks import generate_key
from harness.targets import ServingTarget, http_page

ROOT = Path(__file__).parent.parent
DOCUMENTS = ["README.md", *(str(p.relative_to(ROOT)) for p in (ROOT / "docs/tutorial").glob("*"))]
METHOD = "2022-blake3-aes-128-gcm"
PAGE = b"the page that a reader fetches"

_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_SERVICES = ("server", "local", "proxy")


class Block(NamedTuple):
    """A fenced block."""

    language: str
    text: str
    #: Why it is not run; empty if it is.
    reason: str


def blocks(document: str) -> list[Block]:
    text = (ROOT / document).read_text("utf-8")
    found = [
        Block(match["language"], match["text"], match["reason"] or "")
        for match in _BLOCK.finditer(text)
    ]
    assert len(found) * 2 == len(re.findall(r"^ *(?:```|~~~)", text, re.MULTILINE)), document
    return found


class Reader:
    """Does what a document says.

    :param folder: their home.
    """

    def __init__(self, folder: Path, page: ServingTarget) -> None:
        self._services: dict[str, Process] = {}
        #: Of the server that runs.
        self._server_flags: list[str] = []
        server, local = free_port(), free_port()
        file = folder / "libev.json"
        file.write_text(json.dumps({"method": METHOD, "password": generate_key(METHOD)}))
        file.chmod(0o600)
        self._page = page.address
        self._filled_in = {
            "198.51.100.7": "127.0.0.1",
            "127.0.0.1:1080": f"127.0.0.1:{local}",
            "https://example.com/": f"http://{page.address}/",
            "/etc/shadowsocks-libev/config.json": str(file),
        }
        self._environment = environment(
            None,
            XDG_STATE_HOME=str(folder),
            HOME=str(folder),
            FASTSOCKS_SERVER_PORT=str(server),
            FASTSOCKS_LOCAL_PORT=str(local),
            FASTSOCKS_PUBLIC_ADDRESS="127.0.0.1",
            FASTSOCKS_ALLOW_PRIVATE="true",
        )

    def run(self, block: Block) -> None:
        if block.language == "python":
            text = self._fill_in(block.text).replace(
                '"example.com", 80', f'"{self._page.host}", {self._page.port}'
            )
            assert PAGE.decode() in self._output([sys.executable, "-c", text])
            return
        assert block.language == "sh", f"{block.language}: nobody knows how to run it"
        for line in block.text.splitlines():
            if words := shlex.split(self._fill_in(line), comments=True):
                self._do(words)

    def close(self) -> None:
        for process in self._services.values():
            assert process.stop() == 0, process.output

    def _do(self, words: list[str]) -> None:
        if words[0] == "fastsocks" and words[1] in _SERVICES:
            # Those of clients have one port.
            side = "server" if words[1] == "server" else "client"
            if side in self._services:
                assert self._services.pop(side).stop() == 0
            if side == "server":
                self._server_flags = words[2:]
            command = fastsocks_command(*words[1:])
            self._services[side] = Process(" ".join(words[:2]), command, self._environment)
            self._services[side].wait_for_line("listening on")
        elif words[0] == "fastsocks":
            assert self._output(fastsocks_command(*words[1:]))
        else:
            assert words[0] == "curl"
            output = self._output([find_program("curl"), "--silent", "--fail", *words[1:]])
            assert output == PAGE.decode()

    def _fill_in(self, text: str) -> str:
        for old, new in self._filled_in.items():
            text = text.replace(old, new)
        if "ss://..." in text:
            url = self._output(fastsocks_command("url", *self._server_flags)).strip()
            text = text.replace("ss://...", url)
        return text

    def _output(self, command: list[str]) -> str:
        done = subprocess.run(
            command,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with ServingTarget(http_page(PAGE)) as page:
        made = Reader(tmp_path, page)
        yield made
        made.close()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_says_works(document: str, reader: Reader) -> None:
    done = 0
    for block in blocks(document):
        if not block.reason:
            reader.run(block)
            done += 1
    assert done
