/*
 * group_use.h: consumer groups of a segment that may hold anything: join, take, end, leave, count.
 *
 * Invariant: what a group shows lies within the segment; every call comes back.
 */
#ifndef TEST_GROUP_USE_H
#define TEST_GROUP_USE_H

#include <string.h>

#include "jimbot/group.h"

enum { GROUP_ROUNDS = 40 };

static inline jb_worker *group_join(jb_bus *bus)
{
    jb_worker *worker = NULL;
    jb_group_opts opts;

    jb_group_opts_init(&opts, sizeof opts);
    opts.start = JB_SUB_FROM_OLDEST;
    opts.ack_timeout_ns = 1;
    opts.evict_after_ns = 1000000;
    (void)jb_group_join(bus, "g", "a.>", 3, &opts, &worker, NULL);
    return worker;
}

static inline bool group_figures_are_sound(jb_bus *bus)
{
    for (uint32_t i = 0; i <= 2; i++) {
        jb_group_stats stats = {.size = sizeof stats};

        if (jb_bus_group_stats(bus, i, &stats))
            continue;
        if (strnlen(stats.name, 32) == 32 || strnlen(stats.pattern, 128) == 128 ||
            stats.n_pending > JB_GROUP_PENDING_MAX || stats.n_workers > JB_GROUP_WORKERS_MAX)
            return false;
    }
    return true;
}

/* Shows each event; gives some back, leaves some to the next worker. */
static inline void group_use(jb_bus *bus, void (*look_at)(const jb_event *event))
{
    jb_worker *workers[2] = {group_join(bus), group_join(bus)};
    jb_event events[64];

    for (uint32_t round = 0; round < GROUP_ROUNDS && workers[round % 2]; round++) {
        jb_worker *worker = workers[round % 2];
        int n = jb_worker_take(worker, events, round % 3 ? 64 : 2);

        for (int i = 0; i < n; i++)
            look_at(&events[i]);
        if (n > 2) {
            (void)jb_worker_ack(worker, events[1].sequence);
            (void)jb_worker_nack(worker, events[0].sequence);
        }
        if (round % 4 < 2)
            (void)jb_worker_ack_all(worker);
        if (round % 8 == 0)
            (void)jb_worker_wait(worker, 1000);
    }
    jb_worker_leave(workers[0]);
    (void)jb_group_remove(bus, "g");
    jb_worker_leave(workers[1]);
}

#endif
