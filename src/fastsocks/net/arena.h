/*
 * The memory that the UDP relay opens and seals datagrams in.
 *
 * Rooms are lent one behind the other, and what was kept of them stays until all of it is given
 * back at once. In the sanitizer build nothing else of it can be touched.
 */

#ifndef FASTSOCKS_NET_ARENA_H
#define FASTSOCKS_NET_ARENA_H

#include <stddef.h>

#include "fastsocks/crypto/room.h"

typedef struct {
    unsigned char *memory;
    size_t size;
    /* Up to where rooms were kept, and up to where one is lent. */
    size_t kept;
    size_t lent;
} fastsocks_arena;

/* memory: the caller's; it must be given to fastsocks_close_arena before it is freed. */
static inline void fastsocks_open_arena(fastsocks_arena *arena, unsigned char *memory, size_t size)
{
    arena->memory = memory;
    arena->size = size;
    arena->kept = arena->lent = 0;
    fastsocks_close_memory(memory, size);
}

static inline void fastsocks_close_arena(fastsocks_arena *arena)
{
    fastsocks_open_memory(arena->memory, arena->size);
}

static inline size_t fastsocks_arena_left(const fastsocks_arena *arena)
{
    return arena->size - arena->kept;
}

/* Lends `size` bytes until the next call, in place of what was lent and not kept; no room, and
 * NULL, where so many are not left. */
static inline fastsocks_room fastsocks_lend(fastsocks_arena *arena, size_t size)
{
    fastsocks_room none = {NULL, NULL};
    fastsocks_close_memory(arena->memory + arena->kept, arena->lent - arena->kept);
    arena->lent = arena->kept;
    if (size > arena->size - arena->kept)
        return none;
    arena->lent = arena->kept + size;
    fastsocks_open_memory(arena->memory + arena->kept, size);
    return fastsocks_room_of(arena->memory + arena->kept, size);
}

/* Has what was lent last stay, up to `end`, until the arena is emptied. */
static inline void fastsocks_keep(fastsocks_arena *arena, const unsigned char *end)
{
    size_t kept = (size_t)(end - arena->memory);
    fastsocks_certain(arena->kept <= kept && kept <= arena->lent);
    fastsocks_close_memory(end, arena->lent - kept);
    /* Where the next room begins AddressSanitizer can tell the two apart, byte by byte. */
    kept = (kept + 15) & ~(size_t)15;
    arena->kept = arena->lent = kept < arena->size ? kept : arena->size;
}

static inline void fastsocks_empty_arena(fastsocks_arena *arena)
{
    fastsocks_close_memory(arena->memory, arena->lent);
    arena->kept = arena->lent = 0;
}

#endif
