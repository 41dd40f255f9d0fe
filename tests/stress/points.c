/*
 * points.c: see points.h. Real processes, a real segment, real signals.
 */
#include "points.h"

#include "support/step.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#undef memcpy

char points_name[64];

static uint64_t stall_after_ns;

/* The hook. */

static uint64_t n_steps, signal_at;
static int signal_kind;

/* To look at one mark after the other, or at one worker of a group, is one step: what can go wrong
 * lies before and behind. */
static void on_step(const volatile void *address)
{
    enum { TO_NEXT_MARK = 8, TO_NEXT_WORKER = 64 };
    static uintptr_t last;
    uintptr_t step = (uintptr_t)address - last;

    last = (uintptr_t)address;
    if (step != TO_NEXT_MARK && step != TO_NEXT_WORKER && ++n_steps == signal_at)
        kill(getpid(), signal_kind);
}

/* Every process. */

static jb_bus *open_bus(void)
{
    jb_bus_opts opts;

    small_bus_opts(&opts);
    opts.max_subs = 4;
    opts.stall_after_ns = stall_after_ns;
    return open_named_bus(points_name, &opts);
}

static int publish(jb_bus *bus, uint64_t number)
{
    jb_event_head head = {.topic_id = topic_of(bus, "points.x"), .type = JB_EVENT_CUSTOM};
    uint64_t words[EVENT_BYTES / 8];

    for (size_t i = 0; i < EVENT_BYTES / 8; i++)
        words[i] = number + i;
    return jb_bus_publish(bus, &head, words, sizeof words);
}

static uint64_t whole_number_of(const jb_event *event)
{
    uint64_t words[EVENT_BYTES / 8];

    ck_assert_uint_eq(event->len_bytes, EVENT_BYTES);
    memcpy(words, event->payload, sizeof words);
    for (size_t i = 0; i < EVENT_BYTES / 8; i++)
        ck_assert_uint_eq(words[i], words[0] + i);
    return words[0];
}

/* The child. */

void attach(struct child *child)
{
    child->bus = open_bus();
}

