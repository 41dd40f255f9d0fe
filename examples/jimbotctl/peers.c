/*
 * peers.c: who has the bus open, who reads it, and who shares a reading.
 *
 * Invariant: whether a peer is alive is what the kernel says, as the library asks it.
 */
#include "ctl.h"
#include "snapshot.h"
#include "table.h"
#include "text.h"

#include <inttypes.h>

static int print_peers(const snapshot *s)
{
    static const char *const titles[] = {">#",         "NAME",   ">PID",     "STATE", ">OPEN FOR",
                                         ">PUBLISHED", ">BYTES", ">ABORTED", ">FULL", ">BUDGET"};
    table t;

    if (table_begin(&t, titles, sizeof(titles) / sizeof(*titles)) < 0)
        return complain("%s", jb_strerror(JB_ENOMEM));
    for (uint32_t i = 0; i < s->n_peers; i++) {
        const jb_peer_stats *p = &s->peers[i];

        table_cell(&t, "%" PRIu32, p->idx);
        table_cell(&t, "%s", clean_text(p->name).text);
        table_cell(&t, "%" PRIu32, p->pid);
        table_cell(&t, "%s", peer_state(s, p).text);
        table_cell(&t, "%s", time_since(s, p->start_ns).text);
        table_cell(&t, "%" PRIu64, p->n_published);
        table_cell(&t, "%s", human_bytes((double)p->n_bytes).text);
        table_cell(&t, "%" PRIu64, p->n_aborted);
        table_cell(&t, "%" PRIu64, p->n_full);
        table_cell(&t, "%" PRIu64, p->n_over_budget);
    }
    table_end(&t, stdout, 0);
    put_waits(stdout, s, "", "\n");
    return 0;
}

static int print_subs(const snapshot *s)
{
    static const char *const titles[] = {
        ">#",         "NAME",     "PEER",    "POLICY",   ">DELIVERED", ">FILTERED", ">MISSED",
        ">CONFLATED", ">EVICTED", ">BEHIND", ">OF RING", "STATE",      "PATTERN"};
    table t;

    if (table_begin(&t, titles, sizeof(titles) / sizeof(*titles)) < 0)
        return complain("%s", jb_strerror(JB_ENOMEM));
    for (uint32_t i = 0; i < s->n_subs; i++) {
        const jb_sub_stats *u = &s->subs[i];

        table_cell(&t, "%" PRIu32, u->idx);
        table_cell(&t, "%s", clean_text(u->name).text);
        table_cell(&t, "%s", sub_owner(s, u).text);
        table_cell(&t, "%s", policy_name(u->policy, u->flags));
        table_cell(&t, "%" PRIu64, u->n_delivered);
        table_cell(&t, "%" PRIu64, u->n_filtered);
        table_cell(&t, "%" PRIu64, u->n_missed);
        table_cell(&t, "%" PRIu64, u->n_conflated);
        table_cell(&t, "%" PRIu64, u->n_evicted);
        table_cell(&t, "%" PRIu64, u->lag_events);
        table_cell(&t, "%s", human_percent(u->lag_bytes, s->bus.capacity_bytes).text);
        table_cell(&t, "%s", sub_state(s, u).text);
        table_cell(&t, "%s", clean_text(u->pattern).text);
    }
    table_end(&t, stdout, 0);
    put_waits(stdout, s, "", "\n");
    return 0;
}

static int print_groups(const snapshot *s)
{
    static const char *const titles[] = {
        ">#",         "NAME",         ">WORKERS", ">PENDING", ">OLDEST",  ">FOR",  "WITH",
        ">DELIVERED", ">REDELIVERED", ">LOST",    ">MISSED",  ">OF RING", "STATE", "PATTERN"};
    table t;

    if (table_begin(&t, titles, sizeof(titles) / sizeof(*titles)) < 0)
        return complain("%s", jb_strerror(JB_ENOMEM));
    for (uint32_t i = 0; i < s->n_groups; i++) {
        const jb_group_stats *g = &s->groups[i];
        const jb_sub_stats *u = snapshot_group_sub(s, g);

        table_cell(&t, "%" PRIu32, g->idx);
        table_cell(&t, "%s", clean_text(g->name).text);
        table_cell(&t, "%" PRIu32, g->n_workers);
        table_cell(&t, "%" PRIu32, g->n_pending);
        if (g->n_pending)
            table_cell(&t, "%" PRIu64, g->oldest_sequence);
        else
            table_cell(&t, "-");
        table_cell(&t, "%s", g->n_pending ? time_since(s, g->oldest_ns).text : "-");
        table_cell(&t, "%s", group_oldest_peer(s, g).text);
        table_cell(&t, "%" PRIu64, g->n_delivered);
        table_cell(&t, "%" PRIu64, g->n_redelivered);
        table_cell(&t, "%" PRIu64, g->n_lost);
        table_cell(&t, "%" PRIu64, g->n_missed);
        table_cell(&t, "%s",
                   human_percent(u ? u->lag_bytes : g->lag_bytes, s->bus.capacity_bytes).text);
        table_cell(&t, "%s", group_state(s, g).text);
        table_cell(&t, "%s", clean_text(g->pattern).text);
    }
    table_end(&t, stdout, 0);
    put_waits(stdout, s, "", "\n");
    return 0;
}

static int run_one(const ctl_opts *opts, jb_bus *bus, void (*put_all)(FILE *, const snapshot *),
                   int (*print)(const snapshot *))
{
    snapshot s;
    int rc = snapshot_init(&s, bus);

    if (rc == 0 && opts->is_json) {
        put_all(stdout, &s);
        putchar('\n');
    } else if (rc == 0) {
        rc = print(&s);
    }
    snapshot_fini(&s);
    return rc;
}

int run_peers(const ctl_opts *opts, jb_bus *bus)
{
    return run_one(opts, bus, put_json_peers, print_peers);
}

int run_subs(const ctl_opts *opts, jb_bus *bus)
{
    return run_one(opts, bus, put_json_subs, print_subs);
}

int run_groups(const ctl_opts *opts, jb_bus *bus)
{
    return run_one(opts, bus, put_json_groups, print_groups);
}
