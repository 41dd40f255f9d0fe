/*
 * top_lists.c: the lists of a screen of `top`.
 *
 * Invariant: a list shows the busiest first, and says how many it leaves out.
 */
#include "screen.h"
#include "table.h"
#include "text.h"
#include "top.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BAR_WIDTH = 6 };

const char *bar(char *to, size_t width, uint64_t part, uint64_t whole)
{
    double share = whole ? (double)part / (double)whole : 0;
    size_t n = share >= 1 ? width : (size_t)(share * (double)width + 0.999);

    memset(to, '.', width);
    memset(to, '#', n < width ? n : width);
    to[width] = '\0';
    return to;
}

static int by_rate(const void *a, const void *b)
{
    const rank *x = a;
    const rank *y = b;

    if (x->rate != y->rate)
        return x->rate < y->rate ? 1 : -1;
    return x->i < y->i ? -1 : x->i > y->i;
}

label per_second(double rate)
{
    label l = human_count(rate);

    if (rate > 0 && rate < 9.95)
        snprintf(l.text, sizeof(l.text), "%.1f", rate);
    return l;
}

static void put_left_out(FILE *out, uint32_t n_all, uint32_t n_shown, const char *what)
{
    if (n_shown < n_all)
        fprintf(out, "... and %" PRIu32 " more %s\n", n_all - n_shown, what);
    else
        putc('\n', out);
}

int put_peers(FILE *out, top *t, uint32_t n_rows)
{
    static const char *const titles[] = {">#",       "PUBLISHER", ">PID",    "STATE", ">EV/S",
                                         ">BYTES/S", ">REF/S",    ">EVENTS", ">BYTES"};
    uint32_t n = t->now.n_peers < n_rows ? t->now.n_peers : n_rows;
    table list;

    if (table_begin(&list, titles, sizeof(titles) / sizeof(*titles)) < 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        const jb_peer_stats *p = &t->now.peers[t->peers[i].i];
        const jb_peer_stats *was = snapshot_peer_before(&t->before, p);

        table_cell(&list, "%" PRIu32, p->idx);
        table_cell(&list, "%s", clean_text(p->name).text);
        table_cell(&list, "%" PRIu32, p->pid);
        table_cell(&list, "%s", peer_state(&t->now, p).text);
        table_cell(&list, "%s", per_second(t->peers[i].rate).text);
        table_cell(&list, "%s",
                   human_bytes(rate_of(p->n_bytes, was ? was->n_bytes : 0, t->seconds)).text);
        table_cell(&list, "%s",
                   per_second(rate_of(p->n_full + p->n_over_budget,
                                      was ? was->n_full + was->n_over_budget : 0, t->seconds))
                       .text);
        table_cell(&list, "%s", human_count((double)p->n_published).text);
        table_cell(&list, "%s", human_bytes((double)p->n_bytes).text);
    }
    table_end(&list, out, 1);
    put_left_out(out, t->now.n_peers, n, "publishers");
    return 0;
}

int put_subs(FILE *out, top *t, uint32_t n_rows)
{
    static const char *const titles[] = {">#",      "SUBSCRIPTION", "POLICY",  ">EV/S", ">MISS/S",
                                         ">MISSED", "LAG",          ">BEHIND", "STATE", "PATTERN"};
    uint32_t n = t->now.n_subs < n_rows ? t->now.n_subs : n_rows;
    char fill[BAR_WIDTH + 1];
    table list;

    if (table_begin(&list, titles, sizeof(titles) / sizeof(*titles)) < 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        const jb_sub_stats *s = &t->now.subs[t->subs[i].i];
        const jb_sub_stats *was = snapshot_sub_before(&t->before, s);

        table_cell(&list, "%" PRIu32, s->idx);
        table_cell(&list, "%s", clean_text(s->name).text);
        table_cell(&list, "%s", policy_name(s->policy, s->flags));
        table_cell(&list, "%s", per_second(t->subs[i].rate).text);
        table_cell(&list, "%s",
                   per_second(rate_of(s->n_missed, was ? was->n_missed : 0, t->seconds)).text);
        table_cell(&list, "%s", human_count((double)s->n_missed).text);
        table_cell(&list, "[%s]", bar(fill, BAR_WIDTH, s->lag_bytes, t->now.bus.capacity_bytes));
        table_cell(&list, "%s", human_count((double)s->lag_events).text);
        table_cell(&list, "%s", sub_state(&t->now, s).text);
        table_cell(&list, "%s", clean_text(s->pattern).text);
    }
    table_end(&list, out, 1);
    if (n < t->now.n_subs)
        put_left_out(out, t->now.n_subs, n, "subscriptions");
    return 0;
}

int put_groups(FILE *out, const top *t, uint32_t n_rows)
{
    static const char *const titles[] = {">#",   "GROUP",  ">WORKERS", ">ACK/S", ">PENDING", ">FOR",
                                         "WITH", ">AGAIN", ">LOST",    "STATE",  "PATTERN"};
    uint32_t n = t->now.n_groups < n_rows ? t->now.n_groups : n_rows;
    table list;

    if (t->now.n_groups == 0)
        return 0;
    putc('\n', out);
    if (table_begin(&list, titles, sizeof(titles) / sizeof(*titles)) < 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        const jb_group_stats *g = &t->now.groups[i];
        const jb_group_stats *was = snapshot_group_before(&t->before, g);

        table_cell(&list, "%" PRIu32, g->idx);
        table_cell(&list, "%s", clean_text(g->name).text);
        table_cell(&list, "%" PRIu32, g->n_workers);
        table_cell(&list, "%s",
                   per_second(rate_of(g->n_acked, was ? was->n_acked : 0, t->seconds)).text);
        table_cell(&list, "%" PRIu32, g->n_pending);
        table_cell(&list, "%s", g->n_pending ? time_since(&t->now, g->oldest_ns).text : "-");
        table_cell(&list, "%s", group_oldest_peer(&t->now, g).text);
        table_cell(&list, "%s", human_count((double)g->n_redelivered).text);
        table_cell(&list, "%s", human_count((double)(g->n_lost + g->n_missed)).text);
        table_cell(&list, "%s", group_state(&t->now, g).text);
        table_cell(&list, "%s", clean_text(g->pattern).text);
    }
    table_end(&list, out, 1);
    if (n < t->now.n_groups)
        put_left_out(out, t->now.n_groups, n, "groups");
    return 0;
}

void sort_all(top *t)
{
    for (uint32_t i = 0; i < t->now.n_peers; i++) {
        const jb_peer_stats *p = &t->now.peers[i];
        const jb_peer_stats *was = snapshot_peer_before(&t->before, p);

        t->peers[i] = (rank){i, rate_of(p->n_published, was ? was->n_published : 0, t->seconds)};
    }
    for (uint32_t i = 0; i < t->now.n_subs; i++) {
        const jb_sub_stats *s = &t->now.subs[i];
        const jb_sub_stats *was = snapshot_sub_before(&t->before, s);

        t->subs[i] = (rank){i, rate_of(s->n_delivered, was ? was->n_delivered : 0, t->seconds)};
    }
    qsort(t->peers, t->now.n_peers, sizeof(*t->peers), by_rate);
    qsort(t->subs, t->now.n_subs, sizeof(*t->subs), by_rate);
}
