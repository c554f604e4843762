# cython: boundscheck=False, wraparound=False
"""Several protocols on one port, in Cython; the twin of ``_first_byte_py.py``, which documents it.

SOCKS5 without a login is most of what comes, and is short: it is read and answered here, as
long as each message comes whole and asks to connect. Whatever else comes is handed, with what
was read before, to the server that the twin would have chosen.
"""

from functools import partial

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memchr

from fastsocks.address._header cimport header_size, take_address
from fastsocks.address._reader cimport Reader, left, peek, reader_over, take
from fastsocks.inbound._inbound cimport Inbound, Inbounds

from fastsocks.request import CONNECT as _CONNECT
from fastsocks.request import LONGEST_REQUEST_HEAD, PROTOCOLS, SOCKS5, Request
from fastsocks.socks.messages import NO_AUTHENTICATION, SUCCEEDED, build_choice, build_reply
from fastsocks.socks.protocols import server_of

cdef enum:
    VERSION = 5
    CONNECT = 1

cdef enum Stage:
    # What the client owes next, then what we owe it.
    GREETING
    REQUEST
    DIALING
    DONE
    # Another server has taken over.
    PASSED_ON

# What a client that was passed on behind its greeting had said.
cdef bytes _GREETING = b"\x05\x01\x00"
cdef bytes _CHOICE = build_choice(NO_AUTHENTICATION)
cdef bytes _CONNECTED = build_reply(SUCCEEDED)[:3]
cdef bytes _NOWHERE = build_reply(SUCCEEDED)

# A named tuple's own __new__ is a function of Python.
cdef object _new_tuple = tuple.__new__


