# Memory that is lent; see room.h.

cdef extern from "fastsocks/crypto/room.h" nogil:
    # Bytes that whoever is given it may write, from `start` up to `end`.
    ctypedef struct Room "fastsocks_room":
        unsigned char* start
        unsigned char* end

    Room room_of "fastsocks_room_of"(unsigned char* start, size_t size) noexcept

    # For the sanitizer build, and nothing in any other. Whoever touches closed memory is reported.
    void close_memory "fastsocks_close_memory"(const void* start, size_t size) noexcept
    void open_memory "fastsocks_open_memory"(const void* start, size_t size) noexcept
    # As if these bytes were read or written now.
    void will_read "fastsocks_will_read"(const void* start, size_t size) noexcept
    void will_write "fastsocks_will_write"(void* start, size_t size) noexcept
    # Ends the process where the condition does not hold.
    void certain "fastsocks_certain"(bint condition) noexcept
