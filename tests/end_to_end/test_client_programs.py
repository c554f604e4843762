"""Programs that people use reach what is behind the proxy, in each protocol they speak."""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.entrances import Entrance
from harness.deadline import DEADLINE
from harness.pattern import pattern
from harness.services import (
    Implementation,
    Service,
    find_program,
    start_proxy,
    wait_until_listening,
)
from harness.targets import ServingTarget, echo, http_page

_DATA = pattern(100_000)


@pytest.mark.parametrize("protocol", ["4", "5", "connect"])
def test_netcat(entrance: Entrance, protocol: str) -> None:
    program = find_program("nc.openbsd")
    with ServingTarget(echo) as target:
        host, port = target.address
        done = subprocess.run(
            [program, "-N", "-X", protocol, "-x", str(entrance.address), host, str(port)],
            input=_DATA,
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == _DATA


@pytest.fixture(scope="module")
def ssh_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key for the host and one for the user."""
    folder = tmp_path_factory.mktemp("ssh")
    program = find_program("ssh-keygen")
    for name in ("host", "user"):
        command = [program, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True, timeout=DEADLINE)
    return folder


@pytest.fixture(scope="module")
def sshd(ssh_keys: Path) -> Iterator[Service]:
    """The daemon of OpenSSH, which lets the user of this process in by the key."""
    program = find_program("sshd")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # the one place it locks itself into
    settings = [
        "ListenAddress 127.0.0.1",
        f"HostKey {ssh_keys / 'host'}",
        f"AuthorizedKeysFile {ssh_keys / 'user.pub'}",
        "StrictModes no",  # the folder of a test lies below one that all may write
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "PidFile none",
    ]
    # Newer ones are several programs, which know each other by where the package puts them.
    parts = Path(program).resolve().parents[1] / "lib" / "openssh"
    for option, part in (("SshdSessionPath", "sshd-session"), ("SshdAuthPath", "sshd-auth")):
        if (parts / part).exists():
            settings.append(f"{option} {parts / part}")
    file = ssh_keys / "sshd_config"
    file.write_text("\n".join([*settings, ""]), encoding="utf-8")
    with wait_until_listening(
        "sshd", lambda port: [program, "-D", "-e", "-f", str(file), "-p", str(port)]
    ) as service:
        yield service


@pytest.mark.parametrize("protocol", ["4", "5", "connect"])
def test_ssh(proxy: Entrance, sshd: Service, ssh_keys: Path, protocol: str) -> None:
    program = find_program("ssh")
    netcat = [find_program("nc.openbsd"), "-X", protocol, "-x", str(proxy.address), "%h", "%p"]
    host_key = (ssh_keys / "host.pub").read_text(encoding="ascii")
    known_hosts = ssh_keys / "known_hosts"
    known_hosts.write_text(f"sshd {host_key}", encoding="ascii")
    text = f"these words came by -X {protocol}"
    done = subprocess.run(
        [
            *(program, "-F", "none", "-i", str(ssh_keys / "user"), "-p", str(sshd.address.port)),
            *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR"),
            *("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known_hosts}"),
            *("-o", "HostKeyAlias=sshd", "-o", f"ProxyCommand={shlex.join(netcat)}"),
            *("-l", pwd.getpwuid(os.geteuid()).pw_name, sshd.address.host),
            shlex.join(["echo", text]),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{text}\n"), f"{done.stderr}{sshd.process.output}"


@pytest.mark.parametrize("protocol", ["socks4", "socks5", "http"])
def test_proxychains(entrance: Entrance, protocol: str, tmp_path: Path) -> None:
    programs = [find_program("proxychains4"), find_program("curl")]
    host, port = entrance.address
    file = tmp_path / "proxychains.conf"
    file.write_text(f"strict_chain\n[ProxyList]\n{protocol} {host} {port}\n", encoding="utf-8")
    with ServingTarget(http_page(_DATA)) as target:
        done = subprocess.run(
            [programs[0], "-q", "-f", str(file), programs[1], "-sS", f"http://{target.address}/"],
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == _DATA


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["socks4", "socks5", "http"])
def test_chromium(implementation: Implementation, scheme: str, tmp_path: Path) -> None:
    program = find_program("chromium")
    text = "this page came through the proxy"
    with (
        ServingTarget(http_page(f"<html><body>{text}</body></html>".encode())) as target,
        start_proxy("--access-log", "-", implementation=implementation) as proxy,
    ):
        done = subprocess.run(
            [
                program,
                *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update"),
                *("--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"),
                f"--proxy-server={scheme}://{proxy.address}",
                # Without it Chromium goes straight to loopback.
                "--proxy-bypass-list=<-loopback>",
                *("--dump-dom", f"http://{target.address}/"),
            ],
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
        assert text in done.stdout.decode(), done.stderr
        proxy.process.wait_for_line(f" -> {target.address} .*: finished")
