/*
 * poll.c: the way of an event out of the ring, whatever the policy.
 *
 * Invariant: what peek shows does not change before advance.
 */
#include "bus/scan.h"
#include "bus/watch.h"

void jbi_sub_pass(jb_sub *sub, const struct jbi_cursor *to, const struct jbi_books *books)
{
    uint64_t n_filtered = to->n_before - sub->cursor.n_before - books->n_delivered -
                          books->n_missed - books->n_conflated - books->n_ahead;

    jbi_count(&sub->slot->n_delivered, books->n_delivered);
    jbi_count(&sub->slot->n_missed, books->n_missed);
    jbi_count(&sub->slot->n_conflated, books->n_conflated);
    jbi_count(&sub->slot->n_filtered, n_filtered);
    sub->cursor = *to;
    /* Pairs with the acquire in readers_limit(): we have finished with every byte before the
     * cursor. */
    atomic_store_explicit(&sub->slot->n_before, to->n_before, memory_order_relaxed);
    atomic_store_explicit(&sub->slot->cursor, to->position, memory_order_release);
}

enum jbi_verdict jbi_sub_decide(jb_sub *sub, uint32_t topic_id)
{
    const char *name;
    int len = jb_bus_topic_name(sub->bus, topic_id, &name);

    return len < 0 ? JBI_VERDICT_SKIP
                   : jbi_filter_decide(&sub->filter, topic_id, name, (size_t)len);
}

int jbi_sub_look(jb_sub *sub)
{
    jb_event event;
    int rc;

    if (jbi_has_notices(sub->bus))
        jbi_notices_publish(sub->bus);
    rc = sub->reading->peek(sub, &event, 1);
    sub->n_shown = 0;
    return rc;
}

int jb_sub_peek(jb_sub *sub, jb_event *events, uint32_t n_max)
{
    int rc;

    if (!sub || (!events && n_max))
        return JB_EINVAL;
    if (!jbi_bus_is_usable(sub->bus))
        return JB_ESTATE;
    if (jbi_has_notices(sub->bus))
        jbi_notices_publish(sub->bus);
    if (sub->watch) {
        /* Who asks for nothing has not found out that there is nothing. */
        if (n_max == 0)
            return 0;
        jbi_watch_pause(sub);
    }
    rc = sub->reading->peek(sub, events, n_max < JBI_SUB_BATCH ? n_max : JBI_SUB_BATCH);
    return sub->watch ? jbi_watch_settle(sub, rc) : rc;
}

int jb_sub_advance_n(jb_sub *sub, uint32_t n)
{
    if (!sub)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(sub->bus))
        return JB_ESTATE;
    /* Armed, it is the watcher's, and nothing is shown. */
    if (jbi_watch_is_armed(sub))
        return n ? JB_EINVAL : 0;
    if (n > sub->n_shown)
        return JB_EINVAL;
    sub->pace.n_last = n;
    if (n)
        return sub->reading->advance(sub, n);
    sub->n_shown = 0;
    return 0;
}

int jb_sub_advance(jb_sub *sub)
{
    if (!sub)
        return JB_EINVAL;
    return jb_sub_advance_n(sub, jbi_watch_is_armed(sub) ? 0 : sub->n_shown);
}
