/*
 * suite.h: one main() for every check suite, and what tests of buses and coordinators have in
 * common.
 *
 * Invariant: a test program exits 0 only when every test of its suite passed.
 */
#ifndef TEST_SUITE_H
#define TEST_SUITE_H

#include "jimbot/jimbot.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static inline int suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int n_failed;

    srunner_run_all(runner, CK_ENV);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline TCase *suite_case(Suite *suite, const char *name)
{
    TCase *tc = tcase_create(name);

    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    return tc;
}

/* As ck_assert(), but silent while it holds: check writes down every assertion, which makes a loop
 * of millions slow, and is to be kept out of children that are killed. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

/* In a child that runs until it is killed: a parent that fails takes it along. */
static inline void end_with_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Of a bus of 64 KiB: the smallest, so that it wraps soon. */
static inline void small_bus_opts(jb_bus_opts *opts)
{
    jb_bus_opts_init(opts, sizeof *opts);
    opts->capacity_bytes = 65536;
    opts->max_subs = 8;
    opts->max_peers = 8;
    opts->max_topics = 64;
}

static inline jb_bus *open_named_bus(const char *name, const jb_bus_opts *opts)
{
    jb_bus *bus = NULL;
    jb_error err;

    jb_error_init(&err);
    ck_assert_msg(jb_bus_open(name, opts, &bus, &err) == 0, "%s", err.msg);
    return bus;
}

static inline jb_bus *small_bus(void)
{
    jb_bus_opts opts;

    small_bus_opts(&opts);
    return open_named_bus(NULL, &opts);
}

static inline jb_coord *open_coord(const char *name, const jb_coord_opts *opts)
{
    jb_coord *coord = NULL;
    jb_error err;

    jb_error_init(&err);
    ck_assert_msg(jb_coord_open(name, opts, &coord, &err) == 0, "%s", err.msg);
    return coord;
}

static inline uint32_t topic_of(jb_bus *bus, const char *name)
{
    uint32_t id = 0;

    ck_assert_int_eq(jb_bus_topic(bus, name, strlen(name), &id), 0);
    return id;
}

/* Publish a 64-bit number, padded to len_bytes. */
static inline int publish_keyed(jb_bus *bus, const char *topic, uint32_t key, uint64_t number,
                                size_t len_bytes)
{
    jb_event_head head = {.key = key};
    uint8_t bytes[4096] = {0};

    ck_assert_uint_le(len_bytes, sizeof bytes);
    head.topic_id = topic_of(bus, topic);
    head.type = JB_EVENT_CUSTOM;
    memcpy(bytes, &number, sizeof number);
    return jb_bus_publish(bus, &head, bytes, len_bytes);
}

static inline int publish_number(jb_bus *bus, const char *topic, uint64_t number, size_t len_bytes)
{
    return publish_keyed(bus, topic, 0, number, len_bytes);
}

static inline uint64_t number_of(const jb_event *event)
{
    uint64_t number;

    ck_assert_uint_ge(event->len_bytes, sizeof number);
    memcpy(&number, event->payload, sizeof number);
    return number;
}

static inline jb_sub *subscribe(jb_bus *bus, const char *pattern, uint32_t policy, uint32_t start)
{
    jb_sub_opts opts;
    jb_sub *sub = NULL;
    jb_error err;

    jb_sub_opts_init(&opts, sizeof opts);
    opts.policy = policy;
    opts.start = start;
    ck_assert_msg(jb_bus_subscribe(bus, pattern, strlen(pattern), &opts, &sub, &err) == 0, "%s",
                  err.msg);
    return sub;
}

#endif
