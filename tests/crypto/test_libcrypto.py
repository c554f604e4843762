"""How the primitives live with libcrypto and with others who use it in one process."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import fastsocks
from fastsocks.errors import MethodError, TagError
from fastsocks.shadowsocks.methods import METHODS, Method
from harness.deadline import DEADLINE

#: A configuration under which libcrypto's default context has no algorithm at all.
EMPTY_CONFIGURATION = """\
openssl_conf = init
[init]
providers = providers
[providers]
null = null
[null]
activate = 1
"""

USE_EVERYTHING = """
from fastsocks.crypto import _primitives as primitives
sealed = primitives.Aead("XChaCha20-Poly1305", bytes(32)).seal(bytes(24), b"text")
print(sealed.hex(), primitives.hkdf_sha1(b"k", b"s", b"i", 8).hex())
"""

# From 3.15 on the module itself asks for a digest.
DIGEST_BY_DEFAULT_CONTEXT = """
try:
    import _hashlib
    print(_hashlib.new("sha256", b"").hexdigest())
except (ImportError, ValueError) as error:
    print(error)
"""


def run(source: str, **environment: str) -> str:
    """Run `source` in a fresh interpreter and return what it prints."""
    search = os.pathsep.join((str(Path(fastsocks.__path__[0]).parent), *sys.path))
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": search, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    assert not done.returncode, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def extension(twin_primitives: tuple[ModuleType, ModuleType]) -> ModuleType:
    return twin_primitives[0]


@pytest.fixture
def configuration(tmp_path: Path) -> str:
    path = tmp_path / "openssl.cnf"
    path.write_text(EMPTY_CONFIGURATION)
    return str(path)


def test_version(primitives: ModuleType) -> None:
    assert re.fullmatch(r"OpenSSL \d+\.\d+\.\d+.*\d{4}.*", primitives.libcrypto_version())


@pytest.mark.parametrize("method", [m for m in METHODS.values() if m.cipher])
def test_supports_every_method(primitives: ModuleType, method: Method) -> None:
    assert primitives.supports(method.cipher)
    primitives.require(method.cipher)


def test_supports_no_unknown_cipher(primitives: ModuleType) -> None:
    assert not primitives.supports("DES-CFB")
    with pytest.raises(MethodError, match="DES-CFB"):
        primitives.require("DES-CFB")


@pytest.mark.usefixtures("extension")
def test_configuration_of_the_system_is_not_read(configuration: str) -> None:
    assert run(USE_EVERYTHING, OPENSSL_CONF=configuration) == run(USE_EVERYTHING)


@pytest.mark.usefixtures("extension")
def test_others_still_get_their_configuration(configuration: str) -> None:
    without = run(DIGEST_BY_DEFAULT_CONTEXT, OPENSSL_CONF=configuration)
    source = USE_EVERYTHING + DIGEST_BY_DEFAULT_CONTEXT
    assert run(source, OPENSSL_CONF=configuration).endswith(without)


def peek_error(extension: ModuleType) -> Callable[[], int]:
    try:
        peek = ctypes.CDLL(extension.__file__).ERR_peek_error
    except AttributeError:
        pytest.skip("libcrypto is linked statically: nobody shares its error queue")
    peek.restype = ctypes.c_ulong
    return peek


def test_failures_leave_no_error_behind(extension: ModuleType) -> None:
    peek = peek_error(extension)
    assert not peek()
    for cipher, key_size, nonce_size in (
        ("AES-128-GCM", 16, 12),
        ("ChaCha20-Poly1305", 32, 12),
        ("XChaCha20-Poly1305", 32, 24),
    ):
        with pytest.raises(TagError):
            extension.Aead(cipher, bytes(key_size)).open(bytes(nonce_size), bytes(20))
        assert not peek()


WITHOUT_LEGACY = """
import ctypes
from fastsocks.crypto import _primitives as primitives
from fastsocks.errors import MethodError
from fastsocks.shadowsocks.keys import client_key
assert not primitives.supports("RC4")
for call in (
    lambda: primitives.StreamCipher("RC4", bytes(16), b"", True),
    lambda: client_key("rc4-md5", "password"),
):
    try:
        call()
    except MethodError as error:
        print(error)
peek = ctypes.CDLL(primitives.__file__).ERR_peek_error
peek.restype = ctypes.c_ulong
print(peek(), len(primitives.Aead("AES-128-GCM", bytes(16)).seal(bytes(12), b"")))
"""


def test_missing_rc4_names_the_cure(extension: ModuleType, tmp_path: Path) -> None:
    peek_error(extension)  # A static libcrypto holds the legacy provider itself.
    source = WITHOUT_LEGACY
    lines = run(source, OPENSSL_MODULES=str(tmp_path), FASTSOCKS_IMPL="cython").splitlines()
    assert len(lines) == 3
    for line in lines[:2]:
        assert "openssl-provider-legacy" in line
    assert lines[2] == "0 16"


def _expect(error: type[Exception], call: Callable[[], object]) -> None:
    with pytest.raises(error):
        call()


LEAK_CASES: dict[str, Callable[[ModuleType], object]] = {
    "seal": lambda m: m.Aead("AES-128-GCM", bytes(16)).seal(bytes(12), b"text"),
    "seal extended": lambda m: m.Aead("XChaCha20-Poly1305", bytes(32)).seal(bytes(24), b"text"),
    "failed open": lambda m: _expect(
        TagError, lambda: m.Aead("AES-128-GCM", bytes(16)).open(bytes(12), bytes(20))
    ),
    "unused": lambda m: m.Aead("XChaCha20-Poly1305", bytes(32)),
    "wrong key": lambda m: _expect(ValueError, lambda: m.Aead("XChaCha20-Poly1305", bytes(31))),
    "stream": lambda m: m.StreamCipher("AES-128-CFB", bytes(16), bytes(16), True).update(b"text"),
    "wrong IV": lambda m: _expect(
        ValueError, lambda: m.StreamCipher("AES-128-CFB", bytes(16), bytes(15), True)
    ),
    "block": lambda m: m.BlockCipher(bytes(16)).decrypt(bytes(16)),
    "hkdf": lambda m: m.hkdf_sha1(bytes(16), bytes(16), b"info", 16),
}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("case", LEAK_CASES)
def test_memory_is_given_back(extension: ModuleType, case: str) -> None:
    """10,000 contexts of 300 bytes or more are 3 MB; what a run may grow by is 1 MB."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    for _ in range(2_000):
        LEAK_CASES[case](extension)
    before = resident()
    for _ in range(10_000):
        LEAK_CASES[case](extension)
    assert resident() - before < 1_000_000
