"""From passwords to keys."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..crypto import blake3_hash16, random_bytes, require
from ..errors import ConfigError
from .methods import Method, lookup


class User(NamedTuple):
    """A user of a 2022 server (SIP023)."""

    name: str
    #: The uPSK, as long as the method's key.
    key: bytes

    def __repr__(self) -> str:
        return f"<User {self.name!r}>"


class Users:
    """Who may use a server of the 2022 edition (SIP023), by TCP and UDP, and who may from now on.

    All codecs of a key look into :attr:`by_hash` for each connection and each session, so that what
    is changed here holds for the next one. A server that tells users apart does so for good: where
    nobody is left, nobody gets in.

    :param method: of the server.
    :param users: PSK in base64 by user name.
    :raises ConfigError: a key does not suit the method, or two users have the same; never repeats
        one.
    """

    __slots__ = ("_hashes", "_method", "by_hash")

    def __init__(self, method: Method, users: Mapping[str, str]) -> None:
        self._method = method
        #: By the 16-byte hash of the uPSK; always the same object.
        self.by_hash: dict[bytes, User] = {}
        # By name.
        self._hashes: dict[str, bytes] = {}
        self.replace(users)

    def __contains__(self, name: object) -> bool:
        return name in self._hashes

    def __iter__(self) -> Iterator[str]:
        """Their names."""
        return iter(tuple(self._hashes))

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, name: str, secret: str) -> None:
        """Let somebody in.

        :param secret: their PSK, in base64.
        :raises ConfigError: it does not suit the method, or it or the name is another user's.
        """
        if name in self:
            raise ConfigError(f"there is a user {name!r} already")
        key, user = self._read(name, secret)
        if (other := self.by_hash.get(key)) is not None:
            raise _same_key(other, user)
        self._hashes[name] = key
        self.by_hash[key] = user

    def remove(self, name: str) -> None:
        """Let somebody in no more.

        :raises ConfigError: there is no such user.
        """
        key = self._hashes.pop(name, None)
        if key is None:
            raise ConfigError(f"there is no user {name!r}")
        del self.by_hash[key]

    def replace(self, users: Mapping[str, str]) -> None:
        """Let these in from now on, and nobody else.

        :raises ConfigError: see :class:`Users`; nothing is changed then.
        """
        found: dict[bytes, User] = {}
        for name, psk in users.items():
            key, user = self._read(name, psk)
            if (other := found.setdefault(key, user)) is not user:
                raise _same_key(other, user)
        for key in self.by_hash.keys() - found.keys():
            del self.by_hash[key]
        self.by_hash.update(found)
        self._hashes = {user.name: key for key, user in found.items()}

    def _read(self, name: str, psk: str) -> tuple[bytes, User]:
        user = User(name, _psk(self._method, psk, f"user {name!r}: "))
        return blake3_hash16(user.key), user


def _same_key(one: User, other: User) -> ConfigError:
    return ConfigError(f"users {one.name!r} and {other.name!r} have the same key")


class ClientKey:
    """What a client needs of keys; made by :func:`client_key`."""

    __slots__ = ("ciphers", "identity_hashes", "identity_keys", "key", "method")

    def __init__(self, method: Method, key: bytes, identity_keys: tuple[bytes, ...] = ()) -> None:
        self.method = method
        #: The uPSK (2022) or the key made of the password, ``method.key_size`` bytes.
        self.key = key
        #: The iPSKs in order, each ``method.key_size`` bytes.
        self.identity_keys = identity_keys
        #: For each iPSK the 16-byte hash of the PSK that comes after it (SIP023).
        self.identity_hashes = tuple(
            blake3_hash16(following)
            for following in (*identity_keys[1:], key)[: len(identity_keys)]
        )
        #: Of ``_session``, once they are made.
        self.ciphers: object = None

    def __repr__(self) -> str:
        return f"<ClientKey {self.method.name}>"


class ServerKey:
    """What a server needs of keys; made by :func:`server_key`."""

    __slots__ = ("ciphers", "key", "method", "users")

    def __init__(self, method: Method, key: bytes, users: Users | None = None) -> None:
        self.method = method
        #: The PSK, with users the iPSK (2022), or the key made of the password;
        #: ``method.key_size`` bytes.
        self.key = key
        #: None where users are not told apart.
        self.users = users
        #: Of ``_session``, once they are made.
        self.ciphers: object = None

    def __repr__(self) -> str:
        return f"<ServerKey {self.method.name}>"


def client_key(method: str | Method, password: str, key: str = "") -> ClientKey:
    """Make a client's key.

    :param method: a method or its name.
    :param password: 2022: a PSK in base64, or the whole chain ``iPSK:...:uPSK`` (AES methods
        only); ignored for ``none``; otherwise any text but the empty one.
    :param key: in the place of a password the key itself, as shadowsocks-libev has it: URL-safe
        base64 of as many bytes as the method's key has, or more, of which those count. Not for
        2022 methods, whose password is the key.
    :raises MethodError: no such method, or this libcrypto lacks its cipher.
    :raises ConfigError: the password does not suit the method; never repeats it.
    """
    method = _usable(method)
    if not method.family.psk:
        return ClientKey(method, _stretched_key(method, password, key))
    *identity, last = password.split(":")
    if identity and not method.identity_headers:
        raise ConfigError(
            f"{method.name} has no identity headers (SIP023): its key is one PSK without a colon"
        )
    return ClientKey(method, _psk(method, last), tuple(_psk(method, psk) for psk in identity))


def server_key(
    method: str | Method,
    password: str,
    users: Mapping[str, str] | None = None,
    key: str = "",
) -> ServerKey:
    """Make a server's key.

    :param method: a method or its name.
    :param password: 2022: the PSK in base64, with users the iPSK; ignored for ``none``;
        otherwise any text but the empty one.
    :param users: PSK in base64 by user name; 2022 AES methods only.
    :param key: as in :func:`client_key`.
    :raises MethodError: no such method, or this libcrypto lacks its cipher.
    :raises ConfigError: the password does not suit the method, the method has no users, or two
        users have the same key; never repeats a key.
    """
    method = _usable(method)
    if users and not method.identity_headers:
        raise ConfigError(
            f"{method.name} has no users: only 2022-blake3-aes-128-gcm and "
            "2022-blake3-aes-256-gcm tell users apart (SIP023)"
        )
    if not method.family.psk:
        return ServerKey(method, _stretched_key(method, password, key))
    if ":" in password:
        raise ConfigError(f"a server's key for {method.name} is one PSK without a colon")
    known = Users(method, users) if users else None
    return ServerKey(method, _psk(method, password), known)


def password_to_key(password: bytes, size: int) -> bytes:
    """Make a key as all peers do: EVP_BytesToKey with MD5, no salt and one round.

    :param password: of any size.
    :param size: of the key in bytes.
    """
    import hashlib  # with libcrypto behind it, which keys of 2022 do without

    digest = key = b""
    while len(key) < size:
        digest = hashlib.md5(digest + password, usedforsecurity=False).digest()
        key += digest
    return key[:size]


def generate_key(method: str | Method) -> str:
    """Make a key at random, as it is written in configurations.

    :return: a PSK in base64 (2022), an empty string for ``none``, otherwise a URL-safe password
        with as much randomness as the method's key.
    :raises MethodError: no such method.
    """
    if isinstance(method, str):
        method = lookup(method)
    if method.family.psk:
        return base64.b64encode(random_bytes(method.key_size)).decode()
    import secrets

    password = secrets.token_urlsafe(method.key_size) if method.key_size else ""
    # A dash in front would read as an option on a command line.
    return generate_key(method) if password.startswith("-") else password


def _usable(method: str | Method) -> Method:
    if isinstance(method, str):
        method = lookup(method)
    if method.cipher:
        require(method.cipher)
    return method


def _stretched_key(method: Method, password: str, key: str) -> bytes:
    if not key:
        return _password_key(method, password)
    text = key.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise ConfigError("the key is not base64") from None
    if len(found) < method.key_size:
        raise ConfigError(
            f"a key for {method.name} is {method.key_size} bytes in base64, and this has "
            f"{len(found)}"
        )
    return found[: method.key_size]


def _password_key(method: Method, password: str) -> bytes:
    if not method.key_size:
        return b""
    if not password:
        raise ConfigError(f"the password is empty; {_how_to_make(method)}")
    try:
        # The command line hands on bytes that are not UTF-8 as lone surrogates (PEP 383).
        encoded = password.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # Not its cause: that holds the password.
        raise ConfigError("the password is not text that UTF-8 can write") from None
    return password_to_key(encoded, method.key_size)


def _psk(method: Method, text: str, whose: str = "") -> bytes:
    wanted = f"{whose}a key for {method.name} is {method.key_size} bytes in base64"
    padding = "" if "=" in text else "=" * (-len(text) % 4)
    try:
        key = base64.b64decode(text + padding, validate=True)
    except ValueError:
        raise ConfigError(f"{wanted}, and this is not base64; {_how_to_make(method)}") from None
    if len(key) != method.key_size:
        raise ConfigError(f"{wanted}, and this has {len(key)}; {_how_to_make(method)}")
    return key


def _how_to_make(method: Method) -> str:
    return f"make one with: fastsocks genkey {method.name}"
