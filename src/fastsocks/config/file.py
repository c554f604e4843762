"""What a configuration file says to one service."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastsocks.errors import ConfigError
from fastsocks.request import HTTP, SOCKS4, SOCKS5

from .document import Document, read_document
from .keys import ALIASES, KEYS, Key, Side
from .option import Place, Use
from .settings import Layer, Setting, nearest, read_setting, shown
from .sip008 import deciding_key, is_export

#: A password that stands in the environment, as shadowsocks-rust writes it.
_VARIABLE = re.compile(r"\$\{(?P<name>[^{}]+)\}")

#: Most seconds that ``timeout`` of a file gives a handshake. To shadowsocks-libev the key is
#: also how long a connection may be idle, and so files have a day in it (Debian's does), for
#: which an unfinished handshake must not be kept.
LONGEST_TIMEOUT = 300.0

#: Most names that a warning repeats.
_MOST_TOLD = 12

#: Protocols of an entry of ``locals`` in shadowsocks-rust that we have, with what they are here.
TUNNEL = "tunnel"
_PROTOCOLS = {"socks": (SOCKS5, SOCKS4), "http": (HTTP,)}
_OTHER_PROTOCOLS = ("redir", "dns", "fake-dns", "tun")


@dataclass(frozen=True)
class Entry:
    """An entry of ``servers`` or ``locals``."""

    #: ``servers[1]``
    name: str
    settings: Layer


@dataclass(frozen=True)
class FileSettings:
    """What a file says to one service."""

    #: Of the file.
    name: str
    top: Layer
    #: The entries that are not disabled; None where the file has no such key.
    servers: tuple[Entry, ...] | None
    locals: tuple[Entry, ...] | None
    warnings: tuple[str, ...]


def read_file(path: str | os.PathLike[str], side: Side, environ: Mapping[str, str]) -> FileSettings:
    """Read a configuration file of shadowsocks-libev, shadowsocks-rust or fastsocks.

    :param path: JSON, JSON5 or TOML, 16 MiB at most.
    :param environ: where passwords of the form ``${NAME}`` stand.
    :raises ConfigError: it cannot be read, is malformed, or has a key that is unknown, refused or
        of a wrong value; names the file and the key or the line.
    """
    return _Reader(read_document(path), side, environ).read()


class _UnsupportedError(ConfigError):
    """What is asked for is known, and not had here."""


class _Reader:
    def __init__(self, document: Document, side: Side, environ: Mapping[str, str]) -> None:
        self._document = document
        self._side = side
        self._environ = environ
        self._warnings: list[str] = []
        self._has_secret = False
        #: Whether a provider wrote it, for customers of many programs.
        self._export = side in {Side.LOCAL, Side.TUNNEL} and is_export(document.content)
        self._unknown: dict[str, None] = {}

    def read(self) -> FileSettings:
        content = self._document.content
        top = self._settings(content, Place.TOP, "")
        servers = self._entries(content.get("servers", content.get("shadowsocks")), Place.SERVERS)
        listeners = self._entries(content.get("locals"), Place.LOCALS)
        if self._has_secret and self._document.open_to_others:
            name = self._document.name
            self._warnings.append(
                f"{name}: it holds a secret, and every user of this machine can read it: "
                f"chmod o-r {name}"
            )
        if self._unknown:
            told = list(self._unknown)[:_MOST_TOLD]
            if len(self._unknown) > len(told):
                told.append(f"and {len(self._unknown) - len(told)} more")
            self._warnings.append(
                f"{self._document.name}: ignored, as a list of servers may have more (SIP008): "
                + ", ".join(told)
            )
        return FileSettings(self._document.name, top, servers, listeners, tuple(self._warnings))

    def _entries(self, value: object, place: Place) -> tuple[Entry, ...] | None:
        kind = "servers" if place is Place.SERVERS else "locals"
        meaning = KEYS[Place.TOP][kind].meaning(self._side)
        if value is None or meaning.use is not Use.OPTION:
            return None
        if not isinstance(value, list):
            raise self._error(kind, "it has to be a list of objects")
        entries: list[Entry] = []
        refusals: list[_UnsupportedError] = []
        for number, content in enumerate(value):
            name = f"{kind}[{number}]"
            if not isinstance(content, dict):
                raise self._error(name, "it has to be an object")
            disabled = KEYS[place]["disabled"]
            if content.get("disabled") is not None and (
                read_setting(disabled, content["disabled"], self._where(f"{name}.disabled")).value
            ):
                continue
            try:
                settings = self._settings(content, place, f"{name}.")
                if self._export and "method" in settings:
                    self._check_method(settings["method"])
            except _UnsupportedError as error:
                # It lists what the programs of some customers have.
                if not self._export or place is not Place.SERVERS:
                    raise
                refusals.append(error)
            else:
                entries.append(Entry(name, settings))
        if refusals and not entries:
            raise refusals[0]
        self._warnings += [f"{error}; this server is left out" for error in refusals]
        return tuple(entries)

    def _check_method(self, setting: Setting) -> None:
        from fastsocks.shadowsocks import lookup

        try:
            lookup(setting.value)
        except ConfigError as error:
            raise _UnsupportedError(f"{setting.source}: {error}") from None

    def _settings(self, content: dict[str, object], place: Place, prefix: str) -> Layer:
        known = KEYS[place]
        sides = self._sides(content, place)
        settings: dict[str, Setting] = {}
        seen: dict[str, str] = {}
        of_export = self._export and place is not Place.LOCALS
        if of_export and place is Place.SERVERS and (name := deciding_key(content)):
            raise self._unsupported(
                f"{prefix}{shown(name)}",
                "a server that is reached by more than TCP and UDP is not supported",
            )
        for given, value in content.items():
            if given.startswith("_"):
                continue
            name = given if given in known else ALIASES.get(given, given)
            path = f"{prefix}{shown(given)}"
            if of_export and (name not in known or name in seen):
                self._unknown[shown(given)] = None
                continue
            if name not in known:
                near = nearest(given, [*known, *_aliases_of(known)])
                raise self._error(path, f"there is no such key here; the nearest is {near}")
            if name in seen:
                raise self._error(path, f"the same is given by {seen[name]}; remove one")
            seen[name] = given
            if value is not None:
                self._read(known[name], value, path, settings, sides)
        return settings

    def _sides(self, content: Mapping[str, object], place: Place) -> tuple[Side, ...]:
        """Return whose the keys of a part are; what the first does not use is the next one's."""
        if content.get("protocol") != TUNNEL or self._side is Side.SERVER:
            return (self._side,)
        # The top level is that of other listeners, too.
        return (Side.TUNNEL,) if place is Place.LOCALS else (self._side, Side.TUNNEL)

    def _read(
        self,
        key: Key,
        value: object,
        path: str,
        settings: dict[str, Setting],
        sides: tuple[Side, ...],
    ) -> None:
        meanings = [key.meaning(side) for side in sides]
        meaning = next((one for one in meanings if one.use is Use.OPTION), meanings[0])
        if key.name == "protocol" and self._side is not Side.SERVER:
            setting = read_setting(key, value, self._where(path))
            self._read_protocol(setting, path, settings)
            return
        if meaning.use is Use.REFUSED and not _is_off(key, value):
            raise self._unsupported(path, meaning.text)
        if meaning.use is Use.WARNING and not _is_off(key, value):
            self._warn(path, meaning.text)
        if meaning.use is not Use.OPTION or key.name in {"servers", "locals", "disabled"}:
            return
        if key.secret:
            value = self._expand(value, path)
        setting = read_setting(key, value, self._where(path))
        if key.name in {"password_file", "accounts_file"} and setting.value:
            file = str(self._document.folder / setting.value)
            setting = Setting(file, setting.source)
        elif key.name == "acl":
            # As its peers have it, from where the process was started; or beside this file.
            beside = self._document.folder / setting.value
            if beside.exists():
                setting = Setting(str(beside), setting.source)
        elif key.name == "timeout" and setting.value > LONGEST_TIMEOUT:
            self._warn(
                path,
                f"a handshake gets {LONGEST_TIMEOUT:g} s and no more; how long an idle connection "
                "lasts is tcp_idle_timeout",
            )
            setting = Setting(LONGEST_TIMEOUT, setting.source)
        settings[key.name] = setting

    def _expand(self, value: object, path: str) -> object:
        """Put what the environment has in the place of each ``${NAME}``."""
        if isinstance(value, dict):
            return {name: self._expand(item, path) for name, item in value.items()}
        if isinstance(value, list):
            return [self._expand(item, path) for item in value]
        if not isinstance(value, str):
            return value
        found = _VARIABLE.fullmatch(value)
        if found is None:
            self._has_secret = self._has_secret or (
                bool(value) and not path.endswith("password_file")
            )
            return value
        variable = found["name"]
        if variable not in self._environ:
            raise self._error(path, f"the environment has no variable {shown(variable)}")
        return self._environ[variable]

    def _read_protocol(self, setting: Setting, path: str, settings: dict[str, Setting]) -> None:
        protocol = setting.value
        if protocol == TUNNEL:
            settings["protocol"] = setting
            return
        if protocol in _PROTOCOLS:
            if self._side is not Side.TUNNEL:
                settings.setdefault("protocols", Setting(_PROTOCOLS[protocol], setting.source))
            elif path.startswith("locals"):
                raise self._error(
                    path, f"{protocol} is for `fastsocks local`, which runs tunnels of its file too"
                )
            return
        if protocol in _OTHER_PROTOCOLS:
            raise self._error(
                path,
                f"not supported yet: {protocol}; remove this listener or disable it, and keep "
                "sslocal for it",
            )
        raise self._error(path, f"it has to be {', '.join(_PROTOCOLS)} or {TUNNEL}")

    def _where(self, path: str) -> str:
        return f"{self._document.name}: {path}"

    def _error(self, path: str, text: str) -> ConfigError:
        return ConfigError(f"{self._where(path)}: {text}")

    def _unsupported(self, path: str, text: str) -> ConfigError:
        return _UnsupportedError(f"{self._where(path)}: {text}")

    def _warn(self, path: str, text: str) -> None:
        self._warnings.append(f"{self._where(path)}: {text}")


def _aliases_of(known: Mapping[str, Key]) -> list[str]:
    return [alias for alias, name in ALIASES.items() if name in known]


def _is_off(key: Key, value: object) -> bool:
    """Tell whether a value asks for nothing."""
    return value in (False, 0, "", [], {}) or (key.name == "dns" and value == "system")