cdef class FirstByteServer(Inbound):
    """One accepted connection of a client that speaks any of some protocols; see the twin."""

    cdef object _check
    cdef object _commands
    cdef object _protocols
    cdef object _gssapi
    cdef Py_ssize_t _longest_head
    cdef object _chosen
    cdef bytes _outgoing
    cdef Stage _stage

    def __init__(
        self,
        check=None,
        commands=(_CONNECT,),
        protocols=PROTOCOLS,
        gssapi=None,
        Py_ssize_t longest_head=LONGEST_REQUEST_HEAD,
        bint short_replies=False,
    ):
        self._check = check
        self._commands = commands
        self._protocols = protocols
        self._gssapi = gssapi
        self._longest_head = longest_head
        self.short_replies = short_replies
        self._prepare()

    cdef int _prepare(self) except -1:
        # A client is told what it did wrong.
        self.silent = False
        self.tells_address = True
        self._outgoing = b""
        return 0

    cdef object relayed_by(self):
        """What the relay needs for a plain HTTP request, or protects by GSSAPI; else None."""
        return None if self._chosen is None else self._chosen.codec

    cdef object awaited(self):
        return None if self._chosen is None else self._chosen.pending

    cdef object logged_in(self):
        return None if self._chosen is None else self._chosen.user

    cpdef object receive(self, object data):
        """Take in what the client sent; see the twin."""
        cdef bytes wire
        cdef Reader reader
        if self._stage == Stage.PASSED_ON:
            return self._chosen.receive(data)
        if self._stage > Stage.REQUEST:
            raise RuntimeError("this handshake has ended")
        wire = data if type(data) is bytes else bytes(data)
        reader = reader_over(<const unsigned char*>PyBytes_AS_STRING(wire), len(wire))
        if self._stage == Stage.GREETING:
            if not self._lets_in(&reader):
                return self._pass_on(wire)
            self._outgoing = _CHOICE
            self._stage = Stage.REQUEST
            if not left(&reader):
                return None
        if not self._asks_to_connect(&reader):
            return self._pass_on(wire[len(wire) - left(&reader):])
        take(&reader, 3)
        address = take_address(&reader)
        self._stage = Stage.DIALING
        early = PyBytes_FromStringAndSize(<const char*>reader.pos, left(&reader))
        return _new_tuple(Request, (address, early, None, CONNECT, False, 0))

    cdef bint _lets_in(self, Reader* reader) except -1:
        """Read a greeting, if it is whole, and one that lets in whoever sends it."""
        cdef int count = peek(reader, 1)
        cdef Reader ahead = reader[0]
        cdef const unsigned char* methods
        if self._check is not None or self._gssapi is not None:
            return False
        if peek(reader, 0) != VERSION or count < 1 or SOCKS5 not in self._protocols:
            return False
        take(&ahead, 2)
        methods = take(&ahead, count)
        if methods == NULL or memchr(methods, 0, count) == NULL:
            return False
        reader[0] = ahead
        return True

    cdef bint _asks_to_connect(self, const Reader* reader) except -1:
        """Tell whether a whole request lies ahead, and is one to connect."""
        cdef Reader ahead = reader[0]
        if peek(reader, 0) != VERSION or peek(reader, 1) != CONNECT:
            return False
        return take(&ahead, 3) != NULL and header_size(&ahead) > 0 and CONNECT in self._commands

    cdef object _pass_on(self, bytes data):
        """Let another server go on, as if it had been here from the beginning."""
        if self._stage == Stage.GREETING:
            self._chosen = server_of(
                data[0],
                self._check,
                self._commands,
                self._protocols,
                self._gssapi,
                self._longest_head,
            )
        else:
            self._chosen = server_of(
                VERSION, None, self._commands, self._protocols, None, self._longest_head
            )
            self._chosen.receive(_GREETING)
            if not self._outgoing:
                self._chosen.take_outgoing()
        self._stage = Stage.PASSED_ON
        return self._chosen.receive(data)

    cpdef bytes take_outgoing(self):
        """Return what to send to the client now, and forget it."""
        cdef bytes outgoing
        if self._stage == Stage.PASSED_ON:
            return self._chosen.take_outgoing()
        outgoing, self._outgoing = self._outgoing, b""
        return outgoing

    cpdef bytes connected(self, object bound):
        """Return what to send to the client once the dial stands."""
        cdef bytes reply
        if self._stage == Stage.PASSED_ON:
            return self._chosen.connected(bound)
        if self._stage != Stage.DIALING:
            raise RuntimeError("there is no request to answer")
        self._stage = Stage.DONE
        reply = _NOWHERE if bound is None else _CONNECTED + <bytes>bound.wire
        return self.take_outgoing() + reply if self._outgoing else reply

    cpdef bytes failed(self, object error):
        """Return what to send to the client before closing because of `error`."""
        cdef bytes refusal = b""
        if self._stage == Stage.PASSED_ON:
            return self._chosen.failed(error)
        if self._stage == Stage.DIALING:
            refusal = build_reply(error.reply)
        self._stage = Stage.DONE
        return self.take_outgoing() + refusal


cdef class FirstByteServers(Inbounds):
    """Makes the servers of a service; see the twin."""

    cdef object _check
    cdef object _commands
    cdef object _protocols
    cdef object _gssapi
    cdef Py_ssize_t _longest_head
    cdef bint _short_replies

    def __init__(
        self,
        check=None,
        commands=(_CONNECT,),
        protocols=PROTOCOLS,
        gssapi=None,
        Py_ssize_t longest_head=LONGEST_REQUEST_HEAD,
        *,
        bint short_replies=False,
    ):
        self._check = check
        self._commands = commands
        self._protocols = protocols
        self._gssapi = gssapi
        self._longest_head = longest_head
        self._short_replies = short_replies

    cpdef Inbound inbound(self, object accepted):
        """Make the server of one connection; see the twin."""
        cdef FirstByteServer server = FirstByteServer.__new__(FirstByteServer)
        if self._check is not None:
            server._check = partial(self._check, accepted.peer)
        server._commands = self._commands
        server._protocols = self._protocols
        server._gssapi = self._gssapi
        server._longest_head = self._longest_head
        server.short_replies = self._short_replies
        server._prepare()
        return server
