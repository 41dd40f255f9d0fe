/*
 * batch: see batch.h.
 */
#include "client/batch.h"

#include <string.h>

void jbi_batch_init(jbi_batch *b, const jb_alloc *alloc)
{
    memset(b, 0, sizeof(*b));
    jbi_htext_init(&b->bytes, alloc);
}

void jbi_batch_fini(jbi_batch *b)
{
    jbi_htext_fini(&b->bytes);
    b->n = b->n_sent = 0;
}

/* Whether a record belongs into this batch too. */
static bool fits(const jbi_batch *b, const jbi_batch_head *head)
{
    if (b->n == 0)
        return true;
    return !b->is_command && !head->is_command && b->n < JBI_BATCH_EVENTS &&
           b->bytes.len + head->event_bytes <= JBI_BATCH_BYTES;
}

static void add(jbi_batch *b, const jbi_batch_head *head)
{
    b->is_command = head->is_command;
    b->entries[b->n++] = (jbi_batch_entry){.at = (uint32_t)b->bytes.len,
                                           .event_bytes = head->event_bytes,
                                           .key = head->key,
                                           .topic_bytes = head->topic_bytes};
    jbi_htext_add(&b->bytes, (const char *)(head + 1), head->topic_bytes + head->event_bytes);
}

bool jbi_batch_load(jbi_batch *b, jbi_pipe *outbox, uint32_t n_max)
{
    uint32_t place = jbi_pipe_pin(outbox);
    uint32_t begin = place, taken = place, n_bytes;
    const jbi_batch_head *head;

    jbi_htext_reset(&b->bytes, 2 * JBI_BATCH_BYTES);
    b->n = b->n_sent = 0;
    b->is_singly = false;
    while (b->n < n_max && (head = jbi_pipe_next(outbox, &place, &n_bytes)) && fits(b, head)) {
        add(b, head);
        taken = place;
    }
    if (b->bytes.is_broken) {
        b->n = 0;
        taken = begin;
    }
    jbi_pipe_release(outbox, taken);
    return !b->bytes.is_broken;
}

jbi_slice jbi_batch_event(const jbi_batch *b, uint32_t i)
{
    const jbi_batch_entry *e = &b->entries[i];

    return (jbi_slice){b->bytes.data + e->at + e->topic_bytes, e->event_bytes};
}

jbi_slice jbi_batch_topic(const jbi_batch *b, uint32_t i)
{
    return (jbi_slice){b->bytes.data + b->entries[i].at, b->entries[i].topic_bytes};
}

void jbi_batch_compact(jbi_batch *b)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < b->n; i++) {
        if (!b->entries[i].is_settled)
            b->entries[n++] = b->entries[i];
    }
    b->n = n;
    b->n_sent = 0;
}
