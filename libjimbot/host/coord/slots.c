/*
 * slots.c: lists of slots by a hash of their tokens. The lists' nodes are the slots themselves.
 */
#include "host/coord/slots.h"

#include "host/text/hmem.h"

static uint32_t *head_of(const jbi_slots *s, uint64_t token)
{
    return &s->heads[(token * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (s->n_heads - 1)];
}

int jbi_slots_init(jbi_slots *s, uint32_t n, const jb_alloc *alloc)
{
    *s = (jbi_slots){.n = n, .n_heads = 16};
    while (s->n_heads < n)
        s->n_heads *= 2;
    s->tokens = jbi_hmem_zalloc(alloc, n * sizeof(*s->tokens));
    s->next = jbi_hmem_zalloc(alloc, n * sizeof(*s->next));
    s->heads = jbi_hmem_zalloc(alloc, s->n_heads * sizeof(*s->heads));
    if (s->tokens && s->next && s->heads)
        return 0;
    jbi_slots_fini(s, alloc);
    return JB_ENOMEM;
}

void jbi_slots_fini(jbi_slots *s, const jb_alloc *alloc)
{
    jbi_hmem_free(alloc, s->tokens, s->n * sizeof(*s->tokens));
    jbi_hmem_free(alloc, s->next, s->n * sizeof(*s->next));
    jbi_hmem_free(alloc, s->heads, s->n_heads * sizeof(*s->heads));
    *s = (jbi_slots){.n = 0};
}

static void take_out(jbi_slots *s, uint32_t slot)
{
    uint32_t *at = head_of(s, s->tokens[slot]);

    while (*at != slot + 1)
        at = &s->next[*at - 1];
    *at = s->next[slot];
}

void jbi_slots_put(jbi_slots *s, uint64_t token, uint32_t slot)
{
    uint32_t *head;

    if (slot >= s->n || token == 0 || s->tokens[slot] == token)
        return;
    if (s->tokens[slot])
        take_out(s, slot);
    head = head_of(s, token);
    s->tokens[slot] = token;
    s->next[slot] = *head;
    *head = slot + 1;
}

bool jbi_slots_find(const jbi_slots *s, uint64_t token, uint32_t *ret_slot)
{
    uint32_t at = s->n && token ? *head_of(s, token) : 0;

    while (at && s->tokens[at - 1] != token)
        at = s->next[at - 1];
    if (at)
        *ret_slot = at - 1;
    return at != 0;
}
