"""What the documents tell readers to run is run.

Every fenced block of them is, one after the other as by a reader, unless a comment in front of it
says why not: ``<!-- not run: REASON -->``. What depends on the reader is filled in: addresses, the
URL that their server has printed, the page that they fetch. Configuration is read by `fastsocks
check`. Python is run by test_document_programs.py.
"""

from __future__ import annotations

import json
import re
import shlex
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import dpkt
import pytest
import trustme

from harness.deadline import DEADLINE
from harness.documents import RUN, Block, blocks
from harness.kerberos import Realm
from harness.listener import SocketAddress, free_port
from harness.process import Process
from harness.services import (
    environment,
    fastsocks_command,
    find_program,
)
from harness.shadowsocks import RequestWriter, address_header, generate_key
from harness.targets import ServingTarget, http_page, tls_page

METHOD = "2022-blake3-aes-128-gcm"
PAGE = b"the page that a reader fetches"

#: Languages of blocks that hold no commands: shown as they are, or run elsewhere.
_NOT_COMMANDS = ("text", "json", "python", "{eval-rst}")
_SERVICES = ("server", "local", "proxy", "tunnel")


class Reader:
    """Does what a document says.

    :param folder: their home, where they work.
    """

    def __init__(
        self,
        folder: Path,
        page: ServingTarget,
        secure_page: ServingTarget,
    ) -> None:
        self._services: dict[str, Process] = {}
        #: Of the server that runs.
        self._server_flags: list[str] = []
        self._folder = folder
        self._realm: Realm | None = None
        self._server_port, self._local_port = free_port(), free_port()
        self._key = generate_key(METHOD)
        file = folder / "libev.json"
        file.write_text(json.dumps({"method": METHOD, "password": self._key}))
        file.chmod(0o600)
        # What another one begins with comes after that.
        self._filled_in = {
            "198.51.100.7": "127.0.0.1",
            "127.0.0.1:1080": f"127.0.0.1:{self._local_port}",
            "8389": str(free_port()),
            "https://example.com/": f"https://{secure_page.address}/",
            "http://example.com/": f"http://{page.address}/",
            "/etc/shadowsocks-libev/config.json": str(file),
            "/etc/fastsocks.keytab": str(folder / "fastsocks.keytab"),
            "/etc/fastsocks": str(folder),
        }
        self._environment = environment(
            None,
            XDG_STATE_HOME=str(folder),
            HOME=str(folder),
            CURL_CA_BUNDLE=str(folder / "authority.pem"),
            FASTSOCKS_SERVER_PORT=str(self._server_port),
            FASTSOCKS_LOCAL_PORT=str(self._local_port),
            FASTSOCKS_PUBLIC_ADDRESS="127.0.0.1",
            FASTSOCKS_ALLOW_PRIVATE="true",
        )
        command = folder / "bin" / "fastsocks"
        command.parent.mkdir()
        # systemd-socket-activate passes nothing else on.
        path = shlex.quote(self._environment["PYTHONPATH"])
        command.write_text(
            f"#!/bin/sh\ncd {folder}\n"
            f'PYTHONPATH={path} exec {shlex.join(fastsocks_command())} "$@"\n'
        )
        command.chmod(0o755)
        self._environment["PATH"] = f"{command.parent}:{self._environment['PATH']}"
        (folder / "password").write_text("the password of a user\n")
        (folder / "list").write_text("carol:the password of another\n")

    def run(self, block: Block) -> None:
        """Do what a block says."""
        if block.language == "toml":
            self._configure(block.text)
        elif block.language == "console":
            command, _, shown = block.text.removeprefix("$ ").partition("\n")
            assert self._output(shlex.split(self._fill_in(command))) == shown
        else:
            assert block.language == "sh", f"{block.language}: nobody knows how to run it"
            for line in block.text.replace("\\\n", "").splitlines():
                if words := shlex.split(self._fill_in(line), comments=True):
                    self._do(words)

    def close(self) -> None:
        """Stop all that runs."""
        for process in self._services.values():
            assert process.stop() == 0, process.output
        if self._realm:
            self._realm.stop()

    def _configure(self, text: str) -> None:
        """Write a file, by the name in its first line, and have it checked."""
        text = re.sub(r'"\.\.\."', lambda _: f'"{generate_key(METHOD)}"', text)
        text = self._fill_in(text).replace(":KEY@", f":{quote(self._key, safe='')}@")
        for name in re.findall(r"\$\{(\w+)\}", text):
            self._environment[name] = self._key
        named = re.match(r"# ([\w.]+)\n", text)
        file = self._folder / (named[1] if named else "checked.toml")
        file.write_text(text)
        file.chmod(0o600)
        errors = []
        for service in _SERVICES:
            done = self._finish(["fastsocks", "check", service, "-c", str(file)])
            if done.returncode == 0:
                return
            errors.append(done.stderr)
        raise AssertionError(f"no service takes it: {errors}")

    def _do(self, words: list[str]) -> None:
        if "<" in words:
            place = words.index("<")
            words, standard_input = words[:place], (self._folder / words[-1]).read_text()
        else:
            standard_input = "a password of the reader's\n"
        if words[0] == "fastsocks" and words[1] in _SERVICES:
            self._serve(words)
        elif words[0] == "systemd-socket-activate":
            self._stop("client")
            command = [find_program(words[0]), *words[1:]]
            self._services["client"] = Process(words[0], command, self._environment)
            self._services["client"].wait_for_line("Listening on")
            self._fetch(
                ["-x", f"127.0.0.1:{self._local_port}", self._filled_in["http://example.com/"]]
            )
        elif words[0] == "fastsocks":
            if "relay.pcap" in words:
                self._capture(words[-1])
            output = self._output(words, standard_input)
            assert output or words[1] == "passwd"
            assert "WRONG" not in output
        elif words[0] == "kadmin":
            if self._realm is None:
                (self._folder / "realm").mkdir()
                self._realm = Realm(self._folder / "realm")
                self._environment |= self._realm.variables
            self._realm.administer(words[-1])
        else:
            assert words[0] == "curl", words
            if "client" not in self._services:
                self._serve(["fastsocks", "proxy"])
            self._fetch(words[1:])

    def _serve(self, words: list[str]) -> None:
        # Those of clients have one port.
        side = "server" if words[1] == "server" else "client"
        self._stop(side)
        if side == "server":
            flags = words[2:]
            self._server_flags = []
            for flag in ("-c", "-p"):
                if flag in flags:
                    self._server_flags += flags[flags.index(flag) :][:2]
        variables = dict(self._environment)
        if words[1] == "tunnel":
            # Of a server it would be led to, which it can do without.
            del variables["FASTSOCKS_SERVER_PORT"]
        process = Process(" ".join(words[:2]), words, variables)
        self._services[side] = process
        process.wait_for_line("listening on")

    def _stop(self, side: str) -> None:
        if side in self._services:
            assert self._services.pop(side).stop() == 0

    def _fetch(self, arguments: list[str]) -> None:
        curl = [find_program("curl"), "--silent", "--show-error", "--fail", *arguments]
        assert self._output(curl) == PAGE.decode()

    def _fill_in(self, text: str) -> str:
        for old, new in self._filled_in.items():
            text = text.replace(old, new)
        if "ss://..." in text:
            if "server" not in self._services:
                self._serve(["fastsocks", "server"])
            url = self._output(["fastsocks", "url", *self._server_flags]).strip()
            text = text.replace("ss://...", url)
        return text

    def _output(self, command: list[str], standard_input: str = "") -> str:
        done = self._finish(command, standard_input)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def _finish(
        self, command: list[str], standard_input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            input=standard_input,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def _capture(self, url: str) -> None:
        """Write what a client of the server sends to relay.pcap."""
        found = re.search(r":([^:@]+)@", url)
        assert found
        request = RequestWriter(METHOD, unquote(found[1])).request(
            address_header(SocketAddress("example.com", 443)), b"hello"
        )
        segment = dpkt.tcp.TCP(sport=40000, dport=8388, seq=1, data=request)
        packet = dpkt.ip.IP(
            src=bytes(4), dst=bytes(4), p=dpkt.ip.IP_PROTO_TCP, len=40 + len(request), data=segment
        )
        with (self._folder / "relay.pcap").open("wb") as file:
            frame = dpkt.ethernet.Ethernet(data=packet)
            dpkt.pcap.Writer(file).writepkt(bytes(frame), time.time())


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with (
        ServingTarget(http_page(PAGE)) as page,
        ServingTarget(tls_page(PAGE, context)) as secure_page,
    ):
        made = Reader(tmp_path, page, secure_page)
        yield made
        made.close()


def _is_run(block: Block) -> bool:
    return not block.reason and block.language not in _NOT_COMMANDS


@pytest.mark.parametrize("document", [each for each in RUN if any(map(_is_run, blocks(each)))])
def test_what_a_document_says_works(document: str, reader: Reader) -> None:
    for block in filter(_is_run, blocks(document)):
        reader.run(block)
