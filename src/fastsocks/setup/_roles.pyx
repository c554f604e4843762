# cython: boundscheck=False, wraparound=False
"""Where connections lead, in Cython; the twin of ``_roles_py.py``.

An outbound that is written in Python derives from nothing: :func:`adapted` brings it here.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t

from fastsocks.address._host_name cimport canonical
from fastsocks.shadowsocks._client cimport client_codec

from fastsocks.errors import CommandError
from fastsocks.policy.requests import check_request
from fastsocks.setup.limits import PAYLOAD_WAIT

cdef enum:
    # ATYP.
    NAME = 3


@cython.freelist(32)
cdef class Route:
    """An outbound's answer to a request; see the twin."""

    def __init__(
        self, address, codec=None, double payload_wait=0.0, verdict_on=None, open=None, retry=None
    ):
        self.address = address
        self.codec = codec
        self.payload_wait = payload_wait
        self.verdict_on = verdict_on
        self.open = open
        self.retry = retry


cdef Route _STRAIGHT = Route(None)


cdef Route route_opened(Route route, object opened):
    return Route(
        route.address, opened.codec, opened.payload_wait, route.verdict_on, route.open, route.retry
    )


cdef class Outbound:
    """Leads requests to where they go; see the twin."""

    def __init__(self, dialer, *, associate=None, bind=None):
        self.dialer = dialer
        self._plain = dialer.plain
        self._address_filter = dialer.address_filter
        self._associate = associate
        self._bind = bind

    cpdef object canonical(self, object request):
        """Return the request with its name in one form; see the twin."""
        return request

    cpdef Route route(self, object request, object accepted):
        """Decide where a request goes; see the twin."""
        raise NotImplementedError

    async def associate(self, request, accepted):
        """Open a UDP relay for a client; see the twin."""
        if self._associate is None:
            raise CommandError("UDP ASSOCIATE is not offered here")
        return await self._associate(request, accepted)

    async def bind(self, request, accepted):
        """Listen for a peer of a client; see the twin."""
        if self._bind is None:
            raise CommandError("BIND is not offered here")
        return await self._bind(request, accepted)

    cdef bint dials_at_once(self, object address, bytes wire, object verdict_on) except -1:
        if not self._plain or verdict_on is not None or wire[0] == NAME or not _has_port(wire):
            return False
        return self._address_filter is None or self._address_filter(address.host)


cdef inline bint _has_port(bytes wire) noexcept:
    cdef Py_ssize_t size = len(wire)
    cdef const uint8_t* start = <const uint8_t*>PyBytes_AS_STRING(wire)
    return size > 2 and (start[size - 1] != 0 or start[size - 2] != 0)


cdef class DirectOutbound(Outbound):
    """Leads every request just to its address; see the twin."""

    cdef bint _canonical_names

    def __init__(self, dialer, *, bint canonical_names=False, associate=None, bind=None):
        Outbound.__init__(self, dialer, associate=associate, bind=bind)
        self._canonical_names = canonical_names

    cpdef object canonical(self, object request):
        if not self._canonical_names:
            return request
        address = canonical(request.address)
        # The resolver reads numbers alike, and tells of it.
        if address is request.address or not address.is_name:
            return request
        return request._replace(address=address)

    cpdef Route route(self, object request, object accepted):
        if not _has_port(request.address.wire):
            check_request(request)
        return _STRAIGHT


cdef class ServerOutbound(Outbound):
    """Leads every request to one Shadowsocks server; see the twin."""

    cdef public object key
    cdef public object address
    cdef public double payload_wait

    def __init__(
        self, dialer, key, address, *, double payload_wait=PAYLOAD_WAIT, associate=None, bind=None
    ):
        Outbound.__init__(self, dialer, associate=associate, bind=bind)
        self.key = key
        self.address = address
        self.payload_wait = payload_wait

    cpdef Route route(self, object request, object accepted):
        cdef Route route
        if not _has_port(request.address.wire):
            check_request(request)
        route = Route.__new__(Route)
        route.address = self.address
        route.codec = client_codec(self.key)
        route.payload_wait = self.payload_wait
        return route


cdef class _PythonOutbound(Outbound):
    """Hands every call to an object of Python."""

    cdef object _role

    cpdef object canonical(self, object request):
        canonical_of = getattr(self._role, "canonical", None)
        return request if canonical_of is None else canonical_of(request)

    cpdef Route route(self, object request, object accepted):
        found = self._role.route(request, accepted)
        if isinstance(found, Route):
            return found
        return Route(
            found.address, found.codec, found.payload_wait, found.verdict_on, found.open, found.retry
        )


cdef Outbound adapted(object role):
    cdef _PythonOutbound found
    if isinstance(role, Outbound):
        return role
    found = _PythonOutbound(
        role.dialer,
        associate=getattr(role, "associate", None),
        bind=getattr(role, "bind", None),
    )
    found._role = role
    return found
