"""What an address holds, in Cython; the twin of ``_stored_py.py``."""

cimport cython


@cython.no_gc
cdef class Fields:
    """The fields of an :class:`.Address`; see the twin."""

    def __init__(self, bytes wire not None):
        self.wire = wire
