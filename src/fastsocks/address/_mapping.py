"""Host names that are not written as they are looked up; both twins of ``_host_name`` ask here."""

from __future__ import annotations

import re
import socket
from functools import lru_cache

from fastsocks.errors import HostNameError

#: RFC 1035 section 3.1, without the label of the root.
_LONGEST = 253
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"\d+|0x[\da-f]*", re.ASCII)
_A_LABEL = "xn--"

#: Names that are remembered with the form they have.
_MEMORY = 4096


@lru_cache(_MEMORY)
def mapped(host: str) -> str:
    """Bring a name into its one form; see :func:`fastsocks.address.host_name`."""
    name = _uts46(host).removesuffix(".")
    labels = [_label(label) for label in name.split(".")]
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(".".join(labels))
    name = ".".join(labels)
    if len(name) > _LONGEST:
        raise HostNameError(f"a host name of {len(name)} bytes, more than {_LONGEST}")
    return name


def _uts46(text: str) -> str:
    """Map letters and dots as browsers do (UTS 46, non-transitional)."""
    if text.isascii():
        return text.lower()
    import idna

    try:
        return idna.uts46_remap(text, std3_rules=False, transitional=False)
    except UnicodeError as error:
        raise HostNameError("this is no host name: IDNA does not have its letters") from error


def _label(label: str) -> str:
    if label.isascii():
        if not _LABEL.fullmatch(label):
            raise HostNameError(
                "this is no host name: its parts are 1..63 letters, digits, - and _"
            )
        if label.startswith(_A_LABEL):
            _check_a_label(label)
        return label
    import idna

    try:
        return idna.alabel(label).decode("ascii")
    except UnicodeError as error:
        raise HostNameError(f"this is no host name of IDNA 2008: {error}") from error


def _check_a_label(label: str) -> None:
    """Refuse what others may decode, and then read as another name."""
    coded = label.removeprefix(_A_LABEL)
    try:
        text = coded.encode("ascii").decode("punycode")
        same = not text.isascii() and _uts46(text) == text
        if same and text.encode("punycode").decode("ascii") == coded:
            return
    except UnicodeError:
        pass
    except HostNameError:
        pass
    raise HostNameError("this is no host name: one of its parts is no A-label (RFC 5890)")


def _ipv4(name: str) -> str:
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except OSError as error:
        raise HostNameError(
            "this is no host name: its last part is a number, and the whole no IPv4 address"
        ) from error
