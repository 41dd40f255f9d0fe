/*
 * publish: see publish.h.
 *
 * All or none is one batch of the bus, which becomes visible as one; so its ids enter the window
 * before it and leave it again when it had no room.
 */
#include "host/service/publish.h"

#include "host/access/gate.h"
#include "host/service/service.h"
#include "host/text/hmem.h"

#include <math.h>
#include <stdio.h>

enum {
    EVENT_TRACEPARENT = 14,      /* number of Event.traceparent */
    RECORD_OVERHEAD_BYTES = 128, /* what a record costs besides its payload, generously */
    KEEP_BYTES = 64 * 1024
};

void jbi_publish_init(jbi_publish *p, const jb_alloc *alloc)
{
    *p = (jbi_publish){.n = 0};
    jbi_htext_init(&p->notes, alloc);
    jbi_htext_init(&p->copies, alloc);
}

void jbi_publish_fini(jbi_publish *p)
{
    if (!p->notes.alloc)
        return;
    jbi_hmem_free(p->notes.alloc, p->events, p->cap * sizeof(*p->events));
    jbi_htext_fini(&p->notes);
    jbi_htext_fini(&p->copies);
    p->events = NULL;
}

void jbi_publish_begin(jbi_service *s, const jbi_who *who)
{
    jbi_publish *p = &s->publish;

    p->n = 0;
    p->may_command = who->scopes & JBI_SCOPE_COMMAND;
    p->trace.is_there = false;
    jbi_htext_reset(&p->notes, KEEP_BYTES);
    jbi_htext_reset(&p->copies, KEEP_BYTES);
    jbi_htext_add(&p->notes, "", 1);
}

static bool is_trace(const char *text, size_t n)
{
    static const char form[] = "00-................................-................-..";

    if (n != sizeof(form) - 1)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool is_hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');

        if (form[i] == '.' ? !is_hex : text[i] != form[i])
            return false;
    }
    return strspn(text + 3, "0") < 32 && strspn(text + 36, "0") < 16;
}

void jbi_publish_trace(jbi_service *s, const jbi_fields *fields)
{
    jbi_trace *trace = &s->publish.trace;
    size_t n = 0;
    const char *text = jbi_fields_get(fields, JBI_FIELD_TRACEPARENT, &n);

    if (!text || !is_trace(text, n))
        return;
    trace->field[0] = EVENT_TRACEPARENT << 3 | JBI_WIRE_BYTES;
    trace->field[1] = (uint8_t)n;
    memcpy(trace->field + 2, text, n);
    trace->is_there = true;
}

/* Room for one more; NULL when there is none. */
static jbi_pending *grow(jbi_service *s)
{
    jbi_publish *p = &s->publish;
    size_t size = sizeof(*p->events);

    if (p->n == p->cap) {
        uint32_t cap = p->cap ? p->cap * 2 : 64;
        jbi_pending *grown = jbi_hmem_realloc(s->alloc, p->events, p->cap * size, cap * size);

        if (!grown)
            return NULL;
        p->events = grown;
        p->cap = cap;
    }
    s->counters.n_tried++;
    p->events[p->n] = (jbi_pending){.idx = p->n};
    return &p->events[p->n++];
}

/* Whether the id tells this event from others. Two broken ids may have become one text, and true or
 * false is a flag that some client put there; leaving such an event out would lose it. */
static bool is_distinct_id(const char *id, size_t n)
{
    if ((n == 4 && !memcmp(id, "true", 4)) || (n == 5 && !memcmp(id, "false", 5)))
        return false;
    return n == 0 || !memmem(id, n, "\xEF\xBF\xBD", 3); /* U+FFFD */
}

/* Read the id of an event as the window keeps it, and have the window look for it meanwhile. */
static void identify(jbi_service *s, jbi_pending *e)
{
    const jb_encoded *event = &e->event;
    bool is_distinct = is_distinct_id(event->event_id, event->event_id_bytes);

    jbi_dedupe_read(&s->dedupe, event->event_id, is_distinct ? event->event_id_bytes : 0, &e->id);
}

int jbi_publish_add(jbi_service *s, const jb_encoded *event, uint32_t idx)
{
    jbi_pending *to = grow(s);

    if (!to)
        return JB_ENOMEM;
    to->event = *event;
    to->idx = idx;
    identify(s, to);
    return 0;
}

