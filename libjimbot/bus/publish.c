/*
 * publish.c: the way of an event into the ring.
 *
 * Invariant: an event is either wholly visible to every subscriber, in one place of the order, or
 * it is not there and the caller was told so.
 */
#include "base/clock.h"
#include "base/os.h"
#include "bus/bus_internal.h"

#include <string.h>

/* While waiting for room we look again after this long, and twice as long each time: readers do not
 * wake publishers, or each advance would cost them. */
#define SPACE_POLL_MIN_NS UINT64_C(12500)
#define SPACE_POLL_MAX_NS UINT64_C(200000)

int jbi_head_check(const jb_bus *bus, const jb_event_head *head)
{
    bool is_legal = head->topic_id >= 1 && head->topic_id <= bus->max_topics &&
                    head->type <= JB_EVENT_CUSTOM && head->priority <= JB_PRIORITY_HIGH &&
                    head->flags <= JB_EVENT_IS_REPLY;

    return is_legal ? 0 : JB_EINVAL;
}

int jbi_extent_claim(jb_bus *bus, uint64_t len_bytes, uint32_t n_events, struct jbi_slot *ret_slot)
{
    int rc;

    if (!jbi_budget_allows(&bus->budget, &bus->ring, len_bytes)) {
        atomic_fetch_add_explicit(&bus->self->n_over_budget, 1, memory_order_relaxed);
        return JB_EAGAIN;
    }
    rc = jbi_ring_claim(&bus->ring, len_bytes, n_events, ret_slot);
    if (rc == JB_EAGAIN)
        atomic_fetch_add_explicit(&bus->self->n_full, 1, memory_order_relaxed);
    if (rc == 0)
        jbi_budget_spend(&bus->budget, &bus->ring, ret_slot->position, len_bytes);
    return rc;
}

/* Most handles are used by one thread, which need not lock anything to add to words of its own. */
static void count_published(jb_bus *bus, uint64_t n_events, uint64_t n_bytes)
{
    static _Thread_local __attribute__((tls_model("initial-exec"))) char me;
    void *first = atomic_load_explicit(&bus->first_thread, memory_order_relaxed);

    if (!first &&
        atomic_compare_exchange_strong_explicit(&bus->first_thread, &first, (void *)&me,
                                                memory_order_relaxed, memory_order_relaxed))
        first = &me;
    if (first == &me) {
        jbi_count(&bus->self->n_published_first, n_events);
        jbi_count(&bus->self->n_bytes_first, n_bytes);
    } else {
        atomic_fetch_add_explicit(&bus->self->n_published, n_events, memory_order_relaxed);
        atomic_fetch_add_explicit(&bus->self->n_bytes, n_bytes, memory_order_relaxed);
    }
}

int jbi_extent_commit(jb_bus *bus, uint64_t position, uint64_t mark, uint64_t n_events,
                      uint64_t n_bytes)
{
    int rc = jbi_ring_commit(&bus->ring, position, mark);

    if (rc)
        return rc;
    count_published(bus, n_events, n_bytes);
    jbi_ring_wake(&bus->ring);
    if (jbi_has_notices(bus))
        jbi_notices_publish(bus);
    return 0;
}

int jbi_extent_abort(jb_bus *bus, uint64_t position, uint64_t mark)
{
    int rc = jbi_ring_abort(&bus->ring, position, mark);

    if (rc)
        return rc;
    atomic_fetch_add_explicit(&bus->self->n_aborted, 1, memory_order_relaxed);
    /* Readers may be waiting at this very claim for what lies behind it. */
    jbi_ring_wake(&bus->ring);
    return 0;
}

/* A claimed record with all but its payload filled in. */
static inline int record_claim(jb_bus *bus, const jb_event_head *head, size_t len_bytes,
                               struct jbi_slot *ret_slot)
{
    int rc;

    if (!bus || !head)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(bus))
        return JB_ESTATE;
    rc = jbi_head_check(bus, head);
    if (rc)
        return rc;
    if (len_bytes > JB_EVENT_MAX_BYTES)
        return JB_ETOOBIG;
    rc = jbi_extent_claim(bus, sizeof(struct jbi_record) + len_bytes, 1, ret_slot);
    if (rc)
        return rc;
    jbi_record_fill(ret_slot->record, bus, head, jbi_clock_event_ns(), len_bytes);
    return 0;
}

