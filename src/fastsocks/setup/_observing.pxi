# What others are told of a connection.


cdef object observe(Connection connection):
    """Return what observers are given, with all that is known by now."""
    observed = connection.observed
    if observed is None:
        name = connection.acceptor._names(connection.number)
        observed = connection.observed = observer.Connection(connection.peer, name)
    observed.peer = connection.peer
    observed.user, observed.target = connection.user, connection.address
    observed.command, observed.error = connection.command, connection.error
    observed.server = connection.server
    return observed


cdef object sum_up(Connection connection, uint64_t bytes_up, uint64_t bytes_down):
    """Return what observers are given, at the end."""
    observed = observe(connection)
    observed.bytes_up, observed.bytes_down = bytes_up, bytes_down
    observed.seconds = now() - connection.since
    return observed


cdef int report(Connection connection, object error, bint relayed=False) except -1:
    """Count why this connection ends, and tell observers."""
    cdef Acceptor acceptor = connection.acceptor
    connection.error = error
    if connection.user is None and connection.inbound is not None:
        connection.user = connection.inbound.logged_in()
    acceptor.failures[error.status] += 1
    event = acceptor.observer.failed if relayed else acceptor.observer.refused
    if event is not None:
        event(observe(connection))
    return 0


cdef int release(
    Connection connection, uint64_t bytes_up, uint64_t bytes_down, double first_byte=0.0
) except -1:
    """Give back what the connection took up, and tell observers.

    :param first_byte: when the first payload came from the target.
    """
    connection.admission.leave()
    if connection.acceptor.closed is not None:
        observed = sum_up(connection, bytes_up, bytes_down)
        if connection.stages is not None:
            observed.stages = connection.stages.fields(first_byte)
        connection.acceptor.closed(observed)
    return 0


cdef int note_answer(Connection connection, uint64_t bytes_up, uint64_t bytes_down) except -1:
    """Take note of whether the server has answered."""
    cdef Acceptor acceptor = connection.acceptor
    if bytes_down:
        if not acceptor.answered:
            acceptor.answered = True
            acceptor.answers.came()
    elif bytes_up:
        acceptor.answered = False
        acceptor.answers.missing(sum_up(connection, bytes_up, bytes_down))
    return 0
