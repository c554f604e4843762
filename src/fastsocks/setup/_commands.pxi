# UDP ASSOCIATE and BIND (RFC 1928 sections 4 and 7).


cdef int associate(Connection connection) except -1:
    """Have the outbound open a UDP relay for the client."""
    if not find_local_host(connection):
        return 0
    make = partial(connection.acceptor.outbound.associate, connection.request, connection)
    return await_task(connection, make, Cause.ASSOCIATION_MADE)


cdef int bind(Connection connection) except -1:
    """Have the outbound listen for the client's peer."""
    if not find_local_host(connection):
        return 0
    connection.to_target = connection.request.early_data
    return await_task(connection, partial(_await_peer, connection), Cause.PEER_CAME)


cdef bint find_local_host(Connection connection) except -1:
    """Find where the client reaches us; False if the connection is over."""
    cdef uint8_t wire[19]
    cdef int size = local_address(connection.client, wire)
    if size < 0:
        connection.client_lost(size)
        return False
    if wire[0] != IPV4 and wire[1] == 0xFE and wire[2] & 0xC0 == 0x80:
        # Link-local: its scope is no part of an address header.
        connection.local_host = host_of(connection.local())
    else:
        connection.local_host = Address(PyBytes_FromStringAndSize(<char*>wire, size)).host
    return True


cdef int association_made(Connection connection, association) except -1:
    """Take the UDP association that the outbound made."""
    connection.task = None
    if connection.state != State.DIALING:
        association.close()
        return 0
    connection.association = association
    association.ended = partial(_association_ended, connection)
    connection.enter(State.ASSOCIATED)
    if connection.send_client(connection.inbound.connected(association.bound)):
        return connection.watch_waste()
    return 0


def _association_ended(Connection connection):
    """End the connection whose association has ended by itself."""
    connection.association = None
    connection.close()


async def _await_peer(Connection connection):
    """Listen for the client's peer, and return its connection; None if the client has left."""
    listener = await connection.acceptor.outbound.bind(connection.request, connection)
    try:
        return await listener.accept() if listening(connection, listener.bound) else None
    finally:
        listener.close()


cdef bint listening(Connection connection, bound) except -1:
    """Tell the client where its peer is to connect; False if it has left."""
    if connection.state != State.DIALING:
        return False
    connection.enter(State.BOUND)
    if not connection.send_client(connection.inbound.connected(bound)):
        return False
    # What it did before is told again.
    connection.acceptor.poller.watch_again(connection.token, 0, connection.client, ARRIVALS)
    return True


cdef int read_ahead(Connection connection, uint32_t events) except -1:
    """Keep what the client has for a peer that is yet to come; it leaves by its end, too."""
    cdef Acceptor acceptor = connection.acceptor
    cdef Py_ssize_t size
    while len(connection.to_target) < READ_SIZE:
        size = receive(
            connection.client, acceptor.buffer, READ_SIZE - len(connection.to_target)
        )
        if size == -EAGAIN:
            return connection.await_client()
        if size <= 0:
            return connection.client_lost(size)
        payload = connection.payload_of(size)
        if payload is None:
            return 0
        connection.to_target += payload
    if events & EPOLLRDHUP:
        return connection.client_lost(-pending_error(connection.client))
    connection.client_unread = True
    return 0


cdef int peer_came(Connection connection, came) except -1:
    """Take the connection of the client's peer, if it came."""
    connection.task = None
    if came is None:
        return 0
    sock, address = came
    if connection.state != State.BOUND:
        sock.close()
        return 0
    connection.target_family = sock.family
    connection.target = sock.detach()
    connection.address = address
    connection.route = Route(address)
    connection.early = len(connection.to_target)
    if connection.stages is not None:
        connection.stages.connected()
    if connection.send_client(connection.inbound.connected(address)):
        return connection.hand_over()
    return 0
