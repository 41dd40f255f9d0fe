/*
 * stat.c: the figures of a bus, once.
 *
 * Invariant: what is wrong is said in words: the dead, the missed, the refused.
 */
#include "ctl.h"
#include "snapshot.h"
#include "text.h"

static uint32_t count_dead(const snapshot *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n_peers; i++)
        n += !s->peers[i].is_alive;
    return n;
}

static void print_subs(const snapshot *s)
{
    const jb_sub_stats *furthest = NULL;
    uint64_t n_missed = 0;
    uint64_t n_conflated = 0;
    uint64_t n_evicted = 0;

    for (uint32_t i = 0; i < s->n_subs; i++) {
        const jb_sub_stats *sub = &s->subs[i];

        n_missed += sub->n_missed;
        n_conflated += sub->n_conflated;
        n_evicted += sub->n_evicted;
        if (sub->lag_bytes && (!furthest || sub->lag_bytes > furthest->lag_bytes))
            furthest = sub;
    }
    if (furthest)
        printf("behind     %s by %s events, %s of the ring (subscription %u, %s)\n",
               clean_text(furthest->name).text, human_count((double)furthest->lag_events).text,
               human_percent(furthest->lag_bytes, s->bus.capacity_bytes).text, furthest->idx,
               policy_name(furthest->policy, furthest->flags));
    else
        printf("behind     nobody\n");
    printf("missed     %s events by open subscriptions, %s conflated, %s evictions\n",
           human_count((double)n_missed).text, human_count((double)n_conflated).text,
           human_count((double)n_evicted).text);
}

static void print_groups(const snapshot *s)
{
    uint64_t n_workers = 0, n_pending = 0, n_redelivered = 0, n_lost = 0;

    for (uint32_t i = 0; i < s->n_groups; i++) {
        n_workers += s->groups[i].n_workers;
        n_pending += s->groups[i].n_pending;
        n_redelivered += s->groups[i].n_redelivered;
        n_lost += s->groups[i].n_lost + s->groups[i].n_missed;
    }
    printf("groups     %u of %u", s->n_groups, s->max_groups);
    if (s->n_groups)
        printf(", %s workers, %s events pending, %s delivered again, %s lost or missed",
               human_count((double)n_workers).text, human_count((double)n_pending).text,
               human_count((double)n_redelivered).text, human_count((double)n_lost).text);
    printf("\n");
}

static void print_stat(const snapshot *s, const char *bus)
{
    const jb_bus_stats *b = &s->bus;

    printf("bus        %s\n", clean_text(bus).text);
    printf("ring       %s of %s in use, %s\n", human_bytes((double)b->used_bytes).text,
           human_bytes((double)b->capacity_bytes).text,
           human_percent(b->used_bytes, b->capacity_bytes).text);
    printf("published  %s events, %s\n", human_count((double)b->n_published).text,
           human_bytes((double)b->n_bytes).text);
    printf("refused    %s times for want of room, %s times over a budget\n",
           human_count((double)b->n_full).text, human_count((double)b->n_over_budget).text);
    printf("claims     %s became nothing, %s cancelled and not given back\n",
           human_count((double)b->n_aborted).text, human_count((double)b->n_revoked).text);
    print_subs(s);
    printf("topics     %u of %u\n", b->n_topics, b->max_topics);
    printf("peers      %u of %u, %u dead, this one included\n", b->n_peers, b->max_peers,
           count_dead(s));
    printf("subs       %u of %u\n", b->n_subs, b->max_subs);
    print_groups(s);
    if (!put_waits(stdout, s, "waiting    ", "\n"))
        printf("waiting    nobody\n");
}

int run_stat(const ctl_opts *opts, jb_bus *bus)
{
    snapshot s;
    int rc = snapshot_init(&s, bus);

    if (rc == 0 && opts->is_json) {
        put_json_snapshot(stdout, &s, opts->bus);
        putchar('\n');
    } else if (rc == 0) {
        print_stat(&s, opts->bus);
    }
    snapshot_fini(&s);
    return rc;
}
