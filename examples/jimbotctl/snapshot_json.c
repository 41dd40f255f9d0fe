/*
 * snapshot_json.c: a snapshot for programs.
 *
 * Invariant: keys are the names of the public structs' fields, numbers are exact, and only names
 * and patterns are strings that came from the bus.
 */
#include "snapshot.h"
#include "text.h"

#include <inttypes.h>

static void put_text(FILE *out, const char *key, const char *text)
{
    fprintf(out, ",\"%s\":", key);
    put_json_string(out, text);
}

static void put_figure(FILE *out, const char *key, uint64_t value)
{
    fprintf(out, ",\"%s\":%" PRIu64, key, value);
}

static void put_flag(FILE *out, const char *key, uint32_t is_set)
{
    fprintf(out, ",\"%s\":%s", key, is_set ? "true" : "false");
}

static void put_peer(FILE *out, const jb_peer_stats *p, uint64_t now_ns)
{
    fprintf(out, "{\"idx\":%" PRIu32, p->idx);
    put_text(out, "name", p->name);
    put_figure(out, "pid", p->pid);
    put_flag(out, "is_alive", p->is_alive);
    put_figure(out, "start_ns", p->start_ns);
    put_figure(out, "age_ns", now_ns > p->start_ns ? now_ns - p->start_ns : 0);
    put_figure(out, "n_published", p->n_published);
    put_figure(out, "n_bytes", p->n_bytes);
    put_figure(out, "n_aborted", p->n_aborted);
    put_figure(out, "n_full", p->n_full);
    put_figure(out, "n_over_budget", p->n_over_budget);
    put_figure(out, "stalled_since_ns", p->stalled_since_ns);
    putc('}', out);
}

static void put_sub(FILE *out, const jb_sub_stats *s)
{
    fprintf(out, "{\"idx\":%" PRIu32, s->idx);
    put_text(out, "name", s->name);
    put_figure(out, "peer", s->peer);
    put_text(out, "pattern", s->pattern);
    put_text(out, "policy", policy_name(s->policy, s->flags));
    put_figure(out, "n_delivered", s->n_delivered);
    put_figure(out, "n_filtered", s->n_filtered);
    put_figure(out, "n_missed", s->n_missed);
    put_figure(out, "n_conflated", s->n_conflated);
    put_figure(out, "n_evicted", s->n_evicted);
    put_figure(out, "lag_bytes", s->lag_bytes);
    put_figure(out, "lag_events", s->lag_events);
    put_figure(out, "evict_after_ns", s->evict_after_ns);
    put_figure(out, "held_since_ns", s->held_since_ns);
    put_figure(out, "flags", s->flags);
    put_figure(out, "group", s->group);
    put_flag(out, "is_asleep", s->is_asleep);
    putc('}', out);
}

static void put_group(FILE *out, const jb_group_stats *g)
{
    fprintf(out, "{\"idx\":%" PRIu32, g->idx);
    put_text(out, "name", g->name);
    put_text(out, "pattern", g->pattern);
    put_figure(out, "n_workers", g->n_workers);
    put_figure(out, "n_pending", g->n_pending);
    put_flag(out, "is_holding", g->is_holding);
    put_figure(out, "oldest_sequence", g->oldest_sequence);
    put_figure(out, "oldest_peer", g->oldest_peer);
    put_figure(out, "oldest_ns", g->oldest_ns);
    put_figure(out, "taking_peer", g->taking_peer);
    put_figure(out, "n_delivered", g->n_delivered);
    put_figure(out, "n_acked", g->n_acked);
    put_figure(out, "n_redelivered", g->n_redelivered);
    put_figure(out, "n_lost", g->n_lost);
    put_figure(out, "n_filtered", g->n_filtered);
    put_figure(out, "n_missed", g->n_missed);
    put_figure(out, "lag_bytes", g->lag_bytes);
    put_figure(out, "ack_timeout_ns", g->ack_timeout_ns);
    put_figure(out, "evict_after_ns", g->evict_after_ns);
    putc('}', out);
}

void put_json_peers(FILE *out, const snapshot *s)
{
    putc('[', out);
    for (uint32_t i = 0; i < s->n_peers; i++) {
        fputs(i ? "," : "", out);
        put_peer(out, &s->peers[i], s->now_ns);
    }
    putc(']', out);
}

void put_json_subs(FILE *out, const snapshot *s)
{
    putc('[', out);
    for (uint32_t i = 0; i < s->n_subs; i++) {
        fputs(i ? "," : "", out);
        put_sub(out, &s->subs[i]);
    }
    putc(']', out);
}

void put_json_groups(FILE *out, const snapshot *s)
{
    putc('[', out);
    for (uint32_t i = 0; i < s->n_groups; i++) {
        fputs(i ? "," : "", out);
        put_group(out, &s->groups[i]);
    }
    putc(']', out);
}

void put_json_snapshot(FILE *out, const snapshot *s, const char *bus)
{
    fputs("{\"bus\":", out);
    put_json_string(out, bus);
    put_figure(out, "now_ns", s->now_ns);
    put_figure(out, "self", s->bus.peer);
    put_figure(out, "capacity_bytes", s->bus.capacity_bytes);
    put_figure(out, "used_bytes", s->bus.used_bytes);
    put_figure(out, "n_published", s->bus.n_published);
    put_figure(out, "n_bytes", s->bus.n_bytes);
    put_figure(out, "n_aborted", s->bus.n_aborted);
    put_figure(out, "n_full", s->bus.n_full);
    put_figure(out, "n_over_budget", s->bus.n_over_budget);
    put_figure(out, "n_revoked", s->bus.n_revoked);
    put_figure(out, "stall_after_ns", s->bus.stall_after_ns);
    put_figure(out, "n_topics", s->bus.n_topics);
    put_figure(out, "max_topics", s->bus.max_topics);
    put_figure(out, "n_peers", s->bus.n_peers);
    put_figure(out, "max_peers", s->bus.max_peers);
    put_figure(out, "n_subs", s->bus.n_subs);
    put_figure(out, "max_subs", s->bus.max_subs);
    put_figure(out, "n_groups", s->n_groups);
    put_figure(out, "max_groups", s->max_groups);
    fputs(",\"peers\":", out);
    put_json_peers(out, s);
    fputs(",\"subs\":", out);
    put_json_subs(out, s);
    fputs(",\"groups\":", out);
    put_json_groups(out, s);
    putc('}', out);
}
