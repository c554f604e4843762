# The memory that the UDP relay opens and seals datagrams in; see arena.h.

from fastsocks.crypto._room cimport Room

cdef extern from "fastsocks/net/arena.h" nogil:
    ctypedef struct Arena "fastsocks_arena":
        unsigned char* memory

    void open_arena "fastsocks_open_arena"(
        Arena* arena, unsigned char* memory, size_t size
    ) noexcept
    # Before its memory is freed.
    void close_arena "fastsocks_close_arena"(Arena* arena) noexcept
    size_t arena_left "fastsocks_arena_left"(const Arena* arena) noexcept
    # Lends `size` bytes, in place of what was lent and not kept; `start` is NULL where so many are
    # not left.
    Room lend "fastsocks_lend"(Arena* arena, size_t size) noexcept
    # Has what was lent last stay, up to `end`, until the arena is emptied.
    void keep "fastsocks_keep"(Arena* arena, const unsigned char* end) noexcept
    void empty_arena "fastsocks_empty_arena"(Arena* arena) noexcept
