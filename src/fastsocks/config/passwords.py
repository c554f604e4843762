"""Where a password comes from, and whether it suits its method."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from fastsocks.errors import ConfigError, MethodError

from .keys import PASSWORDS, Side
from .settings import Layer, Setting
from .text import has_strange_edge, read_text_file
from .url import ServerURL
from .values import Host, Hosts

#: Largest password file in bytes.
_LARGEST_FILE = 4096


class MissingPasswordError(ConfigError):
    """The method needs a password, and none was given anywhere."""


def expand_url(layer: Layer, warnings: list[str]) -> dict[str, Setting]:
    """Put what a URL says beside the other settings of its layer, which beat it.

    :param warnings: what to tell the user is added to these.
    :raises ConfigError: it cannot be read, or asks for a plugin.
    """
    expanded = dict(layer)
    url = expanded.pop("url", None)
    if url is None:
        return expanded
    try:
        read = ServerURL.parse(url.value)
        settings = read.settings()
    except ConfigError as error:
        raise ConfigError(f"{url.source}: {error}") from None
    warnings += [f"{url.source}: {text}" for text in read.left_out]
    if not layer.keys().isdisjoint(PASSWORDS):
        del settings["password"]
    settings["server"] = Hosts((Host(str(settings["server"])),), single=True)
    for name, value in settings.items():
        expanded.setdefault(name, Setting(value, url.source))
    return expanded


def password_of(layers: Sequence[Layer]) -> dict[str, Setting]:
    """Return the password or the key of the first layer that has one, read from its file.

    :return: with ``password``, with ``key``, or empty.
    :raises ConfigError: a layer has several, or the file cannot be read.
    """
    for layer in layers:
        given = [name for name in PASSWORDS if name in layer]
        if not given:
            continue
        setting = layer[given[0]]
        if len(given) > 1:
            raise ConfigError(
                f"{layer[given[1]].source}: there is {setting.source} too; give one of the two"
            )
        if given == ["password_file"]:
            return {"password": Setting(_read_file(setting), setting.source)}
        return {given[0]: setting}
    return {}


def _read_file(setting: Setting) -> str:
    try:
        data = read_text_file(setting.value, _LARGEST_FILE)
    except ConfigError as error:
        # Not its name: the password itself may have been written in its place.
        raise ConfigError(f"{setting.source}: the file cannot be read: {error}") from None
    lines = [line for line in data.splitlines() if line.strip()]
    if len(lines) > 1:
        raise ConfigError(f"{setting.source}: the file has more than one line")
    if not lines:
        raise ConfigError(f"{setting.source}: the file is empty")
    return lines[0].decode("utf-8", "surrogateescape")


def warnings_of_secrets(chosen: Layer) -> list[str]:
    """Return warnings about passwords with characters at an end that nobody sees.

    They may be meant, but more often were copied along.
    """
    warnings = []
    for name in ("password", "users", "accounts"):
        if name not in chosen:
            continue
        value = chosen[name].value
        secrets = [value] if isinstance(value, str) else value.values()
        if any(map(has_strange_edge, secrets)):
            warnings.append(
                f"{chosen[name].source}: a password begins or ends with a blank, or with a "
                "character that does not show; it counts as part of the password"
            )
    return warnings


def check_keys(side: Side, chosen: dict[str, Setting], where: str) -> None:
    """Check that password, key and users suit the method.

    The method gets the name that we know it by. A key of a 2022 method is a password in another
    alphabet, and becomes one; blanks around PSKs, which base64 has none of, are left out.

    :param where: what precedes the name of a key that is missing.
    :raises ConfigError: they do not, or something is missing.
    """
    from fastsocks.shadowsocks import client_key, lookup, server_key

    method = chosen.get("method")
    if method is None or not method.value:
        raise ConfigError(f"{where}method: none given; a good one is 2022-blake3-aes-128-gcm")
    try:
        found = lookup(method.value)
    except ConfigError as error:
        raise ConfigError(f"{method.source}: {error}") from None
    chosen["method"] = Setting(found.name, method.source)
    if found.family.psk:
        if "key" in chosen:
            key = chosen.pop("key")
            password = key.value.replace("-", "+").replace("_", "/")
            chosen["password"] = Setting(password, key.source)
        _strip_psks(chosen)
    if "key" in chosen and found.key_size:
        _check_raw_key(chosen["key"], found.key_size)
        # The rest of the check does not depend on what the password is.
        password = "key"  # noqa: S105
        source = chosen["key"].source
    else:
        password = chosen["password"].value if "password" in chosen else ""
        source = chosen["password"].source if "password" in chosen else f"{where}password"
    users = chosen.get("users")
    try:
        if side is not Side.SERVER:
            client_key(found, password)
        else:
            server_key(found, password)
            if users:
                source = users.source
                server_key(found, password, users.value)
    except MethodError as error:
        raise ConfigError(f"{method.source}: {error}") from None
    except ConfigError as error:
        missing = "password" not in chosen and "key" not in chosen
        kind = MissingPasswordError if missing else ConfigError
        raise kind(f"{source}: {error}") from None


def _strip_psks(chosen: dict[str, Setting]) -> None:
    if password := chosen.get("password"):
        chosen["password"] = Setting(password.value.strip(), password.source)
    if users := chosen.get("users"):
        keys = {name: key.strip() for name, key in users.value.items()}
        chosen["users"] = Setting(keys, users.source)


def _check_raw_key(setting: Setting, size: int) -> None:
    text = setting.value.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"{setting.source}: it is not base64") from None
    if len(key) < size:
        raise ConfigError(f"{setting.source}: {len(key)} bytes; the method's key has {size}")
