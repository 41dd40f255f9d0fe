/*
 * pub.c: events from a person or a script onto the bus.
 *
 * Invariant: events are published in the order they came. One that is no event is told of and left
 * out; one for which no room comes ends the work, so that nothing overtakes it.
 */
#include "ctl.h"
#include "lines.h"
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Text is longer than the event made of it, but not without bounds. */
enum { LINE_MAX_BYTES = 8 << 20 };

/* How long to wait before looking at signals. */
static const uint64_t LOOK_UP_NS = UINT64_C(200000000);

typedef struct pub {
    const ctl_opts *opts;
    jb_bus *bus;
    jb_encoder *encoder;
    uint64_t n_published;
    uint64_t n_refused;
} pub;

/* Returns 0, or JB_ETIMEDOUT when the time ran out or we are to stop, or what is wrong. */
static int publish_in_time(pub *p, const jb_event_head *head, const jb_encoded *event)
{
    uint64_t left_ns = p->opts->timeout_ns;
    uint64_t wait_ns;
    int rc;

    do {
        wait_ns = left_ns < LOOK_UP_NS ? left_ns : LOOK_UP_NS;
        left_ns -= wait_ns;
        rc = jb_bus_publish_wait(p->bus, head, event->data, event->len_bytes, wait_ns);
    } while (rc == JB_ETIMEDOUT && left_ns && !is_stopped());
    return rc;
}

static void complain_no_room(pub *p, const char *where)
{
    char *who = tell_waits(p->bus);

    if (is_stopped())
        complain("%s: stopped while waiting for room", where);
    else
        complain("%s: no room within %g s%s", where, (double)p->opts->timeout_ns / 1e9,
                 who ? who : "");
    free(who);
}

/* `where` names the event in complaints. Returns false when the work has to end. */
static bool publish(pub *p, const jb_encoded *event, const char *where)
{
    const char *topic = p->opts->topic ? p->opts->topic : event->topic;
    jb_event_head head = {
        .type = event->type, .priority = event->priority, .source_time = event->source_time};
    int rc = jb_bus_topic(p->bus, topic, strlen(topic), &head.topic_id);

    if (rc < 0) {
        complain("%s: topic \"%s\": %s", where, topic, jb_strerror(rc));
        p->n_refused++;
        return true;
    }
    rc = publish_in_time(p, &head, event);
    if (rc == 0) {
        p->n_published++;
        return true;
    }
    p->n_refused++;
    if (rc == JB_ETIMEDOUT)
        complain_no_room(p, where);
    else
        complain("%s: %s", where, jb_strerror(rc));
    return rc == JB_ETOOBIG;
}

static bool publish_text(pub *p, const char *text, size_t len_bytes, const char *where)
{
    jb_encoded event;
    jb_error err;
    int rc;

    jb_error_init(&err);
    rc = jb_encoder_json(p->encoder, text, len_bytes, &event, &err);
    if (rc == 0)
        return publish(p, &event, where);
    complain("%s, byte %" PRIu64 ": %s", where, err.offset, err.msg);
    p->n_refused++;
    return rc != JB_ENOMEM;
}

static bool is_blank(const char *text, size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    return true;
}

static void publish_lines(pub *p)
{
    lines l = {.fd = STDIN_FILENO, .max_bytes = LINE_MAX_BYTES};
    bool goes_on = true;
    char where[40];
    char *line;
    size_t n;
    int rc = 1;

    while (goes_on && !is_stopped() && (rc = lines_next(&l, &line, &n)) != 0) {
        snprintf(where, sizeof(where), "line %" PRIu64, l.number);
        if (rc == LINES_FAILED) {
            if (errno != EINTR)
                complain("cannot read standard input: %s", strerror(errno));
            p->n_refused += errno != EINTR;
            break;
        }
        if (rc == LINES_TOO_LONG) {
            complain("%s: longer than %d bytes", where, LINE_MAX_BYTES);
            p->n_refused++;
        } else if (!is_blank(line, n)) {
            goes_on = publish_text(p, line, n, where);
        }
    }
    if (is_stopped())
        complain("stopped: what came after line %" PRIu64 " was not published", l.number);
    lines_fini(&l);
}

static void publish_arguments(pub *p)
{
    char where[40];

    for (int i = 0; i < p->opts->n_args; i++) {
        snprintf(where, sizeof(where), "event %d", i + 1);
        if (!publish_text(p, p->opts->args[i], strlen(p->opts->args[i]), where))
            break;
    }
}

/* The whole of standard input, up to one byte more than an event may have. */
static ssize_t read_input(uint8_t *to)
{
    size_t cap_bytes = JB_EVENT_MAX_BYTES + 1;
    size_t n = 0;
    ssize_t got;

    do {
        got = read(STDIN_FILENO, to + n, cap_bytes - n);
        n += got > 0 ? (size_t)got : 0;
    } while (got > 0 && n < cap_bytes);
    return got < 0 ? -1 : (ssize_t)n;
}

static void publish_raw(pub *p)
{
    uint8_t *bytes = malloc(JB_EVENT_MAX_BYTES + 1);
    ssize_t n = bytes ? read_input(bytes) : -1;
    jb_encoded event;
    jb_error err;

    jb_error_init(&err);
    if (n < 0) {
        complain("cannot read standard input: %s", strerror(errno));
        p->n_refused++;
    } else if (jb_event_inspect(bytes, (size_t)n, &event, &err) < 0) {
        complain("standard input, byte %" PRIu64 ": %s", err.offset, err.msg);
        p->n_refused++;
    } else {
        publish(p, &event, "standard input");
    }
    free(bytes);
}

int run_pub(const ctl_opts *opts, jb_bus *bus)
{
    pub p = {.opts = opts, .bus = bus};
    jb_error err;
    int rc;

    jb_error_init(&err);
    rc = jb_encoder_create(NULL, &p.encoder, &err);
    if (rc < 0)
        return complain("%s", jb_strerror(rc));
    catch_stop();
    if (opts->is_raw)
        publish_raw(&p);
    else if (opts->n_args)
        publish_arguments(&p);
    else
        publish_lines(&p);
    jb_encoder_destroy(p.encoder);
    if (p.n_refused)
        complain("%" PRIu64 " published, %" PRIu64 " not", p.n_published, p.n_refused);
    return p.n_refused || is_stopped() ? EXIT_FAILURE : 0;
}
