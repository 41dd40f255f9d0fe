/*
 * waits.c: who holds others back, and since when.
 *
 * Invariant: one sentence for each, which names what a person needs in order to do something about
 * it: the number, the name, the process.
 */
#include "ctl.h"
#include "snapshot.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint32_t pid_of(const snapshot *s, uint32_t idx)
{
    for (uint32_t i = 0; i < s->n_peers; i++)
        if (s->peers[i].idx == idx)
            return s->peers[i].pid;
    return 0;
}

label time_since(const snapshot *s, uint64_t since_ns)
{
    return human_age(s->now_ns > since_ns ? s->now_ns - since_ns : 0);
}

clean peer_state(const snapshot *s, const jb_peer_stats *p)
{
    clean c = {{0}};

    if (!p->is_alive)
        strcpy(c.text, "DEAD");
    else if (p->stalled_since_ns)
        snprintf(c.text, sizeof(c.text), "STALLS %s", time_since(s, p->stalled_since_ns).text);
    else
        strcpy(c.text, p->idx == s->bus.peer ? "this" : "alive");
    return c;
}

clean sub_state(const snapshot *s, const jb_sub_stats *u)
{
    clean c = {"-"};

    if (u->held_since_ns)
        snprintf(c.text, sizeof(c.text), "HOLDS %s", time_since(s, u->held_since_ns).text);
    else if (u->is_asleep)
        strcpy(c.text, "asleep");
    return c;
}

/* Number and name. */
static clean peer_label(const snapshot *s, uint32_t idx)
{
    const char *name = snapshot_peer_name(s, idx);
    clean c;
    int n = snprintf(c.text, sizeof(c.text), "%" PRIu32 " ", idx);

    /* A name has 31 bytes. */
    snprintf(c.text + n, sizeof(c.text) - (size_t)n, "%.128s", clean_text(name ? name : "?").text);
    return c;
}

clean sub_owner(const snapshot *s, const jb_sub_stats *u)
{
    clean c = {{0}};

    if (!u->group)
        return peer_label(s, u->peer);
    snprintf(c.text, sizeof(c.text), "group %" PRIu32, u->group - 1);
    return c;
}

clean group_state(const snapshot *s, const jb_group_stats *g)
{
    const jb_sub_stats *u = snapshot_group_sub(s, g);
    clean c = {"-"};

    if (u && u->held_since_ns)
        return sub_state(s, u);
    if (!g->n_workers)
        strcpy(c.text, g->is_holding ? "no worker" : "no worker, holds nobody");
    else if (!g->is_holding)
        strcpy(c.text, "holds nobody");
    else if (u)
        return sub_state(s, u);
    return c;
}

clean group_oldest_peer(const snapshot *s, const jb_group_stats *g)
{
    clean c = {"-"};

    if (g->oldest_peer)
        return peer_label(s, g->oldest_peer);
    if (g->n_pending)
        strcpy(c.text, "nobody");
    return c;
}

static void put_group_wait(FILE *out, const snapshot *s, const jb_group_stats *g,
                           const jb_sub_stats *u)
{
    fprintf(out, "publishers wait for group %" PRIu32 ", %s: %s", g->idx, clean_text(g->name).text,
            time_since(s, u->held_since_ns).text);
    if (g->oldest_peer)
        fprintf(out, "; peer %s, pid %" PRIu32 ", has event %" PRIu64 " for %s",
                peer_label(s, g->oldest_peer).text, pid_of(s, g->oldest_peer), g->oldest_sequence,
                time_since(s, g->oldest_ns).text);
    else if (g->n_pending)
        fprintf(out, "; nobody has taken event %" PRIu64 " again", g->oldest_sequence);
    else
        fprintf(out, "; it takes nothing");
}

uint32_t put_waits(FILE *out, const snapshot *s, const char *before, const char *after)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n_peers; i++) {
        const jb_peer_stats *p = &s->peers[i];

        if (!p->stalled_since_ns)
            continue;
        fprintf(out, "%severybody waits for a claim of peer %" PRIu32 ", %s, pid %" PRIu32 ": %s%s",
                before, p->idx, clean_text(p->name).text, p->pid,
                time_since(s, p->stalled_since_ns).text, after);
        n++;
    }
    for (uint32_t i = 0; i < s->n_groups; i++) {
        const jb_group_stats *g = &s->groups[i];
        const jb_sub_stats *u = snapshot_group_sub(s, g);

        if (!u || !u->held_since_ns)
            continue;
        fputs(before, out);
        put_group_wait(out, s, g, u);
        fputs(after, out);
        n++;
    }
    for (uint32_t i = 0; i < s->n_subs; i++) {
        const jb_sub_stats *u = &s->subs[i];

        if (!u->held_since_ns || u->group)
            continue;
        fprintf(out, "%spublishers wait for subscription %" PRIu32 ", %s, pid %" PRIu32 ": %s%s",
                before, u->idx, clean_text(u->name).text, pid_of(s, u->peer),
                time_since(s, u->held_since_ns).text, after);
        n++;
    }
    return n;
}

char *tell_waits(jb_bus *bus)
{
    char *text = NULL;
    size_t len_bytes = 0;
    FILE *out = open_memstream(&text, &len_bytes);
    snapshot s;

    if (!out)
        return NULL;
    if (snapshot_init(&s, bus) == 0)
        put_waits(out, &s, ": ", "");
    snapshot_fini(&s);
    fclose(out);
    return text;
}
