/*
 * Memory that is lent, and what AddressSanitizer is told of it.
 *
 * In the sanitizer build memory that nobody may touch is closed, though it is allocated, and what
 * libcrypto is about to read and to write is looked at first: its own code is not instrumented.
 * Everywhere else these functions are nothing.
 */

#ifndef FASTSOCKS_CRYPTO_ROOM_H
#define FASTSOCKS_CRYPTO_ROOM_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define FASTSOCKS_GUARDED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FASTSOCKS_GUARDED 1
#endif
#endif

/* Bytes that whoever is given it may write, from `start` up to `end`. */
typedef struct {
    unsigned char *start;
    unsigned char *end;
} fastsocks_room;

static inline fastsocks_room fastsocks_room_of(unsigned char *start, size_t size)
{
    fastsocks_room room = {start, start + size};
    return room;
}

#ifdef FASTSOCKS_GUARDED

#include <sanitizer/asan_interface.h>

void fastsocks_asan_load(const void *start, size_t size) __asm__("__asan_loadN");
void fastsocks_asan_store(void *start, size_t size) __asm__("__asan_storeN");

static inline void fastsocks_close_memory(const void *start, size_t size)
{
    ASAN_POISON_MEMORY_REGION(start, size);
}

static inline void fastsocks_open_memory(const void *start, size_t size)
{
    ASAN_UNPOISON_MEMORY_REGION(start, size);
}

static inline void fastsocks_will_read(const void *start, size_t size)
{
    if (size)
        fastsocks_asan_load(start, size);
}

static inline void fastsocks_will_write(void *start, size_t size)
{
    if (size)
        fastsocks_asan_store(start, size);
}

static inline void fastsocks_certain(int condition)
{
    if (!condition)
        __builtin_trap();
}

#else

static inline void fastsocks_close_memory(const void *start, size_t size)
{
    (void)start, (void)size;
}

static inline void fastsocks_open_memory(const void *start, size_t size)
{
    (void)start, (void)size;
}

static inline void fastsocks_will_read(const void *start, size_t size)
{
    (void)start, (void)size;
}

static inline void fastsocks_will_write(void *start, size_t size)
{
    (void)start, (void)size;
}

static inline void fastsocks_certain(int condition)
{
    (void)condition;
}

#endif

#endif
