"""Options put together from flags, environment, file and defaults, in this order."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from fastsocks.errors import ConfigError

from .environment import read_environment
from .file import Entry, FileSettings, read_file
from .keys import KEYS, OPTIONS, PASSWORDS, Side
from .option import Place, Use
from .option_settings import settings_of_options, unite_target
from .options import ProxyOptions
from .passwords import check_keys, expand_url, password_of, warnings_of_secrets
from .server_entry import ServerEntry
from .service_options import Options, ProcessOptions
from .settings import Layer, Setting, read_flags
from .values import Hosts

O = TypeVar("O", bound=Options)  # noqa: E741

#: Keys that are of one server, or on local and proxy of one listener. Entries of ``servers`` or
#: ``locals`` do not take them from the top level, where they are of one more.
_OF_A_SERVER = ("server", "server_port", "users", *PASSWORDS)
_OF_A_LISTENER = ("local_address", "local_port", "target", "protocol")

#: Keys of one of several servers of local.
_OF_ENTRY = ("server", "server_port", "method")

#: Keys that are of no use without a Shadowsocks server, which a tunnel can do without.
_OF_ENCRYPTION = ("server", "server_port", "method", *PASSWORDS)

#: Services that lead to Shadowsocks servers.
_LEADING = (Side.LOCAL, Side.TUNNEL)

_EMPTY: Layer = {}


@dataclass(frozen=True)
class Configured(Generic[O]):
    """The options of one service, and where each was given."""

    #: ``servers[1]`` or ``locals[0]`` of the file; "" for its top level, or without a file.
    name: str
    options: O
    #: By the name of the option: ``--method``, ``FASTSOCKS_METHOD``,
    #: ``config.json: servers[1].method`` or ``default``.
    sources: Mapping[str, str]


@dataclass(frozen=True)
class Configuration(Generic[O]):
    """All that flags, environment and file say."""

    #: One or more.
    services: tuple[Configured[O], ...]
    process: ProcessOptions
    #: As in :class:`Configured`, for the options of the process.
    process_sources: Mapping[str, str]
    #: For the log; none repeats a secret.
    warnings: tuple[str, ...] = field(default=())


def configure(
    kind: type[O],
    flags: Mapping[str, object] | None = None,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    defaults: Mapping[str, object] | None = None,
) -> Configuration[O]:
    """Put the options of services together.

    :param kind: ServerOptions, LocalOptions, ProxyOptions or TunnelOptions.
    :param flags: values by the key of a file (``server_port``); None and empty tuples are flags
        that were not given. An ``ss://`` URL is the flag ``url``.
    :param file: what ``-c`` names.
    :param environ: by default that of the process.
    :param defaults: what holds where nothing else was given, by key.
    :return: one service, or those of the file: its servers, or its listeners, which all lead to
        its servers. Listeners whose protocol is tunnel have TunnelOptions.
    :raises ConfigError: anything is missing, malformed, unknown or not supported; names the place
        and what to write, and repeats no secret.
    """
    (side,) = (side for side, known in OPTIONS.items() if issubclass(known, kind))
    return _Reading(side, flags, file, environ, defaults).configuration()


def is_first_run(
    flags: Mapping[str, object],
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> bool:
    """Tell whether nobody has said anything about a server's method and key.

    :raises ConfigError: the environment is malformed.
    """
    layer, _ = read_environment(os.environ if environ is None else environ, Side.SERVER)
    given = {**layer, **read_flags(flags, Side.SERVER)}
    return file is None and given.keys().isdisjoint({"method", "users", *PASSWORDS})


class _Instance(NamedTuple):
    """One service of a file, or the one there is."""

    #: As in :class:`Configured`.
    name: str
    #: The same of the server that it is, or leads to.
    server: str
    side: Side
    #: What the file says of it, what counts first in front.
    layers: tuple[Layer, ...]
    #: On local and tunnel, names and layers of the servers behind that.
    further: tuple[tuple[str, Layer], ...] = ()


class _Reading:
    """One run through all places."""

    def __init__(
        self,
        side: Side,
        flags: Mapping[str, object] | None,
        file: str | os.PathLike[str] | None,
        environ: Mapping[str, str] | None,
        defaults: Mapping[str, object] | None,
    ) -> None:
        environ = os.environ if environ is None else environ
        self._side = side
        layer, self._warnings = read_environment(environ, side)
        self._flags = self._prepare(read_flags(flags or {}, side))
        self._environment = self._prepare(layer)
        self._file: FileSettings | None = None
        if file is not None:
            self._file = read_file(file, side, environ)
            self._warnings += self._file.warnings
        self._top = self._prepare(self._file.top) if self._file else _EMPTY
        self._defaults = {
            name: Setting(setting.value, "default")
            for name, setting in read_flags(defaults or {}, side).items()
        }

    def configuration(self) -> Configuration[Any]:
        services = tuple(map(self._configured, self._instances()))
        layers = (self._flags, self._environment, self._top, self._defaults)
        chosen = {
            name: setting
            for name, setting in _first_of_each(layers).items()
            if KEYS[Place.TOP][name].process
        }
        process = self._make(ProcessOptions, {n: s.value for n, s in chosen.items()}, chosen, "")
        return Configuration(
            services,
            process,
            _sources(ProcessOptions, chosen),
            tuple(dict.fromkeys(self._warnings)),
        )

    def _prepare(self, layer: Layer) -> dict[str, Setting]:
        """Take ports and URLs apart."""
        prepared = expand_url(layer, self._warnings)
        unite_target(prepared)
        self._split_port(prepared, "server", "server_port")
        if self._side is not Side.SERVER:
            self._split_port(prepared, "local_address", "local_port")
        return prepared

    def _split_port(self, layer: dict[str, Setting], name: str, port_name: str) -> None:
        if name not in layer:
            return
        setting = layer[name]
        hosts: Hosts = setting.value
        considered = hosts.hosts
        if name == "server" and self._side in _LEADING:
            considered = considered[:1]
            if len(hosts.hosts) > 1:
                self._warnings.append(f"{setting.source}: only the first of several is used")
        ports = {host.port for host in considered}
        if len(ports) > 1:
            raise ConfigError(
                f"{setting.source}: addresses with different ports; write an entry of `servers` "
                "for each"
            )
        port = ports.pop()
        if port is not None:
            layer[port_name] = Setting(port, setting.source)

    def _instances(self) -> list[_Instance]:
        servers = self._entries("servers", self._file.servers if self._file else None)
        if self._side is Side.SERVER:
            self._check_shared("server_port", len(servers))
            shared = _without(self._top, _OF_A_SERVER)
            return [_Instance(name, name, self._side, (own, shared)) for name, own in servers]
        listeners = self._entries("locals", self._file.locals if self._file else None)
        self._check_shared("local_port", len(listeners))
        server, server_keys = servers[0]
        further = tuple(servers[1:]) if self._side in _LEADING else ()
        for layer in (self._flags, self._environment):
            if further and "server" in layer:
                self._warn(f"only one server is used, that of {layer['server'].source}")
                further = ()
        shared = _without(self._top, (*_OF_A_SERVER, *_OF_A_LISTENER))
        return [
            _Instance(
                name,
                server,
                Side.TUNNEL if "protocol" in own else self._side,
                (own, server_keys, shared),
                further,
            )
            for name, own in listeners
        ]

    def _further_servers(self, instance: _Instance) -> Setting | None:
        """Return the servers behind the first one, which have keys of their own."""
        entries: list[ServerEntry] = []
        shared = instance.layers[-1]
        for name, own in instance.further:
            layers = (self._flags, self._environment, own, shared, self._defaults)
            chosen = {
                key: setting for key, setting in _first_of_each(layers).items() if key in _OF_ENTRY
            }
            where = self._where(name)
            chosen.update(password_of(layers))
            if "server" not in chosen:
                raise ConfigError(f"{where}server: its address is missing")
            check_keys(self._side, chosen, where)
            self._warnings += warnings_of_secrets(chosen)
            values = {key: setting.value for key, setting in chosen.items()}
            values["server"] = values["server"].names[0]
            entries.append(self._make(ServerEntry, values, chosen, where))
        if not entries:
            return None
        return Setting(tuple(entries), f"{self._where('')}servers")

    def _entries(
        self, kind: str, entries: Sequence[Entry] | None
    ) -> list[tuple[str, dict[str, Setting]]]:
        """Return what is said of each server or each listener alone, the top level first."""
        keys = _OF_A_SERVER if kind == "servers" else _OF_A_LISTENER
        own = {name: setting for name, setting in self._top.items() if name in keys}
        found = [("", own)] if entries is None or own.keys() - {"protocol"} else []
        found += [(entry.name, self._prepare(entry.settings)) for entry in entries or ()]
        if not found:
            raise ConfigError(f"{self._where('')}{kind}: it has no entry that is not disabled")
        return found

    def _check_shared(self, port: str, count: int) -> None:
        for layer in (self._flags, self._environment):
            if count > 1 and port in layer and layer[port].value:
                raise ConfigError(
                    f"{layer[port].source}: the file has {count} that listen, which cannot have "
                    "one port; change the ports there"
                )

    def _configured(self, instance: _Instance) -> Configured[Any]:
        all_layers = (self._flags, self._environment, *instance.layers, self._defaults)
        side, where = instance.side, self._where(instance.server)
        chosen = {
            key: setting
            for key, setting in _first_of_each(all_layers).items()
            if not KEYS[Place.TOP][key].process
        }
        if side is Side.TUNNEL:
            chosen = self._of_tunnel(chosen, instance.name)
        if side is not Side.PROXY:
            for key in PASSWORDS:
                chosen.pop(key, None)
            chosen.update(password_of(all_layers))
            encrypted = side is not Side.TUNNEL or not chosen.keys().isdisjoint(_OF_ENCRYPTION)
            if encrypted and side is not Side.SERVER and "server" not in chosen:
                raise ConfigError(
                    f"{where}server: its address is missing; write its ss:// URL, or -s ADDRESS"
                )
            if encrypted:
                check_keys(side, chosen, where)
        if side is Side.TUNNEL and "target" not in chosen:
            raise ConfigError(
                f"{self._where(instance.name)}target: it is missing; write HOST:PORT, or -L "
                "HOST:PORT"
            )
        self._warnings += warnings_of_secrets(chosen)
        settings = settings_of_options(chosen, side, self._warnings)
        if further := self._further_servers(instance):
            settings["servers"] = further
        public = _first_of_each(all_layers).get("public_address")
        if public is not None and side not in _LEADING:
            # Of the process, whose services do not lead their clients there.
            settings["public_address"] = public
        values = {option: setting.value for option, setting in settings.items()}
        options = self._make(OPTIONS[side], values, settings, where)
        self._advise(options)
        return Configured(instance.name, options, _sources(type(options), settings))

    def _of_tunnel(self, chosen: Layer, name: str) -> dict[str, Setting]:
        """Return what a tunnel takes of what is said, perhaps to other listeners too."""
        for key in ("accounts", "accounts_file", "gssapi"):
            if key in chosen and chosen[key].value:
                self._warn(
                    f"{name or 'protocol'}: clients of a tunnel do not log in, whatever "
                    f"{chosen[key].source} says; `rules` say who may use it"
                )
        return {
            key: setting
            for key, setting in chosen.items()
            if KEYS[Place.TOP][key].meaning(Side.TUNNEL).use is Use.OPTION
        }

    def _make(self, kind: type[Any], values: Mapping[str, Any], settings: Layer, where: str) -> Any:
        try:
            return kind(**values)
        except ConfigError as error:
            sources = {option: setting.source for option, setting in settings.items()}
            raise at_its_source(error, sources, where) from None

    def _advise(self, options: Options) -> None:
        if (
            isinstance(options, ProxyOptions)
            and options.beyond_loopback
            and not (options.has_accounts or options.gssapi)
        ):
            self._warnings.append(
                "anyone who can reach this proxy can use it: it listens beyond 127.0.0.1 and has "
                "no accounts"
            )

    def _where(self, name: str) -> str:
        if self._file is None:
            return ""
        return f"{self._file.name}: {name}." if name else f"{self._file.name}: "

    def _warn(self, text: str) -> None:
        self._warnings.append(f"{self._where('')}{text}")


def at_its_source(error: ConfigError, sources: Mapping[str, str], where: str = "") -> ConfigError:
    """Return an error about an option as one about what set it.

    :param sources: as in :class:`Configured`.
    :param where: what precedes the text of an error about anything else.
    """
    option, _, text = str(error).partition(": ")
    source = sources.get(option, "default")
    return ConfigError(f"{where}{error}" if source == "default" else f"{source}: {text}")


def _first_of_each(layers: Sequence[Layer]) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for layer in layers:
        for name, setting in layer.items():
            found.setdefault(name, setting)
    return found


def _without(layer: Layer, names: Sequence[str]) -> dict[str, Setting]:
    return {name: setting for name, setting in layer.items() if name not in names}


def _sources(kind: type[Any], settings: Layer) -> dict[str, str]:
    return {
        option.name: settings[option.name].source if option.name in settings else "default"
        for option in dataclasses.fields(kind)
    }
