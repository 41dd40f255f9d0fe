/*
 * top.c: the bus as it moves.
 *
 * Invariant: a rate is the difference of two snapshots by the time between them, never a guess; a
 * screen shows the busiest first, and says how many it leaves out.
 */
#include "top.h"
#include "screen.h"
#include "table.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WIDE_BAR_WIDTH = 30, HEAD_ROWS = 4 };

/* Time before the first screen, so that it has rates. */
static const uint64_t FIRST_NS = UINT64_C(250000000);

static void put_head(FILE *out, const top *t)
{
    const jb_bus_stats *b = &t->now.bus;
    const jb_bus_stats *was = &t->before.bus;
    char fill[WIDE_BAR_WIDTH + 1];
    double events = rate_of(b->n_published, was->n_published, t->seconds);
    double bytes = rate_of(b->n_bytes, was->n_bytes, t->seconds);

    fprintf(out, "%c%.8s  bus %s  %u peers  %u subscriptions  %u topics  (q quits)\n", TABLE_MARK,
            clock_time(jb_clock_utc_ns()).text, clean_text(t->opts->bus).text, b->n_peers,
            b->n_subs, b->n_topics);
    fprintf(out, "ring  [%s] %s of %s\n",
            bar(fill, WIDE_BAR_WIDTH, b->used_bytes, b->capacity_bytes),
            human_percent(b->used_bytes, b->capacity_bytes).text,
            human_bytes((double)b->capacity_bytes).text);
    fprintf(out, "flow  %s events/s  %s/s  refused %s/s  aborted %s\n", per_second(events).text,
            human_bytes(bytes).text,
            per_second(
                rate_of(b->n_full + b->n_over_budget, was->n_full + was->n_over_budget, t->seconds))
                .text,
            human_count((double)b->n_aborted).text);
    fprintf(out, "ever  %s events  %s\n", human_count((double)b->n_published).text,
            human_bytes((double)b->n_bytes).text);
}

/* One line, empty when nobody waits. */
static void put_waiting(FILE *out, const top *t)
{
    char *text = NULL;
    size_t len_bytes = 0;
    FILE *waits = open_memstream(&text, &len_bytes);
    uint32_t n = waits ? put_waits(waits, &t->now, "", "; ") : 0;

    if (waits)
        fclose(waits);
    if (n)
        fprintf(out, "%cwait  %.*s", TABLE_MARK, (int)(len_bytes - 2), text);
    putc('\n', out);
    free(text);
}

/* How many rows each list gets. */
typedef struct shares {
    uint32_t n_peers;
    uint32_t n_subs;
    uint32_t n_groups;
} shares;

/* Groups get what they need, up to a third. Of the rest each of the two lists gets what the other
 * does not need, and at least its half. */
static shares share_rows(const top *t, const screen *s)
{
    /* Two headings, the line between the lists and the one that says what is left out. */
    uint32_t room = s->n_rows > HEAD_ROWS + 5 ? s->n_rows - HEAD_ROWS - 5 : 1;
    shares n = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    uint32_t half;

    if (!s->is_live)
        return n;
    n.n_groups = t->now.n_groups < room / 3 ? t->now.n_groups : room / 3;
    if (t->now.n_groups) /* the line before them, their heading, what is left out */
        room -= n.n_groups + 3 < room ? n.n_groups + 3 : room;
    half = room / 2;
    if (t->now.n_subs < half)
        half = room - t->now.n_subs;
    n.n_peers = t->now.n_peers < half ? t->now.n_peers : half;
    n.n_subs = room - n.n_peers;
    return n;
}

static int draw(top *t, screen *s)
{
    char *text = NULL;
    size_t len_bytes = 0;
    FILE *out = open_memstream(&text, &len_bytes);
    int rc = out ? 0 : -1;

    if (out) {
        shares n = share_rows(t, s);

        sort_all(t);
        put_head(out, t);
        put_waiting(out, t);
        rc = put_peers(out, t, n.n_peers);
        if (rc == 0)
            rc = put_subs(out, t, n.n_subs);
        if (rc == 0)
            rc = put_groups(out, t, n.n_groups);
        fclose(out);
    }
    rc = rc == 0 ? screen_draw(s, text, len_bytes) : rc;
    free(text);
    return rc;
}

static int run_screens(top *t, screen *s, jb_bus *bus)
{
    uint64_t next_ns =
        t->before.now_ns + (t->opts->interval_ns < FIRST_NS ? t->opts->interval_ns : FIRST_NS);
    uint64_t n_left = t->opts->n_max;
    enum screen_why why;
    int rc = 0;

    while ((why = screen_wait(s, next_ns)) != SCREEN_QUIT) {
        if (why == SCREEN_TIME) {
            snapshot old = t->before;

            t->before = t->now;
            t->now = old;
            if (snapshot_take(&t->now, bus) != 0)
                return EXIT_FAILURE;
            t->seconds = (double)(t->now.now_ns - t->before.now_ns) / 1e9;
            next_ns = t->now.now_ns + t->opts->interval_ns;
            n_left -= n_left != UINT64_MAX;
        }
        rc = draw(t, s);
        if (rc < 0 || n_left == 0)
            break;
    }
    if (rc < 0 && errno != EPIPE)
        return complain("cannot write: %s", strerror(errno));
    return 0;
}

int run_top(const ctl_opts *opts, jb_bus *bus)
{
    top t = {.opts = opts};
    screen s;
    int rc = snapshot_init(&t.before, bus);

    if (rc == 0)
        rc = snapshot_init(&t.now, bus);
    if (rc == 0) {
        t.peers = calloc(t.now.bus.max_peers + 1u, sizeof(*t.peers));
        t.subs = calloc(t.now.bus.max_subs + 1u, sizeof(*t.subs));
        rc = t.peers && t.subs ? 0 : complain("%s", jb_strerror(JB_ENOMEM));
    }
    if (rc == 0) {
        screen_begin(&s);
        rc = run_screens(&t, &s, bus);
        screen_end(&s);
    }
    free(t.peers);
    free(t.subs);
    snapshot_fini(&t.before);
    snapshot_fini(&t.now);
    return rc;
}
