/*
 * step.c: see step.h.
 */
#include "support/step.h"

#undef memcpy

jbt_before_fn jbt_before;
jbt_after_fn jbt_after;
void (*jbt_at_fence)(void);

static void copy(char *to, const char *from, size_t len_bytes)
{
    uint64_t seen = len_bytes;

    /* One of the two is the caller's own. */
    jbt_step(from);
    jbt_step(to);
    memcpy(to, from, len_bytes);
    if (!jbt_after)
        return;
    for (size_t i = 0; i < len_bytes; i++)
        seen = (seen ^ (unsigned char)to[i]) * UINT64_C(1099511628211);
    jbt_saw(seen);
}

void *jbt_memcpy(void *to, const void *from, size_t len_bytes)
{
    size_t half = len_bytes / 2;

    copy(to, from, half);
    copy((char *)to + half, (const char *)from + half, len_bytes - half);
    return to;
}
