/*
 * snapshot.c: asks the library for every figure it has.
 *
 * Invariant: the arrays have room for as many as the bus can ever have, so taking a snapshot
 * allocates nothing.
 */
#include "snapshot.h"

#include "ctl.h"

#include <stdlib.h>
#include <string.h>

/* How many there can be. */
static uint32_t count_groups(jb_bus *bus)
{
    jb_group_stats stats = {.size = sizeof(stats)};
    uint32_t n = 0;
    int rc = 0;

    while (rc == 0 || rc == JB_ENOENT || rc == JB_ECORRUPT)
        rc = jb_bus_group_stats(bus, n++, &stats);
    return n - 1;
}

int snapshot_init(snapshot *s, jb_bus *bus)
{
    int rc;

    memset(s, 0, sizeof(*s));
    s->bus.size = sizeof(s->bus);
    rc = jb_bus_get_stats(bus, &s->bus);
    if (rc < 0)
        return complain("%s", jb_strerror(rc));
    s->max_groups = count_groups(bus);
    s->peers = calloc(s->bus.max_peers + 1u, sizeof(*s->peers));
    s->subs = calloc(s->bus.max_subs + 1u, sizeof(*s->subs));
    s->groups = calloc(s->max_groups + 1u, sizeof(*s->groups));
    return s->peers && s->subs && s->groups ? snapshot_take(s, bus)
                                            : complain("%s", jb_strerror(JB_ENOMEM));
}

void snapshot_fini(snapshot *s)
{
    free(s->peers);
    free(s->subs);
    free(s->groups);
    memset(s, 0, sizeof(*s));
}

int snapshot_take(snapshot *s, jb_bus *bus)
{
    int rc = jb_bus_get_stats(bus, &s->bus);

    s->n_peers = 0;
    s->n_subs = 0;
    s->n_groups = 0;
    for (uint32_t i = 1; i <= s->bus.max_peers && rc >= 0; i++) {
        s->peers[s->n_peers].size = sizeof(*s->peers);
        rc = jb_bus_peer_stats(bus, i, &s->peers[s->n_peers]);
        s->n_peers += rc == 0;
        rc = rc == JB_ENOENT ? 0 : rc;
    }
    for (uint32_t i = 0; i < s->bus.max_subs && rc >= 0; i++) {
        s->subs[s->n_subs].size = sizeof(*s->subs);
        rc = jb_bus_sub_stats(bus, i, &s->subs[s->n_subs]);
        s->n_subs += rc == 0;
        rc = rc == JB_ENOENT ? 0 : rc;
    }
    for (uint32_t i = 0; i < s->max_groups && rc >= 0; i++) {
        s->groups[s->n_groups].size = sizeof(*s->groups);
        rc = jb_bus_group_stats(bus, i, &s->groups[s->n_groups]);
        s->n_groups += rc == 0;
        rc = rc == JB_ENOENT ? 0 : rc;
    }
    s->now_ns = jb_clock_now_ns();
    return rc < 0 ? complain("cannot read the figures: %s", jb_strerror(rc)) : 0;
}

const jb_peer_stats *snapshot_peer_before(const snapshot *before, const jb_peer_stats *peer)
{
    for (uint32_t i = 0; i < before->n_peers; i++) {
        const jb_peer_stats *p = &before->peers[i];

        if (p->idx == peer->idx && p->start_ns == peer->start_ns)
            return p;
    }
    return NULL;
}

const jb_sub_stats *snapshot_sub_before(const snapshot *before, const jb_sub_stats *sub)
{
    for (uint32_t i = 0; i < before->n_subs; i++) {
        const jb_sub_stats *s = &before->subs[i];

        /* A slot may have changed hands; then it counts from nothing again. */
        if (s->idx == sub->idx && s->peer == sub->peer && s->n_delivered <= sub->n_delivered &&
            s->n_filtered <= sub->n_filtered && !strcmp(s->name, sub->name))
            return s;
    }
    return NULL;
}

const jb_group_stats *snapshot_group_before(const snapshot *before, const jb_group_stats *group)
{
    for (uint32_t i = 0; i < before->n_groups; i++) {
        const jb_group_stats *g = &before->groups[i];

        if (g->idx == group->idx && g->n_delivered <= group->n_delivered &&
            !strcmp(g->name, group->name))
            return g;
    }
    return NULL;
}

const jb_sub_stats *snapshot_group_sub(const snapshot *s, const jb_group_stats *group)
{
    for (uint32_t i = 0; i < s->n_subs; i++)
        if (s->subs[i].group == group->idx + 1)
            return &s->subs[i];
    return NULL;
}

const char *snapshot_peer_name(const snapshot *s, uint32_t idx)
{
    for (uint32_t i = 0; i < s->n_peers; i++)
        if (s->peers[i].idx == idx)
            return s->peers[i].name;
    return NULL;
}

double rate_of(uint64_t now, uint64_t before, double seconds)
{
    return now > before && seconds > 0 ? (double)(now - before) / seconds : 0;
}