void attach_and_subscribe(struct child *child)
{
    attach(child);
    child->sub = subscribe(child->bus, "points.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
}

void subscribe_and_publish(struct child *child)
{
    attach_and_subscribe(child);
    for (uint64_t i = 0; i < CHILD_EVENTS; i++)
        ck_assert_int_eq(publish(child->bus, (uint64_t)BY_CHILD << 40 | i << 20), 0);
}

int run_publish(struct child *child)
{
    int rc = publish(child->bus, (uint64_t)BY_CHILD << 40);

    return rc == JB_ESTATE ? EXIT_CANCELLED : rc != 0;
}

int run_open(struct child *child)
{
    jb_bus_close(open_bus());
    return 0;
}

int run_close(struct child *child)
{
    jb_bus_close(child->bus);
    return 0;
}

int run_subscribe(struct child *child)
{
    jb_sub_close(subscribe(child->bus, "points.>", JB_SUB_LOSSLESS, JB_SUB_FROM_OLDEST));
    return 0;
}

/* Its own events come first, in order. */
int run_read(struct child *child)
{
    uint64_t n = 0;

    while (n < CHILD_EVENTS) {
        jb_event events[2];
        int got = jb_sub_peek(child->sub, events, 2);

        for (int i = 0; i < got && n < CHILD_EVENTS; i++)
            if (whole_number_of(&events[i]) != ((uint64_t)BY_CHILD << 40 | n++ << 20))
                return 2;
        if (got <= 0 || jb_sub_advance(child->sub))
            return 3;
    }
    return 0;
}

/* Finds nothing and sleeps, for as long as it takes the parent to go on. */
int run_wait(struct child *child)
{
    return jb_sub_wait(child->sub, 1000000) != 0;
}

pid_t child_start(const struct task *task, uint64_t at, int kind)
{
    pid_t pid = fork();
    struct child child = {NULL, NULL};
    int rc;

    ck_assert_int_ge(pid, 0);
    if (pid)
        return pid;
    if (task->prepare)
        task->prepare(&child);
    signal_at = at;
    signal_kind = kind;
    jbt_before = on_step;
    rc = task->run(&child);
    jbt_before = NULL;
    _exit(rc);
}

/* The parent. */

static void read_all(struct parent *p)
{
    jb_event events[LAP];
    int n = jb_sub_peek(p->sub, events, LAP);

    ck_assert_int_ge(n, 0);
    for (int i = 0; i < n; i++) {
        uint64_t number = whole_number_of(&events[i]);
        uint64_t count = (number & (((uint64_t)1 << 40) - 1)) >> 20;

        /* Between them lie what the bus says of itself, and what is not asked for. */
        ck_assert_uint_gt(events[i].sequence, p->last);
        p->last = events[i].sequence;
        ck_assert_uint_eq(events[i].n_missed, 0);
        switch (number >> 40) {
        case BY_CHILD:
            ck_assert_uint_eq(count, p->n_child++);
            break;
        case BY_PARENT:
            ck_assert_uint_eq(count, p->n_parent_read++);
            break;
        default:
            ck_assert_uint_eq(number, (uint64_t)BY_THIRD << 40 | p->n_third_read++ << 20);
        }
    }
    ck_assert_int_eq(jb_sub_advance(p->sub), 0);
}

/* Publish one, whatever the dead have left in the way. It reads on meanwhile: itself it must not be
 * in the way either. */
static void publish_on(struct parent *p)
{
    uint64_t number = (uint64_t)BY_PARENT << 40 | p->n_published++ << 20;
    uint64_t start = jb_clock_now_ns();
    int rc;

    while ((rc = publish(p->bus, number)) == JB_EAGAIN) {
        ck_assert_uint_lt(jb_clock_now_ns() - start, HANG_NS);
        read_all(p);
        rc = jb_bus_wait_space(p->bus, EVENT_BYTES, 1000000);
        ck_assert(rc == 0 || rc == JB_ETIMEDOUT);
    }
    ck_assert_int_eq(rc, 0);
}

static void third_publishes(struct parent *p)
{
    pid_t pid = fork();
    int status;

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        jb_bus *bus = open_bus();
        int rc = jb_bus_wait_space(bus, EVENT_BYTES, HANG_NS);

        if (!rc)
            rc = publish(bus, (uint64_t)BY_THIRD << 40 | p->n_third << 20);
        jb_bus_close(bus);
        _exit(rc != 0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    p->n_third++;
}

void go_on(struct parent *p, unsigned n_events)
{
    uint64_t start = jb_clock_now_ns();

    for (unsigned i = 0; i < n_events; i++) {
        publish_on(p);
        read_all(p);
    }
    third_publishes(p);
    while (p->n_third_read < p->n_third || p->n_parent_read < p->n_published) {
        ck_assert_int_eq(jb_sub_wait(p->sub, HANG_NS), 1);
        read_all(p);
    }
    p->took_ns[p->n_rounds++ % ROUNDS_MAX] = jb_clock_now_ns() - start;
}

void go_on_beside(struct parent *p, unsigned n_events, unsigned n_sure)
{
    for (unsigned i = 0; i < n_events; i++) {
        int rc = publish(p->bus, (uint64_t)BY_PARENT << 40 | p->n_published << 20);

        ck_assert(rc == 0 || (rc == JB_EAGAIN && i >= n_sure));
        p->n_published += rc == 0;
        read_all(p);
    }
}

void parent_open(struct parent *p, uint32_t start)
{
    p->bus = open_bus();
    p->sub = subscribe(p->bus, "points.>", JB_SUB_LOSSLESS, start);
    p->last = 0;
}

void parent_begin(struct parent *p, uint64_t stall_ns)
{
    stall_after_ns = stall_ns;
    snprintf(points_name, sizeof points_name, "test-points-%d", (int)getpid());
    jb_bus_unlink(points_name, NULL);
    *p = (struct parent){0};
    parent_open(p, JB_SUB_FROM_NOW);
    publish_on(p);
    go_on(p, LAP);
}

void parent_close(struct parent *p)
{
    jb_sub_close(p->sub);
    jb_bus_close(p->bus);
    /* Nobody is left, so nothing is. */
    ck_assert_int_eq(jb_bus_attach(points_name, NULL, &p->bus, NULL), JB_ENOENT);
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

void report(struct parent *p, const char *how, const char *what, uint64_t n)
{
    size_t n_rounds = p->n_rounds < ROUNDS_MAX ? p->n_rounds : ROUNDS_MAX;
    uint64_t median;

    qsort(p->took_ns, n_rounds, sizeof p->took_ns[0], by_size);
    median = p->took_ns[n_rounds / 2];
    printf(
        "%-8s %-28s %4llu steps; the others went on within %.1f ms (median), %.1f ms (longest)\n",
        how, what, (unsigned long long)n, (double)median / 1e6,
        (double)p->took_ns[n_rounds - 1] / 1e6);
    fflush(stdout);
    ck_assert_uint_lt(median, AT_ONCE_NS);
}