/* Give the event its outcome, and say why. */
static void settle(jbi_service *s, jbi_pending *e, enum jbi_outcome outcome, const char *why)
{
    e->outcome = (uint8_t)outcome;
    if (!why || s->publish.notes.is_broken)
        return;
    e->note = (uint32_t)s->publish.notes.len;
    jbi_htext_add(&s->publish.notes, why, strlen(why) + 1);
    if (s->publish.notes.is_broken)
        e->note = 0;
}

static const char *write_error(const jb_error *err, int code, char to[320])
{
    if (err->msg[0])
        snprintf(to, 320, "%s (byte %llu)", err->msg, (unsigned long long)err->offset);
    else
        snprintf(to, 320, "%s", jb_strerror(code));
    return to;
}

/* Put topic and key of the request into an event that was read, or refuse it. */
static void take(jbi_service *s, const jbi_msg_outgoing *from, int rc, const jb_error *err)
{
    jbi_pending *e = &s->publish.events[s->publish.n - 1];
    char why[320];

    if (rc < 0) {
        settle(s, e, rc == JB_ETOOBIG ? JBI_OUTCOME_TOO_BIG : JBI_OUTCOME_INVALID,
               write_error(err, rc, why));
        return;
    }
    e->key = from->key;
    if (!from->topic.data)
        return;
    if (from->topic.len > JB_TOPIC_MAX_BYTES || from->topic.len == 0) {
        settle(s, e, JBI_OUTCOME_INVALID, "the topic has 1 to 127 bytes");
        return;
    }
    memcpy(e->event.topic, from->topic.data, from->topic.len);
    e->event.topic[from->topic.len] = '\0';
    e->event.topic_bytes = (uint8_t)from->topic.len;
}

static int add_empty(jbi_service *s)
{
    jb_encoded none = {.source_time = NAN};

    if (s->publish.n == s->opts->max_batch_events)
        return JB_ELIMIT;
    return jbi_publish_add(s, &none, s->publish.n);
}

int jbi_publish_add_outgoing(jbi_service *s, const jbi_msg_outgoing *from)
{
    int rc = add_empty(s);
    jbi_pending *e;
    jb_error err;

    if (rc < 0)
        return rc;
    e = &s->publish.events[s->publish.n - 1];
    if (!from->event.data) {
        settle(s, e, JBI_OUTCOME_INVALID, "there is no event in it");
        return 0;
    }
    jb_error_init(&err);
    rc = from->event.len > s->max_event_bytes
             ? JB_ETOOBIG
             : jb_event_inspect(from->event.data, from->event.len, &e->event, &err);
    if (rc == 0)
        identify(s, e);
    take(s, from, rc, &err);
    return 0;
}

int jbi_publish_add_json(jbi_service *s, uint32_t dialect, const jbi_msg_outgoing *from)
{
    jb_encoder *encoder = jbi_service_encoder(s, dialect);
    jbi_htext *copies = &s->publish.copies;
    jb_encoded event;
    jbi_pending *e;
    jb_error err;
    int rc;

    if (!from->event.data || !encoder)
        return encoder ? jbi_publish_add_outgoing(s, from) : JB_ENOMEM;
    rc = add_empty(s);
    if (rc < 0)
        return rc;
    jb_error_init(&err);
    rc = jb_encoder_json(encoder, from->event.data, from->event.len, &event, &err);
    if (rc == 0) {
        e = &s->publish.events[s->publish.n - 1];
        e->event = event;
        identify(s, e);
        e->is_copied = true;
        /* The encoder's buffer is its own again with the next event. */
        e->copy_at = copies->len;
        jbi_htext_add(copies, (const char *)event.data, event.len_bytes);
        if (copies->is_broken)
            return JB_ENOMEM;
    }
    take(s, from, rc, &err);
    return 0;
}

