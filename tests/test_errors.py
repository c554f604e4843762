"""Errors, as programs that were written for asyncio catch them."""

from __future__ import annotations

import errno
import os
import pickle
import socket

import pytest

from fastsocks import errors
from fastsocks.errors import DialError, FastsocksError, ListenError, ReplyError, dial_error

KINDS = sorted(
    (
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, FastsocksError)
    ),
    key=lambda kind: kind.__name__,
)


def _state(error: FastsocksError) -> tuple[object, ...]:
    number, text = getattr(error, "errno", None), getattr(error, "strerror", None)
    return type(error), str(error), error.args, error.status, error.reply, number, text


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_can_be_pickled(kind: type[FastsocksError]) -> None:
    error = kind("what happened")
    error.reply = 0x03
    if isinstance(error, OSError):
        error.errno = errno.EHOSTDOWN
    assert str(error) == "what happened"
    assert _state(pickle.loads(pickle.dumps(error))) == _state(error)  # noqa: S301


@pytest.mark.parametrize(
    ("number", "reply", "asyncio_kind"),
    [
        (errno.ECONNREFUSED, 0x05, ConnectionRefusedError),
        (errno.ECONNRESET, 0x05, OSError),
        (errno.ETIMEDOUT, 0x06, TimeoutError),
        (errno.EHOSTUNREACH, 0x04, OSError),
        (errno.ENETUNREACH, 0x03, OSError),
        (errno.EIO, 0x01, OSError),
    ],
)
def test_a_failed_dial_is_what_asyncio_calls_it(
    number: int, reply: int, asyncio_kind: type[OSError]
) -> None:
    cause = OSError(number, "words of asyncio")
    error = dial_error(cause)
    assert isinstance(error, DialError)
    assert isinstance(error, asyncio_kind)
    assert (error.errno, error.reply, error.status) == (number, reply, "dial")
    assert str(error) == error.strerror == os.strerror(number)
    assert error.__cause__ is cause


def test_a_dial_that_took_too_long_is_a_timeout() -> None:
    error = dial_error(TimeoutError())
    assert isinstance(error, TimeoutError)
    assert (error.errno, error.reply) == (errno.ETIMEDOUT, 0x06)


def test_a_name_without_an_address_is_a_gaierror() -> None:
    error = dial_error(socket.gaierror(socket.EAI_AGAIN, "try again"))
    assert isinstance(error, socket.gaierror)
    assert (error.errno, error.reply, str(error)) == (socket.EAI_AGAIN, 0x04, "try again")


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        (0x01, errno.ECONNABORTED),
        (0x02, errno.EACCES),
        (0x05, errno.ECONNREFUSED),
        (0x07, errno.ECONNABORTED),
    ],
)
def test_the_answer_of_a_proxy_has_an_errno(reply: int, number: int) -> None:
    error = ReplyError("no", reply)
    assert isinstance(error, ConnectionError)
    assert (error.reply, error.errno) == (reply, number)


def test_what_ends_a_relay_is_what_asyncio_calls_it() -> None:
    assert issubclass(errors.ResetError, ConnectionResetError)
    assert issubclass(errors.BrokenError, ConnectionAbortedError)
    assert issubclass(errors.IdleTimeoutError, TimeoutError)
    assert issubclass(errors.HandshakeTimeoutError, TimeoutError)
    assert ListenError("no").errno is None
