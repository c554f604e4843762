"""A realm of MIT Kerberos: its KDC on loopback, keytabs and tickets, all in one folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Self

import pytest

from .deadline import DEADLINE
from .listener import free_port
from .process import Process
from .services import find_program

REALM = "FASTSOCKS.TEST"

_CONFIGURATION = """\
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
    default_ccache_name = FILE:{folder}/tickets
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
    }}
"""

_KDC = """\
[kdcdefaults]
    kdc_listen = ""
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {realm} = {{
        database_name = {folder}/principals
        key_stash_file = {folder}/stash
        max_life = 1h
        supported_enctypes = aes256-cts:normal
    }}
[logging]
    kdc = STDERR
"""


class Realm:
    """The realm ``FASTSOCKS.TEST``, whose KDC runs until :meth:`stop`.

    :param folder: an empty one, which is this object's.
    """

    def __init__(self, folder: Path) -> None:
        for program in ("kdb5_util", "kadmin.local", "krb5kdc", "kinit"):
            find_program(program)
        #: Of all files.
        self.folder = folder
        port = free_port()
        values = {"realm": REALM, "folder": folder, "port": port}
        (folder / "krb5.conf").write_text(_CONFIGURATION.format_map(values), encoding="utf-8")
        (folder / "kdc.conf").write_text(_KDC.format_map(values), encoding="utf-8")
        #: For clients and services, besides the rest of an environment.
        self.variables = {
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5CCNAME": f"FILE:{folder}/tickets",
            "KRB5RCACHENAME": f"file2:{folder}/replays",
        }
        self._environment = {
            **os.environ,
            **self.variables,
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
        }
        self._run("kdb5_util", "create", "-s", "-r", REALM, "-P", "the master key")
        self._kdc = Process(
            "krb5kdc", [find_program("krb5kdc"), "-n"], environment=self._environment
        )
        try:
            self._kdc.wait_for_line("commencing operation")
        except BaseException:
            self._kdc.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def administer(self, request: str) -> None:
        """Do what kadmin would."""
        self._run("kadmin.local", "-q", request)

    def add(self, principal: str, *options: str) -> None:
        """Add a principal with a random key."""
        self.administer(f"addprinc {' '.join(options)} -randkey {principal}")

    def keytab(self, name: str, *principals: str) -> Path:
        """Write the keys of `principals` to a file of that name, and change none of them."""
        path = self.folder / name
        self.administer(f"ktadd -k {path} -norandkey {' '.join(principals)}")
        return path

    def log_in(self, principal: str) -> None:
        """Get the ticket that clients use from now on."""
        keytab = self.keytab("login.keytab", principal)
        self._run("kinit", "-k", "-t", str(keytab), principal)
        keytab.unlink()

    def stop(self) -> None:
        """End the KDC."""
        self._kdc.stop()

    def _run(self, *command: str) -> None:
        result = subprocess.run(
            [find_program(command[0]), *command[1:]],
            capture_output=True,
            text=True,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            timeout=DEADLINE,
            check=False,
        )
        # kadmin.local ends with 0 whatever becomes of its command.
        refused = command[0] == "kadmin.local" and ": " in result.stderr.replace("WARNING: ", "")
        if result.returncode or refused:
            pytest.fail(f"{' '.join(command)}: {result.stderr}", pytrace=False)
