/*
 * batch.c: several events in one claim.
 *
 * Invariant: the events of a batch become visible together, in their order, next to each other in
 * the order of the bus; or none of them is there.
 */
#include "base/clock.h"
#include "bus/bus_internal.h"

#include <string.h>

struct columns {
    const jb_event_head *heads;
    const uint32_t *lens_bytes;
    uint32_t n_events;
};

static int columns_check(const jb_bus *bus, const struct columns *of, uint64_t *ret_bytes)
{
    uint64_t bytes = 0;

    if (!bus || !of->heads || !of->lens_bytes || of->n_events < 1 || of->n_events > JB_BATCH_MAX)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(bus))
        return JB_ESTATE;
    for (uint32_t i = 0; i < of->n_events; i++) {
        int rc = jbi_head_check(bus, &of->heads[i]);

        if (rc)
            return rc;
        bytes += jbi_record_bytes(of->lens_bytes[i]);
    }
    *ret_bytes = bytes;
    return bytes <= bus->ring.max_record_bytes ? 0 : JB_ETOOBIG;
}

/* Lay the records out in their extent. Either tells where each payload is to be, or copies it. */
static uint64_t records_fill(const jb_bus *bus, const struct columns *of, struct jbi_record *first,
                             uint8_t **ret_payloads, const void *const *payloads)
{
    uint64_t time_ns = jbi_clock_event_ns();
    uint64_t n_bytes = 0;
    uint8_t *at = (uint8_t *)first;

    for (uint32_t i = 0; i < of->n_events; i++) {
        uint32_t len_bytes = of->lens_bytes[i];
        uint8_t *payload = at + sizeof *first;

        jbi_record_fill((struct jbi_record *)(void *)at, bus, &of->heads[i], time_ns, len_bytes);
        if (ret_payloads)
            ret_payloads[i] = payload;
        else if (len_bytes)
            memcpy(payload, payloads[i], len_bytes);
        at += jbi_record_bytes(len_bytes);
        n_bytes += len_bytes;
    }
    return n_bytes;
}

int jb_bus_claim_batch(jb_bus *bus, const jb_event_head *heads, const uint32_t *lens_bytes,
                       uint32_t n_events, uint8_t **ret_payloads, jb_batch *ret_batch)
{
    struct columns of = {heads, lens_bytes, n_events};
    struct jbi_slot slot;
    uint64_t bytes;
    int rc = ret_payloads && ret_batch ? columns_check(bus, &of, &bytes) : JB_EINVAL;

    if (!rc)
        rc = jbi_extent_claim(bus, bytes, n_events, &slot);
    if (rc)
        return rc;
    ret_batch->n_bytes = records_fill(bus, &of, slot.record, ret_payloads, NULL);
    ret_batch->n_events = n_events;
    ret_batch->is_open = 1;
    ret_batch->position = slot.position;
    ret_batch->mark = slot.mark;
    return 0;
}

int jb_bus_commit_batch(jb_bus *bus, jb_batch *batch)
{
    if (!bus || !batch)
        return JB_EINVAL;
    if (!batch->is_open || !jbi_bus_is_usable(bus))
        return JB_ESTATE;
    batch->is_open = 0;
    return jbi_extent_commit(bus, batch->position, batch->mark, batch->n_events, batch->n_bytes);
}

int jb_bus_abort_batch(jb_bus *bus, jb_batch *batch)
{
    if (!bus || !batch)
        return JB_EINVAL;
    if (!batch->is_open || !jbi_bus_is_usable(bus))
        return JB_ESTATE;
    batch->is_open = 0;
    return jbi_extent_abort(bus, batch->position, batch->mark);
}

int jb_bus_publish_batch(jb_bus *bus, const jb_event_head *heads, const void *const *payloads,
                         const uint32_t *lens_bytes, uint32_t n_events)
{
    struct columns of = {heads, lens_bytes, n_events};
    struct jbi_slot slot;
    uint64_t bytes, n_bytes;
    int rc = payloads ? columns_check(bus, &of, &bytes) : JB_EINVAL;

    for (uint32_t i = 0; i < n_events && !rc; i++)
        rc = payloads[i] || lens_bytes[i] == 0 ? 0 : JB_EINVAL;
    if (!rc)
        rc = jbi_extent_claim(bus, bytes, n_events, &slot);
    if (rc)
        return rc;
    n_bytes = records_fill(bus, &of, slot.record, NULL, payloads);
    return jbi_extent_commit(bus, slot.position, slot.mark, n_events, n_bytes);
}
