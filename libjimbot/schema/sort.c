/* See sort.h. A merge sort, from short runs upwards. Invariant: a run of what is sorted already
 * costs one comparison. */
#include "schema/sort.h"

#include <string.h>

enum { RUN = 8 };

static void sort_run(uint64_t *items, size_t n, jbi_sort_before before, const void *userdata)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t item = items[i];
        size_t at = i;

        for (; at > 0 && before(item, items[at - 1], userdata); at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

/* Two sorted runs that follow each other. */
static void merge(uint64_t *items, size_t n_left, size_t n, uint64_t *room, jbi_sort_before before,
                  const void *userdata)
{
    size_t left = 0, right = n_left, at = 0;

    if (!before(items[n_left], items[n_left - 1], userdata))
        return;
    memcpy(room, items, n_left * sizeof *items);
    while (left < n_left && right < n)
        items[at++] = before(items[right], room[left], userdata) ? items[right++] : room[left++];
    memcpy(items + at, room + left, (n_left - left) * sizeof *items);
}

void jbi_sort(uint64_t *items, size_t n, uint64_t *room, jbi_sort_before before,
              const void *userdata)
{
    for (size_t at = 0; at < n; at += RUN)
        sort_run(items + at, n - at < RUN ? n - at : RUN, before, userdata);
    for (size_t run = RUN; run < n; run *= 2) {
        for (size_t at = 0; at + run < n; at += 2 * run)
            merge(items + at, run, n - at < 2 * run ? n - at : 2 * run, room, before, userdata);
    }
}
