# How a connection gets to its target: by a connect of its own, or by a task that brings a socket.


cdef int dial(Connection connection) except -1:
    """Lead a request to its target."""
    cdef Outbound outbound = connection.acceptor.outbound
    cdef Route route
    cdef bytes wire
    try:
        route = connection.route = outbound.route(connection.request, connection)
        if route.open is not None:
            return open_way(connection)
        address = connection.address if route.address is None else route.address
        wire = address.wire
        connection.begin_payload()
        if outbound.dials_at_once(address, wire, route.verdict_on):
            return connect(connection, wire)
        ready = outbound.dialer.literal(address, route.verdict_on)
    except FastsocksError as error:
        return connection.refuse(error)
    if ready is not None and address.is_name:
        known = Address.of(ready[1][0], address.port)
        # With a scope (fe80::1%eth0) it is no address that a header can hold.
        if known.is_name:
            ready = None
        else:
            connection.named = address.host
            address = known
    if ready is not None:
        wire = address.wire
        return connect(connection, wire)
    if address.is_name:
        connection.named = address.host
    resolved = None if connection.stages is None else connection.stages.resolved
    # The dialer has a time limit of its own.
    return await_task(
        connection,
        partial(
            outbound.dialer.approach,
            address,
            connection.admission.client,
            route.verdict_on,
            resolved,
        ),
        Cause.TARGET_FOUND,
    )


cdef int open_way(Connection connection) except -1:
    """Have the route open its way, which has a time limit of its own."""
    return await_task(
        connection,
        partial(
            connection.route.open,
            connection.acceptor.outbound.dialer,
            connection.admission.client,
        ),
        Cause.WAY_OPENED,
    )


cdef int connect(Connection connection, bytes wire) except -1:
    """Connect to an IP address."""
    cdef const uint8_t* address = <const uint8_t*>PyBytes_AS_STRING(wire)
    cdef int result
    connection.target_family = AF_INET if address[0] == IPV4 else AF_INET6
    result = open_socket(connection.target_family)
    if result >= 0:
        connection.target = result
        result = connect_to(connection.target, address)
    if result < 0 and result != -EINPROGRESS:
        return connect_failed(connection, -result)
    connection.enter(State.CONNECTING)
    connection.deadline = now() + connection.acceptor.timeout
    if connection.route.retry is not None:
        connection.deadline = min(connection.deadline, now() + _FAILOVER_WAIT)
    return connection.connected(result == 0, False)


cdef int way_opened(Connection connection, way) except -1:
    """Take what the route has opened."""
    connection.task = None
    if connection.state != State.DIALING:
        way.socket.close()
        return 0
    connection.route = route_opened(connection.route, way)
    connection.from_target = way.early_data
    take_target(connection, way.socket)
    connection.begin_payload()
    return connection.connected(True, True)


cdef int target_found(Connection connection, found) except -1:
    """Take the socket of the dialer, or the one address that it has found."""
    connection.task = None
    if isinstance(found, tuple):
        if connection.state != State.DIALING:
            return 0
        return connect(connection, Address.of(*found[1][:2]).wire)
    if connection.state != State.DIALING:
        found.close()
        return 0
    take_target(connection, found)
    return connection.connected(True, True)


cdef int take_target(Connection connection, sock) except -1:
    """Take a socket that is connected, as far as anybody knows."""
    connection.target_family = sock.family
    connection.target = sock.detach()
    return connection.enter(State.CONNECTING)


cdef int task_failed(Connection connection, error) except -1:
    """Take the failure of a task, a fault of ours among them."""
    connection.task = None
    if connection.state != State.DIALING and connection.state != State.BOUND:
        return 0
    if isinstance(error, FastsocksError):
        return not_reached(connection, error)
    return connection.acceptor.fail(connection, error)


cdef int connect_failed(Connection connection, int error) except -1:
    """Act on the errno of connect, or of what told that it had failed."""
    return not_reached(connection, dial_error(OSError(error, os.strerror(error))))


cdef int not_reached(Connection connection, object error) except -1:
    """Go another way, if the route has one, else give up."""
    route = None
    if connection.named is not None:
        # A refusal of ours says nothing of the name.
        if isinstance(error, DialError):
            connection.acceptor.outbound.dialer.not_there(connection.named, error)
        connection.named = None
    if connection.route is not None and connection.route.retry is not None:
        route = connection.route.retry(error)
    if route is None:
        return connection.refuse(error)
    if connection.target >= 0:
        close(connection.target)
        connection.target = -1
        connection.target_watched = False
    connection.to_target = None
    connection.route = route
    return open_way(connection)


cdef int await_task(Connection connection, make, Cause cause) except -1:
    """Go on by `cause` with what `make` gives to be awaited, by a time limit of its own."""
    connection.enter(State.DIALING)
    connection.deadline = float("inf")
    # Not by the loop's factory: an eager task could end the connection in here.
    connection.task = asyncio.Task(
        _carry_out(connection, make, cause), loop=connection.acceptor.loop
    )
    return connection.attend_client()


async def _carry_out(Connection connection, make, int cause):
    """Await what `make` gives, and go on with the result.

    It is made in here, because a task may be cancelled before its first step.
    """
    try:
        result = await make()
    except asyncio.CancelledError:
        connection.task = None
        connection.close(reset=True)
        raise
    except Exception as error:
        connection.acceptor.run(connection, Cause.TASK_FAILED, 0, error)
    else:
        connection.acceptor.run(connection, cause, 0, result)
