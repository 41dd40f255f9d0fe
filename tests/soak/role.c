/*
 * role.c: see role.h. Another kind of reader or producer is one more line here and, if it behaves
 * like none of these, a function of its own.
 */
#include "role.h"

#include <time.h>

#define READER     .live = reader_live, .is_reader = true
#define EVERYTHING .patterns = {">"}, .wants = 0xff, .wants_system = 0x3f

const struct role soak_roles[] = {
    {.name = "auditor",
     .n_actors = 1,
     READER,
     .is_auditor = true,
     .policy = JB_SUB_LOSSLESS,
     .start = JB_SUB_FROM_OLDEST,
     EVERYTHING},
    {.name = "lossless, all",
     .n_actors = 2,
     READER,
     .policy = JB_SUB_LOSSLESS,
     .start = JB_SUB_FROM_NOW,
     EVERYTHING,
     .nap_us = 300},
    {.name = "lossless, *",
     .n_actors = 1,
     READER,
     .policy = JB_SUB_LOSSLESS,
     .start = JB_SUB_FROM_OLDEST,
     .patterns = {"soak.*.fast"},
     .wants = 0x05},
    {.name = "lossless, two",
     .n_actors = 1,
     READER,
     .policy = JB_SUB_LOSSLESS,
     .start = JB_SUB_FROM_NOW,
     .patterns = {"noise.>", "system.bus.*"},
     .wants = 0xc0,
     .wants_system = 0x0f,
     .nap_us = 1000},
    {.name = "lossless, brief",
     .n_actors = 1,
     READER,
     .is_brief = true,
     .policy = JB_SUB_LOSSLESS,
     .start = JB_SUB_FROM_OLDEST,
     EVERYTHING},
    {.name = "evictable",
     .n_actors = 1,
     READER,
     .policy = JB_SUB_LOSSLESS,
     .start = JB_SUB_FROM_NOW,
     EVERYTHING,
     .nap_us = 20000,
     .evict_after_ns = 2000000},
    {.name = "evictable, one",
     .n_actors = 1,
     READER,
     .policy = JB_SUB_LOSSLESS,
     .start = JB_SUB_FROM_OLDEST,
     .patterns = {"noise.x"},
     .wants = 0x40,
     .nap_us = 20000,
     .evict_after_ns = 2000000},
    {.name = "high first",
     .n_actors = 2,
     READER,
     .is_high_first = true,
     .policy = JB_SUB_LOSSLESS,
     .start = JB_SUB_FROM_NOW,
     EVERYTHING,
     .nap_us = 1000},
    {.name = "latest, all",
     .n_actors = 2,
     READER,
     .policy = JB_SUB_LATEST,
     .start = JB_SUB_FROM_OLDEST,
     EVERYTHING},
    {.name = "latest, some",
     .n_actors = 1,
     READER,
     .policy = JB_SUB_LATEST,
     .start = JB_SUB_FROM_NOW,
     .patterns = {"soak.b.*", "*.*"},
     .wants = 0x5c,
     .nap_us = 2000},
    {.name = "latest, slow",
     .n_actors = 1,
     READER,
     .policy = JB_SUB_LATEST,
     .start = JB_SUB_FROM_NOW,
     EVERYTHING,
     .nap_us = 20000},
    {.name = "conflate, all",
     .n_actors = 2,
     READER,
     .policy = JB_SUB_CONFLATE,
     .start = JB_SUB_FROM_NOW,
     EVERYTHING,
     .nap_us = 5000},
    {.name = "conflate, some",
     .n_actors = 1,
     READER,
     .policy = JB_SUB_CONFLATE,
     .start = JB_SUB_FROM_OLDEST,
     .patterns = {"soak.>"},
     .wants = 0x3f,
     .nap_us = 1000},
    {.name = "group",
     .n_actors = 3,
     .live = worker_live,
     .is_reader = true,
     .is_worker = true,
     .start = JB_SUB_FROM_NOW,
     EVERYTHING,
     .nap_us = 2000},
    {.name = "producer", .n_actors = 4, .live = producer_live, .nap_us = 200},
    {.name = "claimer", .n_actors = 2, .live = producer_live, .nap_us = 200, .claims = true},
    {.name = "budgeted",
     .n_actors = 1,
     .live = producer_live,
     .nap_us = 200,
     .batches = true,
     .budget = 2},
    {.name = "batcher", .n_actors = 1, .live = producer_live, .nap_us = 200, .batches = true},
    {.name = "batch claimer",
     .n_actors = 1,
     .live = producer_live,
     .nap_us = 200,
     .claims = true,
     .batches = true},
    {.name = "asker", .n_actors = 2, .live = asker_live},
    {.name = "answerer", .n_actors = 2, .live = answerer_live},
};

const uint32_t soak_n_roles = sizeof soak_roles / sizeof soak_roles[0];

void actor_nap_us(uint64_t us)
{
    struct timespec span = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};

    nanosleep(&span, NULL);
}

void actor_wait_go(const struct ledger *ledger)
{
    while (!atomic_load(&ledger->go) && !atomic_load(&ledger->stop))
        actor_nap_us(500);
}

static uint32_t n_actors(bool readers)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < soak_n_roles; i++)
        n += soak_roles[i].is_reader == readers ? soak_roles[i].n_actors : 0;
    return n;
}

jb_bus *actor_open_bus(struct ledger *ledger, const struct role *role)
{
    jb_bus_opts opts;
    jb_bus *bus = NULL;
    jb_error err;
    int rc = JB_ETIMEDOUT;

    jb_bus_opts_init(&opts, sizeof opts);
    jb_error_init(&err);
    opts.capacity_bytes = ledger->capacity_bytes;
    opts.max_topics = 64;
    /* Hardly more places than actors, so that those of the dead are needed again at once. The spare
     * ones are for askers, answerers and slots that somebody who is stopped has half freed. */
    opts.max_subs = n_actors(true) + 8;
    opts.max_peers = n_actors(true) + n_actors(false) + 4;
    opts.peer_name = role->name;
    opts.stall_after_ns = ledger->stall_after_ns;
    opts.budget_bytes = role->budget ? ledger->capacity_bytes / role->budget : 0;
    /* Somebody who is stopped in the middle of opening holds up the others. */
    for (uint32_t i = 0; i < 10 * ledger->slow && rc == JB_ETIMEDOUT; i++)
        rc = jb_bus_open(ledger->bus_name, &opts, &bus, &err);
    if (rc)
        ledger_fail(ledger, "%s: jb_bus_open: %s: %s", role->name, jb_err_name(rc), err.msg);
    return rc ? NULL : bus;
}
