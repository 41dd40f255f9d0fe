/*
 * For how long somebody has been in the way: a publisher that is stopped while it notes the time
 * brings no old time back when it goes on.
 *
 * Invariant tested: at whatever step it was stopped, a reader that has moved since has its time.
 */
#include "support/step.h"
#include "support/suite.h"

#include <stdio.h>
#include <unistd.h>

#undef memcpy

enum { EVENT_BYTES = 224, EVENTS_PER_LAP = 65536 / 256, STEPS_MAX = 512, CHECK_US = 11000 };
#define EVICT_AFTER_NS UINT64_C(250000000)

static char name[64];
static jb_bus *stopped, *other;
static jb_sub *sub;

/* The steps of one call. */
static uintptr_t steps[STEPS_MAX];
static unsigned n_steps, stop_at;

static jb_bus *open_bus(void)
{
    jb_bus_opts opts;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 65536;
    opts.max_topics = 64;
    return open_named_bus(name, &opts);
}

static int publish(jb_bus *bus)
{
    return publish_number(bus, "a.b", 0, EVENT_BYTES);
}

static void others_go_on(void)
{
    jb_event events[EVENTS_PER_LAP];

    usleep(EVICT_AFTER_NS / 1000);
    ck_assert_int_eq(jb_sub_peek(sub, events, EVENTS_PER_LAP / 2), EVENTS_PER_LAP / 2);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    while (publish(other) == 0)
        ;
}

/* Stopped at one step, for long, and at the next one, for a moment. */
static void on_step(const volatile void *address)
{
    unsigned at = n_steps++;

    if (at < STEPS_MAX)
        steps[at] = (uintptr_t)address;
    if (stop_at == 0 || (at != stop_at && at != stop_at + 1))
        return;
    jbt_before = NULL;
    if (at == stop_at) {
        others_go_on();
    } else {
        usleep(CHECK_US);
        ck_assert_int_eq(publish(other), JB_EAGAIN);
    }
    jbt_before = on_step;
}

/* One publisher finds the reader in its way. */
static void refuse_one(unsigned at)
{
    jb_sub_opts opts;

    snprintf(name, sizeof name, "test-held-%d", (int)getpid());
    jb_bus_unlink(name, NULL);
    stopped = open_bus();
    other = open_bus();
    jb_sub_opts_init(&opts, sizeof opts);
    opts.evict_after_ns = EVICT_AFTER_NS;
    ck_assert_int_eq(jb_bus_subscribe(other, "a.>", 3, &opts, &sub, NULL), 0);
    for (int i = 0; i < EVENTS_PER_LAP; i++)
        ck_assert_int_eq(publish(other), 0);
    n_steps = 0;
    stop_at = at;
    jbt_before = on_step;
    ck_assert_int_eq(publish(stopped), JB_EAGAIN);
    jbt_before = NULL;
}

static void assert_not_evicted(void)
{
    jb_event event;

    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(event.n_missed, 0);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
}

static void close_all(void)
{
    jb_sub_close(sub);
    jb_bus_close(other);
    jb_bus_close(stopped);
}

START_TEST(test_one_that_was_stopped_brings_no_old_time_back)
{
    uintptr_t seen[STEPS_MAX];
    unsigned n, n_tried = 0;

    refuse_one(0);
    n = n_steps;
    ck_assert_uint_lt(n, STEPS_MAX);
    memcpy(seen, steps, sizeof seen);
    close_all();
    /* The time and the place lie side by side, and are written in this order. */
    for (unsigned at = 1; at + 1 < n; at++) {
        if (seen[at + 1] != seen[at] + sizeof(uint64_t))
            continue;
        refuse_one(at);
        assert_not_evicted();
        close_all();
        n_tried++;
    }
    ck_assert_uint_gt(n_tried, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("held");
    TCase *tc = suite_case(suite, "held");

    tcase_add_test(tc, test_one_that_was_stopped_brings_no_old_time_back);
    return suite_run(suite);
}
