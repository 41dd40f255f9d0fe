/*
 * client_inbox: the way of an event from the thread to the reader of a subscription.
 *
 * A record is the event's fields, then its topic and its payload, so that a reader looks at it
 * where it lies. Readers that sleep do so on a descriptor: `bell` says that it is to be raised,
 * and whoever takes that away raises it, and says when that is done.
 *
 * Invariant: after a look that showed nothing the descriptor is low and armed, or it is high or
 * about to be; it is lowered only when nobody is about to raise it.
 */
#include "client/client_internal.h"
#include "client/client_sub.h"

#include "base/os.h"
#include "host/text/hmem.h"

#include <poll.h>
#include <string.h>

static uint32_t topic_room(uint32_t topic_bytes)
{
    return (topic_bytes + 1 + 7) & ~7u;
}

void jbi_inbox_raise(jb_client_sub *s)
{
    unsigned armed = JBI_BELL_ARMED;

    if (!atomic_compare_exchange_strong(&s->bell, &armed, JBI_BELL_RISING))
        return;
    jbi_os_event_raise(s->fd);
    atomic_store(&s->bell, JBI_BELL_HIGH);
}

enum jbi_inbox_result jbi_inbox_put(jb_client_sub *s, const jb_client_event *event)
{
    uint32_t topic = topic_room(event->topic_bytes);
    uint32_t n = (uint32_t)sizeof(*event) + topic + event->len_bytes;
    uint8_t *to;

    if (n > jbi_pipe_record_max(&s->inbox))
        return JBI_INBOX_TOO_BIG;
    to = jbi_pipe_claim(&s->inbox, n);
    if (!to) {
        /* Said before the second look: pairs with the reader, who gives room and then asks. */
        atomic_store(&s->is_stalled, true);
        to = jbi_pipe_claim(&s->inbox, n);
    }
    if (!to)
        return JBI_INBOX_FULL;
    memcpy(to, event, sizeof(*event));
    memcpy(to + sizeof(*event), event->topic, event->topic_bytes);
    memset(to + sizeof(*event) + event->topic_bytes, 0, topic - event->topic_bytes);
    memcpy(to + sizeof(*event) + topic, event->payload, event->len_bytes);
    jbi_pipe_commit(&s->inbox);
    s->n_put++;
    jbi_inbox_raise(s);
    return JBI_INBOX_TAKEN;
}

void jbi_inbox_refuse(jb_client_sub *s, int code)
{
    atomic_store(&s->verdict, code);
    jbi_inbox_raise(s);
}

static void look_at(const uint8_t *record, jb_client_event *ret)
{
    memcpy(ret, record, sizeof(*ret));
    ret->topic = (const char *)record + sizeof(*ret);
    ret->payload = record + sizeof(*ret) + topic_room(ret->topic_bytes);
}

static uint32_t look(jb_client_sub *s, jb_client_event *events, uint32_t n_max)
{
    uint32_t place = jbi_pipe_pin(&s->inbox);
    uint32_t n = 0, n_bytes;
    const uint8_t *record;

    s->shown_end = place;
    while (n < n_max && (record = jbi_pipe_next(&s->inbox, &place, &n_bytes))) {
        look_at(record, &events[n++]);
        s->shown_end = place;
    }
    s->n_shown = n;
    return n;
}

int jb_client_sub_peek(jb_client_sub *sub, jb_client_event *events, uint32_t n_max)
{
    uint32_t n;

    if (!sub || (!events && n_max))
        return JB_EINVAL;
    if (sub->near)
        return jbi_near_peek(sub, events, n_max);
    if (!jbi_client_is_here(sub->client))
        return JB_ESTATE;
    n = look(sub, events, n_max);
    if (n || !n_max)
        return (int)n;
    if (atomic_load(&sub->bell) == JBI_BELL_HIGH) {
        jbi_os_event_clear(sub->fd);
        atomic_store(&sub->bell, JBI_BELL_ARMED);
        n = look(sub, events, n_max);
        if (n || atomic_load(&sub->verdict))
            jbi_inbox_raise(sub);
    }
    return n ? (int)n : atomic_load(&sub->verdict);
}

