"""A password given in any way shows nowhere: output, logs, errors, list of processes."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from harness.deadline import DEADLINE
from harness.process import Process
from harness.services import environment, fastsocks_command, start_fastsocks
from harness.shadowsocks import generate_key
from harness.socks import Socks5Client, credentials, greeting, open_connection, request
from harness.targets import Target

CANARY = "canary/secret+of:28 letters="
METHOD, METHOD_2022 = "aes-128-gcm", "2022-blake3-aes-128-gcm"
#: From the examples of SIP023; a random one would give every test process other test names.
PSK = "29ub3TmJNnn3hMwNFRbGTw=="
LOGGING = ("-v", "--access-log", "--log-format")


def forms_of(secret: str) -> set[str]:
    """Return what a secret may look like in an output."""
    raw = secret.encode()
    return {
        secret,
        quote(secret, safe=""),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        raw.hex(),
        json.dumps(secret)[1:-1],
        secret[:12],
        secret[-12:],
    }


def assert_hidden(secret: str, *outputs: str) -> None:
    found = [form for form in forms_of(secret) for output in outputs if form in output]
    assert not found, outputs


class Given(NamedTuple):
    """How a secret is given to a command."""

    arguments: tuple[str, ...]
    variables: dict[str, str]


def config(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(text, "utf-8")
    file.chmod(0o600)
    return str(file)


def give(way: str, method: str, secret: str, folder: Path, server: tuple[str, int]) -> Given:
    """Give `secret` to ``local`` and ``server`` alike.

    :param server: its address.
    """
    host, port = server
    flags = ("-s", host, "-p", str(port), "-m", method)
    content = {"server": host, "server_port": port, "method": method, "password": secret}
    toml = "\n".join(f"{name} = {json.dumps(value)}" for name, value in content.items())
    raw = base64.urlsafe_b64encode(secret.encode()).decode()
    url = f"ss://{method}:{quote(secret, safe='')}@{host}:{port}"
    userinfo = base64.urlsafe_b64encode(f"{method}:{secret}".encode()).decode().rstrip("=")

    def in_json(content: object) -> tuple[str, ...]:
        return ("-c", config(folder, "c.json", json.dumps(content)))

    ways = {
        "short flag": lambda: Given((*flags, "-k", secret), {}),
        "short flag with others": lambda: Given((*flags, f"-v6k{secret}"), {}),
        "long flag": lambda: Given((*flags, f"--password={secret}"), {}),
        "key": lambda: Given((*flags, "--key", raw), {}),
        "password file": lambda: Given(
            (*flags, "--password-file", config(folder, "key", secret)), {}
        ),
        "variable": lambda: Given(flags, {"FASTSOCKS_PASSWORD": secret}),
        "JSON": lambda: Given(in_json(content), {}),
        "TOML": lambda: Given(("-c", config(folder, "c.toml", toml)), {}),
        "JSON with a variable": lambda: Given(
            in_json({**content, "password": "${SECRET}"}), {"SECRET": secret}
        ),
        "servers": lambda: Given(in_json({"servers": [content]}), {}),
        "URL": lambda: Given((f"{url}#canary",), {}),
        "base64 URL": lambda: Given((f"ss://{userinfo}@{host}:{port}",), {}),
        "URL in a variable": lambda: Given((), {"FASTSOCKS_URL": url}),
    }
    return ways[way]()


BOTH = (
    *("short flag", "short flag with others", "long flag", "key", "password file", "variable"),
    *("JSON", "TOML", "JSON with a variable", "servers"),
)
LOCAL_ONLY = ("URL", "base64 URL", "URL in a variable")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("way", [*BOTH, *LOCAL_ONLY])
def test_of_a_service_that_runs(tmp_path: Path, way: str, form: str) -> None:
    method, secret = (METHOD, CANARY)
    if way in {"JSON", "variable", "URL"}:
        method, secret = METHOD_2022, generate_key(METHOD_2022)
    # Everything that asyncio has to say, too.
    loud = {"FASTSOCKS_LOOP": "asyncio", "PYTHONASYNCIODEBUG": "1"} if form == "text" else {}
    at_server = give(
        way if way in BOTH else "short flag", method, secret, tmp_path, ("127.0.0.1", 0)
    )
    with start_fastsocks(
        *("server", *at_server.arguments, "--allow-private", *LOGGING, form),
        implementation=None,
        **at_server.variables,
        **loud,
    ) as server:
        at_local = give(way, method, secret, tmp_path, server.address)
        with (
            Target() as target,
            start_fastsocks(
                *("local", *at_local.arguments, "-l", "0", *LOGGING, form),
                implementation=None,
                **at_local.variables,
                **loud,
            ) as local,
        ):
            with open_connection(local.address, target.address) as client:
                client.send(b"x")
                with target.accept() as accepted:
                    assert accepted.recv(1) == b"x"
            with socket.create_connection(server.address, DEADLINE) as stranger:
                stranger.sendall(bytes(200))
                server.process.wait_for_line("password or method mismatch")
            for service in (server, local):
                # The access line among them.
                service.process.wait_for_line(str(target.address))
                assert_hidden(secret, command_line(service.process))
    assert_hidden(secret, server.process.output, local.process.output)


def command_line(process: Process) -> str:
    if sys.platform != "linux":
        return ""
    return Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("way", ["flag", "variable", "file"])
def test_of_accounts(tmp_path: Path, way: str, form: str) -> None:
    arguments: tuple[str, ...] = ()
    variables = {}
    if way == "flag":
        arguments = ("--user", f"alice:{CANARY}")
    elif way == "variable":
        variables["FASTSOCKS_ACCOUNTS"] = json.dumps({"alice": CANARY})
    else:
        text = json.dumps({"accounts": [{"name": "alice", "password": CANARY}]})
        arguments = ("-c", config(tmp_path, "c.json", text))
    with (
        Target() as target,
        start_fastsocks(
            "proxy", *arguments, "-l", "0", *LOGGING, form, implementation=None, **variables
        ) as proxy,
    ):
        user = (b"alice", CANARY.encode())
        with Socks5Client(proxy.address) as client:
            client.send(greeting(2) + credentials(*user))
            assert client.read(4) == b"\x05\x02\x01\x00"
            client.send(request(target.address) + b"x")
            assert target.accept().recv(1) == b"x"
        # Swapped, too long by one, and a name that is the password: what people do.
        for name, password in ((CANARY, "alice"), ("alice", CANARY + "x"), (CANARY, CANARY)):
            with Socks5Client(proxy.address) as client:
                client.send(greeting(2))
                assert client.read(2) == b"\x05\x02"
                client.send(credentials(name.encode(), password.encode()))
                assert client.read(2) != b"\x01\x00"
        proxy.process.wait_for_line("authentication")
        assert_hidden(CANARY, command_line(proxy.process))
    assert_hidden(CANARY, proxy.process.output)


@pytest.mark.parametrize("way", ["flag", "variable", "file"])
def test_of_users(tmp_path: Path, way: str) -> None:
    server_key, user_key = (generate_key(METHOD_2022) for _ in range(2))
    arguments: tuple[str, ...] = ("-m", METHOD_2022, "-k", server_key)
    variables = {}
    if way == "flag":
        arguments += ("--user", f"alice:{user_key}")
    elif way == "variable":
        variables["FASTSOCKS_USERS"] = f"alice:{user_key}"
    else:
        content = {
            "method": METHOD_2022,
            "password": server_key,
            "users": [{"name": "alice", "password": user_key}],
        }
        arguments = ("-c", config(tmp_path, "c.json", json.dumps(content)))
    with (
        Target() as target,
        start_fastsocks(
            *("server", "-s", "127.0.0.1", "-p", "0", *arguments, "--allow-private"),
            *(*LOGGING, "text"),
            implementation=None,
            **variables,
        ) as server,
    ):
        key = f"{server_key}:{user_key}"
        given = give("short flag", METHOD_2022, key, tmp_path, server.address)
        with start_fastsocks("local", *given.arguments, "-l", "0", *LOGGING, "text") as local:
            with open_connection(local.address, target.address) as client:
                client.send(b"x")
                assert target.accept().recv(1) == b"x"
            for process in (server.process, local.process):
                assert_hidden(server_key, command_line(process))
                assert_hidden(user_key, command_line(process))
    for secret in (server_key, user_key):
        assert_hidden(secret, server.process.output, local.process.output)


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        fastsocks_command(*arguments),
        env=environment(None, **variables),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


URL = f"ss://{METHOD}:{quote(CANARY, safe='')}@192.0.2.1:8388"


@pytest.mark.parametrize(
    "arguments",
    [
        # In the wrong place, or with a slip.
        (URL,),
        ("server", URL),
        ("proxy", URL),
        ("server", "-c", URL),
        ("local", URL, URL),
        ("local", URL + "@"),
        ("local", URL.replace(":8388", "")),
        ("local", URL.replace(":8388", ":838888")),
        ("local", URL.replace("ss:", "sss:")),
        ("local", URL + "?plugin=v2ray-plugin"),
        ("local", URL.replace(METHOD, METHOD_2022)),
        ("local", URL.replace(METHOD, "aes-128-gcn")),
        ("local", "-s", URL, "-m", METHOD, "-k", CANARY),
        ("local", "-b", URL, URL),
        ("local", "-l", URL),
        ("local", "--access-log", URL),
        ("local", "--log-level", URL),
        ("local", "--frobnicate", URL),
        ("local", f"--frobnicate={URL}"),
        ("local", URL, "-k", CANARY, "--key", CANARY),
        ("local", URL, "-k", CANARY, "--password-file", "nowhere"),
        ("local", URL, "--user", CANARY.replace(":", "")),
        ("local", URL, "--user", f"a:{CANARY * 20}"),
        ("server", "-m", METHOD, "--key", CANARY),
        ("server", "-m", METHOD_2022, "-k", CANARY),
        ("server", "-m", METHOD, "-k", CANARY, "--user", f"a:{CANARY}"),
        ("server", "-m", METHOD_2022, "-k", PSK, "--user", f"a:{CANARY}"),
        ("server", "-m", METHOD, "-k", CANARY, "-p", "65536"),
        ("server", "-m", METHOD, "-k", CANARY, "-s", "192.0.2.1:x"),
        ("server", "-m", METHOD, "-k", CANARY, "-a", "no-such-user", "-s", "127.0.0.1", "-p", "0"),
        ("proxy", "--user", f"a:{CANARY}", "--user", f"a:{CANARY}"),
        ("check", "local", URL.replace(":8388", "")),
        ("check", "proxy", URL),
        ("url", "-m", METHOD, "--key", CANARY),
        ("genkey", URL),
    ],
    ids=lambda arguments: " ".join(arguments).replace(quote(CANARY, safe=""), "SECRET")[:60],
)
def test_of_what_does_not_start(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert_hidden(CANARY, done.stderr, done.stdout)


@pytest.mark.parametrize("service", ["server", "local", "proxy"])
@pytest.mark.parametrize(
    "variable",
    ["PASSWORD", "KEY", "URL", "USERS", "ACCOUNTS", "SERVER", "TIMEOUT", "METHOD", "PASSWORD_FILE"],
)
def test_of_variables(service: str, variable: str) -> None:
    # Text that none of them takes, except for a password, where the method is missing then.
    done = run("check", service, **{f"FASTSOCKS_{variable}": f"{URL}?plugin=x@:{CANARY * 5}"})
    assert "Traceback" not in done.stderr
    assert_hidden(CANARY, done.stderr, done.stdout)


@pytest.mark.parametrize("way", [*BOTH, *LOCAL_ONLY])
def test_of_check(tmp_path: Path, way: str) -> None:
    given = give(way, METHOD, CANARY, tmp_path, ("192.0.2.1", 8388))
    done = run("check", "local", *given.arguments, **given.variables)
    assert done.returncode == 0, done.stderr
    assert "hidden" in done.stdout
    assert_hidden(CANARY, done.stderr, done.stdout)


def test_of_a_fault_of_ours(tmp_path: Path) -> None:
    program = (
        "from fastsocks import service\n"
        "def fail(*arguments, **options): raise RuntimeError('a fault')\n"
        "service.Local.__init__ = fail\n"
        "from fastsocks.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "local", URL],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 1
    assert "RuntimeError: a fault" in done.stderr
    assert_hidden(CANARY, done.stderr, done.stdout)
