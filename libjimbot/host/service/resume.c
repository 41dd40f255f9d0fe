/*
 * resume: see resume.h. A linear table: it is looked at only while it holds something, which is
 * only after a 503 in the middle of a body.
 */
#include "host/service/resume.h"

#include <string.h>

static void release(jbi_resume *r, jbi_resume_entry *e)
{
    e->until_ns = 0;
    r->n_used--;
}

uint32_t jbi_resume_take(jbi_resume *r, const char *body, size_t n, uint64_t now_ns)
{
    uint32_t n_done = 0;
    uint64_t hash[2];

    if (r->n_used == 0)
        return 0;
    jbi_siphash(&r->key, body, n, hash);
    for (int i = 0; i < JBI_RESUME_ENTRIES; i++) {
        jbi_resume_entry *e = &r->entries[i];
        bool is_this = e->body_bytes == n && memcmp(e->hash, hash, sizeof(hash)) == 0;

        if (e->until_ns == 0 || (!is_this && e->until_ns >= now_ns))
            continue;
        if (e->until_ns >= now_ns)
            n_done = e->n_done;
        release(r, e);
    }
    return n_done;
}

void jbi_resume_put(jbi_resume *r, const char *body, size_t n, uint32_t n_done, uint64_t now_ns)
{
    jbi_resume_entry *e = &r->entries[0];

    /* A free entry has the smallest time of all, so this finds one, or else the oldest. */
    for (int i = 1; i < JBI_RESUME_ENTRIES; i++) {
        if (r->entries[i].until_ns < e->until_ns)
            e = &r->entries[i];
    }
    r->n_used += e->until_ns == 0;
    jbi_siphash(&r->key, body, n, e->hash);
    e->body_bytes = n;
    e->n_done = n_done;
    e->until_ns = now_ns + JBI_RESUME_NS;
}