const char *jbi_publish_add_request(jbi_service *s, jbi_slice message, uint32_t events_number,
                                    uint32_t from_idx, bool *ret_all_or_none)
{
    static const char *const malformed = "the request is not protobuf, or a field has another type";
    jbi_wire in = jbi_wire_of(message.data, message.len);
    jbi_msg_field f;
    uint32_t n = 0;
    int rc;

    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        jbi_msg_outgoing event;

        if (events_number == 1 && jbi_msg_is_value(&f, 3) && ret_all_or_none)
            *ret_all_or_none = f.value != 0;
        if (f.number != events_number)
            continue;
        if (f.type != JBI_WIRE_BYTES || jbi_msg_read_outgoing(f.bytes, &event))
            return malformed;
        if (n++ < from_idx)
            continue;
        rc = jbi_publish_add_outgoing(s, &event);
        if (rc < 0)
            return rc == JB_ELIMIT ? "more events in one request than this host takes"
                                   : "no memory for the request";
    }
    if (rc < 0)
        return malformed;
    return n ? NULL : "there is no event in the request";
}

bool jbi_publish_is_known(const jbi_service *s, const jbi_pending *e)
{
    return jbi_dedupe_has(&s->dedupe, &e->id);
}

bool jbi_publish_is_barred(const jbi_service *s, const jb_encoded *e)
{
    return !s->publish.may_command && !strncmp(e->topic, "command.", strlen("command."));
}

/* What the ring wants to know of an event. Sets whether it goes to the topic for those without. */
static int make_head(jbi_service *s, const jb_encoded *e, uint32_t key, jb_event_head *ret_head,
                     bool *ret_overflow)
{
    int rc;

    *ret_head = (jb_event_head){
        .type = e->type, .priority = e->priority, .source_time = e->source_time, .key = key};
    *ret_overflow = false;
    if (jbi_publish_is_barred(s, e))
        return JB_EPERM;
    rc = jb_bus_topic(s->bus, e->topic, e->topic_bytes, &ret_head->topic_id);
    *ret_overflow = rc == JB_ELIMIT;
    if (rc == JB_ELIMIT) {
        ret_head->topic_id = s->overflow_topic;
        rc = 0;
    }
    return rc;
}

static void count(jbi_service *s, const jb_encoded *e, uint32_t topic_id)
{
    jbi_counters_publish(&s->counters, topic_id);
    s->counters.n_repairs += e->n_repairs;
    s->counters.n_overflow += topic_id == s->overflow_topic;
}

/* Publish with the request's trace context before the event, whose own, if it has one, comes later
 * and so is the one that counts. */
static int publish_traced(jbi_service *s, const jb_event_head *head, const jb_encoded *e)
{
    const jbi_trace *trace = &s->publish.trace;
    jb_claim claim;
    uint8_t *to;
    int rc = jb_bus_claim(s->bus, head, sizeof(trace->field) + e->len_bytes, &claim);

    if (rc < 0)
        return rc;
    to = claim.payload;
    memcpy(to, trace->field, sizeof(trace->field));
    memcpy(to + sizeof(trace->field), e->data, e->len_bytes);
    return jb_bus_commit(s->bus, &claim, sizeof(trace->field) + e->len_bytes);
}

int jbi_publish_one(jbi_service *s, const jbi_pending *e)
{
    const jb_encoded *event = &e->event;
    bool is_traced = s->publish.trace.is_there &&
                     event->len_bytes + sizeof(s->publish.trace.field) <= s->max_event_bytes;
    jb_event_head head;
    bool is_overflow;
    int rc = make_head(s, event, e->key, &head, &is_overflow);

    if (rc == 0)
        rc = is_traced ? publish_traced(s, &head, event)
                       : jb_bus_publish(s->bus, &head, event->data, event->len_bytes);
    if (rc < 0)
        return rc;
    count(s, event, head.topic_id);
    jbi_dedupe_add(&s->dedupe, &e->id);
    return 0;
}

/* Room that what was added takes; without what was published before, which costs a look each. */
static uint64_t room_wanted(jbi_service *s, bool new_only)
{
    uint64_t want = 0;

    for (uint32_t i = 0; i < s->publish.n; i++) {
        const jbi_pending *e = &s->publish.events[i];

        if (!new_only || !jbi_publish_is_known(s, e))
            want += e->event.len_bytes + RECORD_OVERHEAD_BYTES;
    }
    return want;
}

static bool has_room(jbi_service *s, uint64_t want)
{
    /* The bus answers for one event at a time; a larger body is asked for as the largest event. */
    if (want > s->max_event_bytes)
        want = s->max_event_bytes;
    return want == 0 || jb_bus_wait_space(s->bus, want, 0) != JB_ETIMEDOUT;
}

