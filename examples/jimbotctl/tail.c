/*
 * tail.c: events as they come, one a line.
 *
 * Invariant: every event that is shown is shown whole and in ring order, and what was missed in
 * between is said before the event that follows it.
 */
#include "ctl.h"
#include "text.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 64, N_PEERS = 256 };

/* How long to sleep before looking at signals and at the reader of our output. */
static const uint64_t LOOK_UP_NS = UINT64_C(200000000);

/* How long the name of a publisher is taken for granted. */
static const uint64_t NAME_NS = UINT64_C(1000000000);

typedef struct tail {
    const ctl_opts *opts;
    jb_bus *bus;
    jb_sub *sub;
    uint64_t n_left;
    uint64_t n_missed;  /* told so far */
    uint64_t n_foreign; /* payloads that were no events */
    uint64_t utc_offset_ns;
    char *json;
    size_t json_cap;
    struct {
        uint64_t until_ns;
        char name[32];
    } publishers[N_PEERS];
} tail;

static const char *publisher_name(tail *t, uint32_t idx)
{
    uint64_t now_ns = jb_clock_now_ns();
    jb_peer_stats stats = {.size = sizeof(stats)};

    if (idx >= N_PEERS)
        return "?";
    if (t->publishers[idx].until_ns <= now_ns) {
        if (jb_bus_peer_stats(t->bus, idx, &stats) < 0)
            strcpy(stats.name, "?");
        memcpy(t->publishers[idx].name, stats.name, sizeof(stats.name));
        t->publishers[idx].until_ns = now_ns + NAME_NS;
    }
    return t->publishers[idx].name;
}

/* The event as JSON in t->json. Returns its length, or a JB_E code. */
static int64_t make_json(tail *t, const jb_event *event, jb_error *err)
{
    int64_t n;

    while ((n = jb_event_to_json(event->payload, event->len_bytes, t->json, t->json_cap, err)) >
           (int64_t)t->json_cap) {
        free(t->json);
        t->json_cap = (size_t)n + (size_t)n / 2;
        t->json = malloc(t->json_cap);
        if (!t->json) {
            t->json_cap = 0;
            return JB_ENOMEM;
        }
    }
    return n;
}

static void print_head(tail *t, const jb_event *event)
{
    const char *topic = "?";
    char place[160]; /* no topic has a # in it */

    jb_bus_topic_name(t->bus, event->topic_id, &topic);
    if (event->key)
        snprintf(place, sizeof(place), "%.127s#%" PRIu32, topic, event->key);
    else
        snprintf(place, sizeof(place), "%.127s", topic);
    printf("%8" PRIu64 "  %s  %-24s  %" PRIu32 " %-12s  %9s  ", event->sequence,
           clock_time(event->time_ns + t->utc_offset_ns).text, clean_text(place).text,
           event->publisher, clean_text(publisher_name(t, event->publisher)).text,
           human_bytes(event->len_bytes).text);
}

static void print_event(tail *t, const jb_event *event)
{
    jb_error err;
    int64_t n;

    jb_error_init(&err);
    n = make_json(t, event, &err);
    if (event->n_missed && !t->opts->is_json)
        printf("%8s  %" PRIu64 " events missed, of any topic\n", "...", event->n_missed);
    t->n_missed += event->n_missed;
    if (!t->opts->is_json)
        print_head(t, event);
    if (n >= 0) {
        put_json(stdout, t->json, (size_t)n);
        putchar('\n');
        return;
    }
    t->n_foreign++;
    if (t->opts->is_json)
        complain("event %" PRIu64 " is left out: %s", event->sequence, err.msg);
    else
        printf("not an event: %s\n", clean_text(err.msg).text);
}

/* Nobody reads us any more: the next line would only find that out when there is one. */
static bool is_reader_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return poll(&out, 1, 0) > 0 && (out.revents & POLLERR);
}

/* Returns how many events it printed, or a JB_E code. */
static int print_batch(tail *t)
{
    jb_event events[BATCH];
    uint32_t n_max = t->n_left < BATCH ? (uint32_t)t->n_left : BATCH;
    int n = jb_sub_peek(t->sub, events, n_max);
    int rc;

    for (int i = 0; i < n && !is_output_broken(); i++)
        print_event(t, &events[i]);
    if (n > 0) {
        t->n_left -= t->n_left == UINT64_MAX ? 0 : (uint64_t)n;
        rc = jb_sub_advance(t->sub);
        n = rc < 0 ? rc : n;
    }
    return n;
}

static int follow(tail *t)
{
    int rc = 0;
    int n = 0;

    while (t->n_left && n >= 0 && rc == 0 && !is_stopped()) {
        n = print_batch(t);
        /* In a flood the buffer is written when it is full. */
        if (n < BATCH || is_output_broken())
            rc = flush_output();
        if (n == 0 && rc == 0) {
            n = jb_sub_wait(t->sub, LOOK_UP_NS);
            rc = n == 0 && is_reader_gone();
        }
    }
    if (n < 0)
        return complain("cannot read on: %s", jb_strerror(n));
    return rc < 0 ? EXIT_FAILURE : 0;
}

static int subscribe(tail *t)
{
    const ctl_opts *o = t->opts;
    jb_sub_opts opts;
    jb_error err;
    int rc;

    jb_sub_opts_init(&opts, sizeof(opts));
    opts.policy = o->is_lossless ? JB_SUB_LOSSLESS : JB_SUB_LATEST;
    opts.wait = JB_WAIT_BLOCK;
    opts.start = o->is_from_oldest ? JB_SUB_FROM_OLDEST : JB_SUB_FROM_NOW;
    jb_error_init(&err);
    rc = jb_bus_subscribe(t->bus, o->args[0], strlen(o->args[0]), &opts, &t->sub, &err);
    if (rc < 0)
        return complain("tail: %s", err.msg[0] ? err.msg : jb_strerror(rc));
    for (int i = 1; i < o->n_args; i++) {
        rc = jb_sub_add(t->sub, o->args[i], strlen(o->args[i]));
        if (rc < 0)
            return complain("tail: \"%s\": %s", o->args[i], jb_strerror(rc));
    }
    return 0;
}

/* What was overtaken after the last event that was shown has no event to be told with. */
static void tell_missed(tail *t)
{
    jb_sub_stats stats = {.size = sizeof(stats)};

    if (jb_sub_get_stats(t->sub, &stats) == 0 && stats.n_missed)
        complain("tail: %" PRIu64 " events of any topic were missed%s", stats.n_missed,
                 t->opts->is_json || stats.n_missed != t->n_missed
                     ? ""
                     : ", as said where they would have been");
}

int run_tail(const ctl_opts *opts, jb_bus *bus)
{
    static tail t;
    int rc;

    t = (tail){.opts = opts, .bus = bus, .n_left = opts->n_max};
    t.utc_offset_ns = jb_clock_utc_ns() - jb_clock_now_ns();
    catch_stop();
    rc = subscribe(&t);
    if (rc == 0) {
        rc = follow(&t);
        tell_missed(&t);
        if (rc == 0 && opts->is_json && t.n_foreign)
            rc = EXIT_FAILURE;
    }
    jb_sub_close(t.sub);
    free(t.json);
    return rc;
}