/* Take the first n of what was shown, which end at a place. */
static void give_back(jb_client_sub *s, uint32_t n, uint32_t place, uint64_t sequence)
{
    uint64_t n_taken = atomic_load_explicit(&s->n_taken, memory_order_relaxed) + n;
    bool is_wanted;

    jbi_pipe_release(&s->inbox, place);
    s->n_shown = 0;
    if (n == 0)
        return;
    atomic_store(&s->taken_sequence, sequence);
    atomic_store(&s->n_taken, n_taken);
    is_wanted = jbi_inbox_wants_ack(s, n_taken) && !atomic_exchange(&s->is_ack_asked, true);
    if (atomic_exchange(&s->is_stalled, false) || is_wanted)
        jbi_client_wake(s->client);
}

int jb_client_sub_advance_n(jb_client_sub *sub, uint32_t n)
{
    jb_client_event last = {.sequence = 0};
    uint32_t place, n_bytes;

    if (!sub)
        return JB_EINVAL;
    if (sub->near)
        return jb_sub_advance_n(sub->near, n);
    if (!jbi_client_is_here(sub->client))
        return JB_ESTATE;
    if (n > sub->n_shown)
        return JB_EINVAL;
    place = jbi_pipe_pin(&sub->inbox);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *record = jbi_pipe_next(&sub->inbox, &place, &n_bytes);

        if (i + 1 == n)
            memcpy(&last, record, sizeof(last));
    }
    give_back(sub, n, place, last.sequence);
    return 0;
}

int jb_client_sub_advance(jb_client_sub *sub)
{
    if (!sub)
        return JB_EINVAL;
    if (sub->near)
        return jb_sub_advance(sub->near);
    return jb_client_sub_advance_n(sub, sub->n_shown);
}

int jb_client_sub_fd(jb_client_sub *sub, int *ret_fd)
{
    if (!sub || !ret_fd)
        return JB_EINVAL;
    if (sub->near)
        return jb_sub_fd(sub->near, ret_fd);
    if (!jbi_client_is_here(sub->client))
        return JB_ESTATE;
    if (sub->fd < 0) {
        if (jbi_os_event_create(&sub->fd) != 0)
            return JB_ESYS;
        atomic_store(&sub->bell, JBI_BELL_ARMED);
        if (!jbi_pipe_is_empty(&sub->inbox) || atomic_load(&sub->verdict))
            jbi_inbox_raise(sub);
    }
    *ret_fd = sub->fd;
    return 0;
}

static bool has_something(jb_client_sub *s, int *ret)
{
    jb_client_event event;
    uint32_t n_shown = s->n_shown, shown_end = s->shown_end;

    *ret = jb_client_sub_peek(s, &event, 1);
    /* A look is no peek of the caller's: what that showed, or that it showed nothing, stays. */
    s->n_shown = n_shown;
    s->shown_end = shown_end;
    return *ret != 0;
}

int jb_client_sub_wait(jb_client_sub *sub, uint64_t timeout_ns)
{
    uint64_t begun = jb_clock_now_ns();
    int fd, rc;

    if (!sub)
        return JB_EINVAL;
    if (sub->near)
        return jb_sub_wait(sub->near, timeout_ns);
    rc = jb_client_sub_fd(sub, &fd);
    if (rc < 0)
        return rc;
    while (!has_something(sub, &rc)) {
        uint64_t gone = jb_clock_now_ns() - begun;
        uint64_t ms = gone < timeout_ns ? (timeout_ns - gone + 999999) / 1000000 : 0;
        struct pollfd ready = {.fd = fd, .events = POLLIN};

        if (gone >= timeout_ns)
            return 0;
        (void)poll(&ready, 1, ms > 60000 ? 60000 : (int)ms);
    }
    return rc;
}

int jb_client_sub_is_live(jb_client_sub *sub)
{
    if (!sub)
        return JB_EINVAL;
    if (sub->near)
        return 1;
    if (!jbi_client_is_here(sub->client))
        return JB_ESTATE;
    if (atomic_load(&sub->verdict))
        return atomic_load(&sub->verdict);
    return atomic_load(&sub->is_live);
}
