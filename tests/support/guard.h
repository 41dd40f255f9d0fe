/*
 * guard.h: memory that ends where the input ends.
 *
 * Invariant: the byte after the copy lies in a page that nobody may touch, so reading or writing
 * one byte too far is a crash with any compiler, sanitizer or not.
 */
#ifndef TEST_GUARD_H
#define TEST_GUARD_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
    uint8_t *map;
    size_t map_bytes;
    uint8_t *data; /* len_bytes of it may be used */
};

/* Room for len_bytes, flush against a forbidden page. */
static inline struct guard guard_alloc(size_t len_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (len_bytes + page - 1) / page * page;
    struct guard g = {.map_bytes = room + page};

    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect(g.map + room, page, PROT_NONE) != 0)
        abort();
    g.data = g.map + room - len_bytes;
    return g;
}

/* A copy of the bytes, flush against a forbidden page. */
static inline struct guard guard_copy(const void *bytes, size_t len_bytes)
{
    struct guard g = guard_alloc(len_bytes);

    if (len_bytes != 0)
        memcpy(g.data, bytes, len_bytes);
    return g;
}

static inline void guard_free(struct guard *g)
{
    munmap(g->map, g->map_bytes);
    *g = (struct guard){0};
}

#endif