int jb_bus_publish(jb_bus *bus, const jb_event_head *head, const void *payload, size_t len_bytes)
{
    struct jbi_slot slot;
    int rc;

    if (!payload && len_bytes)
        return JB_EINVAL;
    rc = record_claim(bus, head, len_bytes, &slot);
    if (rc)
        return rc;
    if (len_bytes)
        memcpy(slot.record + 1, payload, len_bytes);
    return jbi_extent_commit(bus, slot.position, slot.mark, 1, len_bytes);
}

int jb_bus_claim(jb_bus *bus, const jb_event_head *head, size_t len_bytes, jb_claim *ret_claim)
{
    struct jbi_slot slot;
    int rc = ret_claim ? record_claim(bus, head, len_bytes, &slot) : JB_EINVAL;

    if (rc)
        return rc;
    ret_claim->payload = (uint8_t *)(slot.record + 1);
    ret_claim->len_bytes = (uint32_t)len_bytes;
    ret_claim->_reserved = 0;
    ret_claim->position = slot.position;
    ret_claim->mark = slot.mark;
    return 0;
}

int jb_bus_commit(jb_bus *bus, jb_claim *claim, size_t len_bytes)
{
    struct jbi_record *record;

    if (!bus || !claim || (claim->payload && len_bytes > claim->len_bytes))
        return JB_EINVAL;
    if (!claim->payload || !jbi_bus_is_usable(bus))
        return JB_ESTATE;
    record = (struct jbi_record *)(void *)(claim->payload - sizeof *record);
    claim->payload = NULL;
    /* A copy of a finished claim must not touch what readers may be reading. */
    if (jbi_ring_mark_load(&bus->ring, claim->position) == claim->mark)
        record->len_bytes = (uint32_t)len_bytes;
    return jbi_extent_commit(bus, claim->position, claim->mark, 1, len_bytes);
}

int jb_bus_abort(jb_bus *bus, jb_claim *claim)
{
    if (!bus || !claim)
        return JB_EINVAL;
    if (!claim->payload || !jbi_bus_is_usable(bus))
        return JB_ESTATE;
    claim->payload = NULL;
    return jbi_extent_abort(bus, claim->position, claim->mark);
}

int jb_bus_publish_encoded(jb_bus *bus, const jb_encoded *encoded)
{
    jb_event_head head = {0};
    int rc;

    if (!encoded)
        return JB_EINVAL;
    rc = jb_bus_topic(bus, encoded->topic, encoded->topic_bytes, &head.topic_id);
    if (rc)
        return rc;
    head.type = encoded->type;
    head.priority = encoded->priority;
    head.source_time = encoded->source_time;
    return jb_bus_publish(bus, &head, encoded->data, encoded->len_bytes);
}

/* Is there room, in the ring and in our budget? */
static int look_for_space(jb_bus *bus, uint64_t len_bytes)
{
    if (!jbi_budget_allows(&bus->budget, &bus->ring, len_bytes))
        return JB_EAGAIN;
    return jbi_ring_make_room(&bus->ring, len_bytes);
}

int jb_bus_wait_space(jb_bus *bus, size_t len_bytes, uint64_t timeout_ns)
{
    uint64_t start = jbi_os_monotonic_ns();
    uint64_t pause_ns = SPACE_POLL_MIN_NS;

    if (!bus)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(bus))
        return JB_ESTATE;
    if (len_bytes > JB_EVENT_MAX_BYTES)
        return JB_ETOOBIG;
    for (;;) {
        int rc = look_for_space(bus, sizeof(struct jbi_record) + len_bytes);
        uint64_t left;

        if (rc != JB_EAGAIN)
            return rc;
        left = jbi_os_monotonic_ns() - start;
        if (left >= timeout_ns)
            return JB_ETIMEDOUT;
        left = timeout_ns - left;
        jbi_os_sleep_ns(left < pause_ns ? left : pause_ns);
        if (pause_ns < SPACE_POLL_MAX_NS)
            pause_ns *= 2;
    }
}

int jb_bus_publish_wait(jb_bus *bus, const jb_event_head *head, const void *payload,
                        size_t len_bytes, uint64_t timeout_ns)
{
    uint64_t start = 0;

    for (;;) {
        int rc = jb_bus_publish(bus, head, payload, len_bytes);
        uint64_t now;

        if (rc != JB_EAGAIN)
            return rc;
        now = jbi_os_monotonic_ns();
        if (!start)
            start = now;
        if (now - start >= timeout_ns)
            return JB_ETIMEDOUT;
        /* Another publisher may take the room we were told of; then we wait again. */
        rc = jb_bus_wait_space(bus, len_bytes, timeout_ns - (now - start));
        if (rc)
            return rc;
    }
}
