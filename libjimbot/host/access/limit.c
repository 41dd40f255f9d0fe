/*
 * limit: see limit.h.
 */
#include "host/access/limit.h"

#include "host/text/hmem.h"

#include <openssl/rand.h>

int jbi_limit_set(jbi_limit *l, uint32_t per_second, uint32_t burst, const jb_alloc *alloc)
{
    l->alloc = alloc;
    if (per_second == 0) {
        jbi_limit_fini(l);
        return 0;
    }
    if (!l->slots) {
        if (RAND_bytes((unsigned char *)&l->key, sizeof(l->key)) != 1)
            return JB_ENOMEM;
        l->slots = jbi_hmem_zalloc(alloc, JBI_LIMIT_SLOTS * sizeof(*l->slots));
    }
    if (!l->slots)
        return JB_ENOMEM;
    l->interval_ns = 1000000000u / per_second;
    l->interval_ns += l->interval_ns == 0;
    l->burst_ns = l->interval_ns * (burst ? burst : per_second);
    return 0;
}

void jbi_limit_fini(jbi_limit *l)
{
    if (l->slots)
        jbi_hmem_free(l->alloc, l->slots, JBI_LIMIT_SLOTS * sizeof(*l->slots));
    l->slots = NULL;
}

/* The place a client has, or else, for one that asks, the one it gets. */
static jbi_limit_slot *find(const jbi_limit *l, const uint8_t *client, bool must_have)
{
    jbi_limit_slot *least = NULL;
    uint64_t hash[2];

    jbi_siphash(&l->key, client, JBI_LIMIT_CLIENT_BYTES, hash);
    for (unsigned i = 0; i < JBI_LIMIT_PROBES; i++) {
        jbi_limit_slot *s = &l->slots[(hash[0] + i) % JBI_LIMIT_SLOTS];

        if (memcmp(s->client, client, JBI_LIMIT_CLIENT_BYTES) == 0)
            return s;
        if (!least || s->full_ns < least->full_ns)
            least = s;
    }
    return must_have ? least : NULL;
}

uint64_t jbi_limit_wait_ns(const jbi_limit *l, const uint8_t client[JBI_LIMIT_CLIENT_BYTES],
                           uint64_t now_ns)
{
    const jbi_limit_slot *s = l->slots ? find(l, client, false) : NULL;
    uint64_t owed_ns = s && s->full_ns > now_ns ? s->full_ns - now_ns : 0;
    uint64_t may_owe_ns = l->burst_ns - l->interval_ns;

    return s && owed_ns > may_owe_ns ? owed_ns - may_owe_ns : 0;
}

void jbi_limit_charge(jbi_limit *l, const uint8_t client[JBI_LIMIT_CLIENT_BYTES], uint64_t n,
                      uint64_t now_ns)
{
    jbi_limit_slot *s;

    if (!l->slots)
        return;
    s = find(l, client, true);
    if (memcmp(s->client, client, JBI_LIMIT_CLIENT_BYTES) != 0) {
        memcpy(s->client, client, JBI_LIMIT_CLIENT_BYTES);
        s->full_ns = 0;
    }
    if (s->full_ns < now_ns)
        s->full_ns = now_ns;
    s->full_ns += n * l->interval_ns;
}
