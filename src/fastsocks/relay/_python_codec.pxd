from fastsocks.shadowsocks._framing cimport Codec

# What a codec of Python may return beyond what it was given, in bytes.
cdef enum:
    ADAPTED_ROOM = 0x10000

cdef Codec adapted(object codec)
