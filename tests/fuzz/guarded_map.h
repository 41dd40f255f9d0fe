/*
 * guarded_map.h: the mapping of a segment, in the place of the library's own, between two pages
 * that nobody may touch.
 *
 * Invariant: an access outside of it ends the program.
 */
#ifndef TEST_GUARDED_MAP_H
#define TEST_GUARDED_MAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "target.h"

enum { PAGE = 4096 };

int __wrap_jbi_os_map(int fd, uint64_t size_bytes, void **ret_addr);
int __wrap_jbi_os_reserve(uint64_t size_bytes, void **ret_addr);
void __wrap_jbi_os_unmap(void *addr, uint64_t size_bytes);

/* The last one of a file. */
static const uint8_t *map_at;
static size_t map_bytes;

static void *map_between(int fd, int flags, uint64_t size_bytes)
{
    uint8_t *room = mmap(NULL, size_bytes + 2 * PAGE, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    require(room != MAP_FAILED);
    require(mmap(room + PAGE, size_bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) ==
            room + PAGE);
    return room + PAGE;
}

int __wrap_jbi_os_map(int fd, uint64_t size_bytes, void **ret_addr)
{
    map_at = *ret_addr = map_between(fd, MAP_SHARED, size_bytes);
    map_bytes = size_bytes;
    return 0;
}

int __wrap_jbi_os_reserve(uint64_t size_bytes, void **ret_addr)
{
    *ret_addr = map_between(-1, MAP_PRIVATE | MAP_ANONYMOUS, size_bytes);
    return 0;
}

void __wrap_jbi_os_unmap(void *addr, uint64_t size_bytes)
{
    if (addr)
        munmap((uint8_t *)addr - PAGE, size_bytes + 2 * PAGE);
}

#endif