bool jbi_publish_has_room(jbi_service *s)
{
    /* A single event needs no look: publishing it says so itself. */
    return s->publish.n < 2 || has_room(s, room_wanted(s, false)) ||
           has_room(s, room_wanted(s, true));
}

const char *const jbi_publish_no_command =
    "an event on a topic of commands is a command, for which the scope is missing";

/* Give an event the outcome of a refusal of the bus. Returns what is wrong with the bus itself. */
static int settle_refused(jbi_service *s, jbi_pending *e, int rc)
{
    switch (rc) {
    case JB_EAGAIN:
        settle(s, e, JBI_OUTCOME_FULL, "the bus is full, send it again");
        return 0;
    case JB_ESTATE:
        settle(s, e, JBI_OUTCOME_FULL, "the bus took its place away, send it again");
        return 0;
    case JB_ETOOBIG:
        settle(s, e, JBI_OUTCOME_TOO_BIG, "the event is larger than the bus takes");
        return 0;
    case JB_EPERM:
        settle(s, e, JBI_OUTCOME_INVALID, jbi_publish_no_command);
        return 0;
    case JB_EINVAL:
        settle(s, e, JBI_OUTCOME_INVALID,
               "the topic is no name: tokens of letters, digits, _, - and : joined by dots");
        return 0;
    default:
        return rc;
    }
}

int jbi_publish_reserve(jbi_service *s)
{
    return grow(s) ? 0 : JB_ENOMEM;
}

int jbi_publish_settle(jbi_service *s, int rc)
{
    jbi_pending *e = &s->publish.events[s->publish.n - 1];

    if (rc < 0)
        return settle_refused(s, e, rc);
    settle(s, e, rc ? JBI_OUTCOME_DUPLICATE : JBI_OUTCOME_ACCEPTED, NULL);
    return 0;
}

/* Nothing overtakes what the bus did not take. When the bus breaks after it took some, they have to
 * be told, so the others have an outcome as well. */
static int run_each(jbi_service *s, bool may_stop)
{
    bool is_any = false;
    int stop = 0;

    for (uint32_t i = 0; i < s->publish.n; i++) {
        jbi_pending *e = &s->publish.events[i];
        int rc;

        if (e->outcome)
            continue;
        if (jbi_publish_is_known(s, e)) {
            settle(s, e, JBI_OUTCOME_DUPLICATE, NULL);
            continue;
        }
        rc = stop ? stop : jbi_publish_one(s, e);
        if (may_stop && (rc == JB_EAGAIN || rc == JB_ESTATE))
            return 0;
        if (rc == 0) {
            settle(s, e, JBI_OUTCOME_ACCEPTED, NULL);
            is_any = true;
        } else if (settle_refused(s, e, rc) < 0) {
            if (!is_any)
                return rc;
            settle(s, e, JBI_OUTCOME_NOT_TRIED, jb_strerror(rc));
            stop = rc;
        } else if (e->outcome == JBI_OUTCOME_FULL) {
            stop = rc;
        }
    }
    return 0;
}

/* The parts of a batch of the bus. */
typedef struct batch {
    jb_event_head *heads;
    const void **payloads;
    uint32_t *lens;
    jbi_pending **events;
    jbi_dedupe_entry *ids; /* what left the window */
    uint32_t n;
    uint32_t n_ids; /* that entered it */
} batch;

enum {
    BATCH_ITEM_BYTES =
        sizeof(jb_event_head) + 2 * sizeof(void *) + sizeof(uint32_t) + sizeof(jbi_dedupe_entry)
};

static void *batch_init(jbi_service *s, batch *b)
{
    size_t n = s->publish.n;
    char *at = jbi_hmem_zalloc(s->alloc, n * BATCH_ITEM_BYTES);

    *b = (batch){.n = 0};
    if (!at)
        return NULL;
    b->heads = (jb_event_head *)(void *)at;
    b->payloads = (const void **)(void *)(b->heads + n);
    b->events = (jbi_pending **)(void *)(b->payloads + n);
    b->lens = (uint32_t *)(void *)(b->events + n);
    b->ids = (jbi_dedupe_entry *)(void *)(b->lens + n);
    return at;
}

