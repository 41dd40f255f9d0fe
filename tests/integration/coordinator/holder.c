/*
 * holder.c: a process that holds a lease on memory and uses as much as its standard input says:
 *
 *   holder COORDINATOR RESOURCE COMPONENT MIB
 *
 * It is granted MIB more than it uses without doing anything, says "granted N" in bytes, and then,
 * for each line with a number of MiB, uses that much more than without, and says "uses N".
 *
 * Invariant: what it uses lies in main memory when it says so.
 */
#include <jimbot/jimbot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t rss(void)
{
    jb_memory_reading r = {.size = sizeof r};

    return jb_memory_read(0, &r, NULL) == 0 ? r.rss_bytes + r.swap_bytes : 0;
}

static int get_lease(const char *const *words)
{
    jb_amount amount = {.amount = strtoull(words[3], NULL, 10) << 20};
    jb_want want = {.n_amounts = 1, .amounts = &amount};
    jb_lease lease;
    jb_coord *coord;
    int resource, component, rc;

    if (jb_coord_open(words[0], NULL, &coord, NULL) < 0)
        return -1;
    resource = jb_coord_find_resource(coord, words[1]);
    component = jb_coord_find_component(coord, words[2]);
    if (resource < 0 || component < 0)
        return -1;
    amount.amount += rss();
    amount.resource = (uint32_t)resource;
    want.component = (uint32_t)component;
    rc = jb_coord_acquire(coord, &want, 0, &lease);
    printf("granted %llu\n", (unsigned long long)amount.amount);
    fflush(stdout);
    return rc;
}

/* Without writing, if the kernel can: a sanitizer keeps memory of its own for what is written. */
static void take(char *at, size_t n_bytes)
{
    enum { POPULATE_WRITE = 23 }; /* MADV_POPULATE_WRITE, which not every libc knows */

    if (madvise(at, n_bytes, POPULATE_WRITE) < 0)
        memset(at, 1, n_bytes);
}

int main(int argc, char **argv)
{
    size_t cap_bytes = (size_t)1 << 30, used_bytes = 0;
    char line[64], *at;

    at = mmap(NULL, cap_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
              -1, 0);
    if (argc != 5 || at == MAP_FAILED || get_lease((const char *const *)argv + 1) < 0)
        return EXIT_FAILURE;
    while (fgets(line, sizeof line, stdin)) {
        size_t n_bytes = (size_t)strtoull(line, NULL, 10) << 20;

        if (n_bytes > cap_bytes)
            return EXIT_FAILURE;
        if (n_bytes > used_bytes)
            take(at + used_bytes, n_bytes - used_bytes);
        else if (n_bytes < used_bytes)
            madvise(at + n_bytes, used_bytes - n_bytes, MADV_DONTNEED);
        used_bytes = n_bytes;
        printf("uses %llu\n", (unsigned long long)rss());
        fflush(stdout);
    }
    return 0;
}
