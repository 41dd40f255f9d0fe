/*
 * wait.c: waiting for the next event.
 *
 * Invariant: a look at an empty ring is not free for others: it takes the cache line that the
 * publisher is about to write, and the processor fetches lines ahead of a reader that he will write
 * next. So one who waits by spinning looks seldom while a publisher never rests, and often while
 * events come one by one. The gap before a look doubles while looks find events that came close
 * after each other, but few of them, and halves otherwise; and now and then a wide gap is tried,
 * since a publisher who is held up by our looks brings them one by one too.
 */
#include "base/clock.h"
#include "base/os.h"
#include "bus/scan.h"
#include "bus/watch.h"

/* A sleeping reader looks up this often, for claims whose owner has died. */
#define LOOK_UP_NS UINT64_C(50000000)

enum {
    GAP_MIN_NS = 32,
    GAP_MAX_NS = 8192,
    GAP_TRIED_NS = 256,
    WAITS_BETWEEN_TRIES = 128,
    CLOSE_NS = 1000, /* from one event to the next, at most, of a publisher who never rests */
    EVENTS_FEW = 128,
    EVENTS_MANY = 512,
    LOOKS_BETWEEN_YIELDS = 64
};

static void gap_adapt(struct jbi_pace *pace)
{
    if (pace->n_last <= 1 || pace->n_last < pace->gap_ns / CLOSE_NS) {
        bool is_tried = ++pace->n_waits % WAITS_BETWEEN_TRIES == 0;

        pace->gap_ns = is_tried ? GAP_TRIED_NS : pace->gap_ns / 2;
    } else if (pace->n_last < EVENTS_FEW) {
        pace->gap_ns = pace->gap_ns ? pace->gap_ns * 2 : GAP_MIN_NS;
        if (pace->gap_ns > GAP_MAX_NS)
            pace->gap_ns = GAP_MAX_NS;
    } else if (pace->n_last > EVENTS_MANY) {
        pace->gap_ns /= 2;
    }
}

/* Leave the ring alone for a moment. */
static void gap_keep(uint32_t gap_ns)
{
    uint64_t since = jbi_clock_event_ns();

    do {
        jbi_os_pause();
    } while (jbi_clock_event_ns() - since < gap_ns);
}

/* Look at the mark where the next event will be, until it changes or the clock says `until_ns`. */
static bool spin(const jb_sub *sub, uint64_t until_ns)
{
    const struct jbi_ring *ring = &sub->bus->ring;
    uint64_t position = sub->cursor.position;

    for (uint32_t looks = 1;; looks++) {
        if (!jbi_mark_is_pending(ring, jbi_ring_mark_load(ring, position), position))
            return true;
        jbi_os_pause();
        if (looks % LOOKS_BETWEEN_YIELDS)
            continue;
        if (jbi_os_monotonic_ns() >= until_ns)
            return false;
        if (sub->pace.strategy == JB_WAIT_SPIN)
            jbi_os_yield();
    }
}

static void sleep_or_spin(jb_sub *sub, uint64_t now_ns, uint64_t left_ns)
{
    bool is_busy = sub->pace.strategy == JB_WAIT_BUSY;
    uint64_t spin_ns = is_busy ? LOOK_UP_NS : sub->pace.spin_ns;

    if (spin_ns > left_ns)
        spin_ns = left_ns;
    if (spin_ns && spin(sub, now_ns + spin_ns))
        return;
    left_ns -= spin_ns;
    if (!is_busy && left_ns)
        jbi_ring_sleep(&sub->bus->ring, sub->idx, sub->cursor.position,
                       left_ns < LOOK_UP_NS ? left_ns : LOOK_UP_NS);
}

static int wait_for(jb_sub *sub, uint64_t timeout_ns)
{
    uint64_t start = 0;

    if (sub->n_shown)
        return 1;
    if (sub->pace.strategy != JB_WAIT_BLOCK && timeout_ns) {
        gap_adapt(&sub->pace);
        if (sub->pace.gap_ns)
            gap_keep(sub->pace.gap_ns);
    }
    for (;;) {
        int rc = jbi_sub_look(sub);
        uint64_t now;

        if (rc)
            return rc;
        if (timeout_ns == 0)
            return 0;
        now = jbi_os_monotonic_ns();
        if (!start)
            start = now;
        if (now - start >= timeout_ns)
            return 0;
        sleep_or_spin(sub, now, timeout_ns - (now - start));
    }
}

int jb_sub_wait(jb_sub *sub, uint64_t timeout_ns)
{
    int rc;

    if (!sub)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(sub->bus))
        return JB_ESTATE;
    if (sub->watch)
        jbi_watch_pause(sub);
    rc = wait_for(sub, timeout_ns);
    return sub->watch ? jbi_watch_settle(sub, rc) : rc;
}