static void batch_add(jbi_service *s, batch *b, jbi_pending *e)
{
    bool is_overflow;
    int rc;

    if (jbi_publish_is_known(s, e)) {
        settle(s, e, JBI_OUTCOME_DUPLICATE, NULL);
        return;
    }
    rc = make_head(s, &e->event, e->key, &b->heads[b->n], &is_overflow);
    if (rc < 0) {
        settle_refused(s, e, rc == JB_EPERM ? rc : JB_EINVAL);
        return;
    }
    b->payloads[b->n] = e->event.data;
    b->lens[b->n] = e->event.len_bytes;
    b->events[b->n++] = e;
    if (e->id.len_bytes)
        jbi_dedupe_swap(&s->dedupe, &e->id, &b->ids[b->n_ids++]);
}

/* Nothing was published: the window is what it was, and what was a duplicate of another event of
 * the request is one no more. */
static void batch_undo(jbi_service *s, const batch *b)
{
    jbi_dedupe_undo(&s->dedupe, b->ids, b->n_ids);
    for (uint32_t i = 0; i < s->publish.n; i++) {
        jbi_pending *e = &s->publish.events[i];

        if (e->outcome == JBI_OUTCOME_DUPLICATE && !jbi_publish_is_known(s, e))
            settle(s, e, JBI_OUTCOME_NOT_TRIED, "another event of the request had no room");
    }
}

static int batch_settle(jbi_service *s, const batch *b, int rc)
{
    for (uint32_t i = 0; i < b->n; i++) {
        jbi_pending *e = b->events[i];

        if (rc == 0) {
            count(s, &e->event, b->heads[i].topic_id);
            settle(s, e, JBI_OUTCOME_ACCEPTED, NULL);
        } else if (rc == JB_ETOOBIG) {
            settle(s, e, JBI_OUTCOME_TOO_BIG, "all of them are more than the bus takes at once");
        } else if ((rc == JB_EAGAIN || rc == JB_ESTATE) && i > 0) {
            settle(s, e, JBI_OUTCOME_NOT_TRIED, "another event of the request had no room");
        } else if (settle_refused(s, e, rc) < 0) {
            return rc;
        }
    }
    return 0;
}

static int run_together(jbi_service *s)
{
    batch b;
    void *memory = batch_init(s, &b);
    int rc;

    if (!memory)
        return JB_ENOMEM;
    for (uint32_t i = 0; i < s->publish.n; i++) {
        if (!s->publish.events[i].outcome)
            batch_add(s, &b, &s->publish.events[i]);
    }
    rc = b.n > JB_BATCH_MAX ? JB_ETOOBIG : 0;
    if (rc == 0 && b.n > 0)
        rc = jb_bus_publish_batch(s->bus, b.heads, b.payloads, b.lens, b.n);
    if (rc < 0)
        batch_undo(s, &b);
    rc = batch_settle(s, &b, rc);
    jbi_hmem_free(s->alloc, memory, s->publish.n * BATCH_ITEM_BYTES);
    return rc;
}

static void sum_up(jbi_service *s, jbi_publish_sum *ret)
{
    jbi_counters *c = &s->counters;

    *ret = (jbi_publish_sum){.n_done = 0};
    while (ret->n_done < s->publish.n && s->publish.events[ret->n_done].outcome) {
        ret->n[s->publish.events[ret->n_done].outcome]++;
        ret->n_done++;
    }
    s->publish.n = ret->n_done;
    c->n_duplicates += ret->n[JBI_OUTCOME_DUPLICATE];
    c->n_rejected[JBI_REJECT_EVENT] += ret->n[JBI_OUTCOME_INVALID];
    c->n_rejected[JBI_REJECT_TOO_BIG] += ret->n[JBI_OUTCOME_TOO_BIG];
    c->n_rejected[JBI_REJECT_BUS_FULL] += ret->n[JBI_OUTCOME_FULL] > 0;
}

int jbi_publish_run(jbi_service *s, uint32_t flags, jbi_publish_sum *ret_sum)
{
    jbi_publish *p = &s->publish;
    int rc;

    for (uint32_t i = 0; i < p->n; i++) {
        jbi_pending *e = &p->events[i];

        if (e->is_copied)
            e->event.data = (const uint8_t *)p->copies.data + e->copy_at;
    }
    rc = flags & JBI_PUBLISH_ALL_OR_NONE ? run_together(s)
                                         : run_each(s, flags & JBI_PUBLISH_STOP_WHEN_FULL);
    sum_up(s, ret_sum);
    return rc;
}
