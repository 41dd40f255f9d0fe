/*
 * JSON values into the sink.
 *
 * Recursive, but only as deep as the sink has frames (max_depth of the encoder, at most 256): it is
 * asked before every descent.
 *
 * An event's payload cannot be read before its type is known, and clients often send it first. It
 * is leapt over then, and read when the other members have told what it is.
 */
#include "schema/json_reader.h"

/* Where a member that may be the payload stands; begin is NULL when there is none. */
struct span {
    const char *begin;
    const char *end;
    bool is_read;             /* the sink has had it, otherwise it was leapt over */
    struct jbi_quirks before; /* what had been met of quirks before and after that, if so */
    struct jbi_quirks after;
};

struct event_read {
    struct span payload;
    struct span data;
    uint16_t read_as; /* type under which a payload was read already, 0 none */
    bool is_deferred; /* some span was leapt over */
    uint16_t after;   /* id of the field that came last, of the message before the first */
};

static int members(struct jbi_json *r);

int jbi_json_sink_failed(struct jbi_json *r, int rc, const char *at)
{
    if (rc == JB_ETOOBIG)
        return jbi_json_fail(r, rc, at, "the event is larger than %zu bytes",
                             r->sink->max_bytes - JBI_SINK_SLACK_BYTES);
    if (rc == JB_ENOMEM)
        return jbi_json_fail(r, rc, at, "no memory");
    return jbi_json_fail(r, JB_EEVENT, at, "%s", r->sink->why != NULL ? r->sink->why : "misplaced");
}

/* One element of a list of the field's values. f: NULL when only the sink knows. */
static int list_element(struct jbi_json *r, const struct jbi_field_info *f)
{
    if (f == NULL || r->pos == r->end || *r->pos != '{')
        return jbi_json_value(r);
    r->pos++;
    return jbi_json_message(r, f);
}

static int list_elements(struct jbi_json *r)
{
    struct jbi_frame *top = jbi_sink_top(r->sink);
    bool is_typed = top->kind == JBI_FRAME_LIST && top->field->kind == JBI_KIND_MESSAGE &&
                    !top->field->message->is_event;
    const struct jbi_field_info *f = is_typed ? top->field : NULL;
    char here[16];
    int rc;

    jbi_json_space(r);
    if (r->pos != r->end && *r->pos == ']') {
        r->pos++;
        return 0;
    }
    for (;;) {
        rc = list_element(r, f);
        if (rc < 0)
            return rc;
        jbi_json_space(r);
        if (r->pos == r->end || (*r->pos != ',' && *r->pos != ']'))
            return jbi_json_fail(r, JB_EPARSE, r->pos, "expected ',' or ']', found %s",
                                 jbi_json_here(r, here));
        if (*r->pos++ == ']')
            return 0;
    }
}

/* The field whose value comes next, when that is a message. */
static const struct jbi_field_info *message_field(const struct jbi_sink *s)
{
    const struct jbi_frame *top = &s->frames[s->n_frames - 1];
    const struct jbi_field_info *f = s->field;

    if (top->kind != JBI_FRAME_MESSAGE || s->in_raw || !s->has_key || !jbi_json_is_message(f))
        return NULL;
    return jbi_message_is_text(f->message) ? NULL : f;
}

int jbi_json_value(struct jbi_json *r)
{
    const struct jbi_field_info *f;
    struct jbi_token token;
    const char *begin;
    int rc;

    jbi_json_space(r);
    begin = r->pos;
    if (begin == r->end || (*begin != '{' && *begin != '[')) {
        rc = jbi_json_scalar(r, &token);
        if (rc < 0)
            return rc;
        rc = jbi_sink_scalar(r->sink, &token);
        return rc < 0 ? jbi_json_sink_failed(r, rc, begin) : 0;
    }
    r->pos++;
    f = *begin == '{' ? message_field(r->sink) : NULL;
    if (f != NULL)
        return jbi_json_message(r, f);
    rc = *begin == '{' ? jbi_sink_object_open(r->sink) : jbi_sink_list_open(r->sink);
    if (rc < 0)
        return jbi_json_sink_failed(r, rc, begin);
    if (*begin == '[')
        rc = list_elements(r);
    else
        rc = members(r);
    if (rc < 0)
        return rc;
    rc = jbi_sink_close(r->sink);
    return rc < 0 ? jbi_json_sink_failed(r, rc, begin) : 0;
}

int jbi_json_key(struct jbi_json *r, struct jbi_text *ret, const char **ret_begin)
{
    char here[16];
    int rc;

    jbi_json_space(r);
    *ret_begin = r->pos;
    if (r->pos == r->end || *r->pos != '"')
        return jbi_json_fail(r, JB_EPARSE, r->pos, "expected a key in quotes, found %s",
                             jbi_json_here(r, here));
    rc = jbi_json_string(r, ret);
    if (rc < 0)
        return rc;
    jbi_json_space(r);
    if (r->pos == r->end || *r->pos != ':')
        return jbi_json_fail(r, JB_EPARSE, r->pos, "expected ':' after a key, found %s",
                             jbi_json_here(r, here));
    r->pos++;
    jbi_json_space(r);
    return 0;
}

int jbi_json_member_next(struct jbi_json *r)
{
    char here[16];

    jbi_json_space(r);
    if (r->pos == r->end || (*r->pos != ',' && *r->pos != '}'))
        return jbi_json_fail(r, JB_EPARSE, r->pos, "expected ',' or '}', found %s",
                             jbi_json_here(r, here));
    return *r->pos++ == ',';
}

/* Whether the object ends before it began. */
static bool is_empty_object(struct jbi_json *r)
{
    jbi_json_space(r);
    if (r->pos == r->end || *r->pos != '}')
        return false;
    r->pos++;
    return true;
}

static int keyed_value(struct jbi_json *r, struct jbi_text key, const char *begin)
{
    int rc = jbi_sink_key(r->sink, key.data, key.len_bytes);

    return rc < 0 ? jbi_json_sink_failed(r, rc, begin) : jbi_json_value(r);
}

/* Members of an object that has no fields: text, or a map. */
static int object_members(struct jbi_json *r)
{
    struct jbi_text key;
    const char *begin;
    int rc;

    if (is_empty_object(r))
        return 0;
    do {
        rc = jbi_json_key(r, &key, &begin);
        if (rc == 0)
            rc = keyed_value(r, key, begin);
        if (rc == 0)
            rc = jbi_json_member_next(r);
    } while (rc > 0);
    return rc;
}

/* The value of a member whose key was read. */
static int member_value(struct jbi_json *r, const struct jbi_member *m)
{
    int rc;

    if (m->field == NULL)
        return keyed_value(r, m->key, m->begin);
    rc = jbi_sink_key_of(r->sink, m->field);
    return rc < 0 ? jbi_json_sink_failed(r, rc, m->begin) : jbi_json_value(r);
}

static int message_members(struct jbi_json *r)
{
    const struct jbi_message *message = jbi_sink_top(r->sink)->message;
    uint16_t after = message->id;
    struct jbi_member m;
    int rc;

    if (is_empty_object(r))
        return 0;
    for (;;) {
        rc = jbi_json_members_usual(r, &after);
        if (rc <= 0)
            return rc;
        rc = jbi_json_member_key(r, message, after, &m);
        if (rc == 0)
            rc = member_value(r, &m);
        if (rc == 0 && m.field != NULL)
            after = m.field->id;
        if (rc == 0)
            rc = jbi_json_member_next(r);
        if (rc <= 0)
            return rc;
    }
}

/* A value that was leapt over has been read. The leap counts brackets only; here it shows that it
 * landed where the value ends, before `limit`. */
static int span_end(struct jbi_json *r, const struct span *span, const char *limit)
{
    char here[16];

    jbi_json_space(r);
    if (r->pos >= span->end && r->pos <= limit)
        return 0;
    return jbi_json_fail(r, JB_EPARSE, r->pos, "expected ',' or '}', found %s",
                         jbi_json_here(r, here));
}

/* Leap over a value that is read later. */
static int defer(struct jbi_json *r, struct span *span)
{
    const char *begin = r->pos;

    if (!jbi_json_leap(r)) {
        r->pos = begin;
        /* It has no end; the checking walk says where it went wrong. */
        if (jbi_json_skip(r) < 0)
            return JB_EPARSE;
    }
    span->begin = begin;
    span->end = r->pos;
    span->is_read = false;
    return 0;
}

/* The member comes again: nobody is going to read what was leapt over, so check it now. */
static int replace(struct jbi_json *r, const struct span *span, const char *key_begin)
{
    const char *pos = r->pos;
    int rc;

    if (span->begin == NULL || span->is_read)
        return 0;
    if (jbi_sink_key_twice(r->sink) < 0)
        return jbi_json_sink_failed(r, JB_EEVENT, key_begin);
    r->pos = span->begin;
    rc = jbi_json_skip(r);
    if (rc == 0)
        rc = span_end(r, span, pos);
    r->pos = rc == 0 ? pos : r->pos;
    return rc;
}

static bool text_is(struct jbi_text text, const char *word, size_t word_bytes)
{
    return text.len_bytes == word_bytes && memcmp(text.data, word, word_bytes) == 0;
}

static int event_member(struct jbi_json *r, struct event_read *e)
{
    struct jbi_frame *top = jbi_sink_top(r->sink);
    struct jbi_member m;
    struct span *span;
    int rc = jbi_json_member_key(r, top->message, e->after, &m);

    if (rc < 0)
        return rc;
    if (m.field != NULL) {
        e->after = m.field->id;
        return member_value(r, &m);
    }
    span = text_is(m.key, "payload", 7) ? &e->payload : text_is(m.key, "data", 4) ? &e->data : NULL;
    if (span == NULL)
        return keyed_value(r, m.key, m.begin);
    /* Reading on makes other strings of the scratch that a key with escapes lies in. */
    m.key = span == &e->payload ? (struct jbi_text){"payload", 7} : (struct jbi_text){"data", 4};
    rc = replace(r, span, m.begin);
    if (rc < 0)
        return rc;
    if (top->type == 0) {
        e->is_deferred = true;
        return defer(r, span);
    }
    e->read_as = top->type;
    span->begin = r->pos;
    span->is_read = true;
    rc = jbi_sink_key(r->sink, m.key.data, m.key.len_bytes);
    if (rc < 0)
        return jbi_json_sink_failed(r, rc, m.begin);
    span->before = r->sink->quirks;
    rc = jbi_json_value(r);
    span->after = r->sink->quirks;
    span->end = r->pos;
    return rc;
}

/* The value was read and is going to be read again: its quirks were not met yet. */
static void forget(struct jbi_json *r, const struct span *span)
{
    for (unsigned i = 0; span->is_read && i < JBI_N_QUIRKS; i++)
        r->sink->quirks.n[i] -= span->after.n[i] - span->before.n[i];
}

static int read_span(struct jbi_json *r, const struct span *span, struct jbi_text key)
{
    const char *pos = r->pos;
    int rc;

    if (span->begin == NULL)
        return 0;
    r->pos = span->begin;
    rc = keyed_value(r, key, span->begin);
    if (rc == 0)
        rc = span_end(r, span, pos);
    r->pos = rc == 0 ? pos : r->pos;
    return rc;
}

/* Everything else is known: read the payload, again if it was read under another type. */
static int event_payload(struct jbi_json *r, struct event_read *e)
{
    uint16_t type;
    int rc = jbi_sink_event_settle(r->sink);

    if (rc < 0)
        return jbi_json_sink_failed(r, rc, r->pos);
    type = jbi_sink_top(r->sink)->type;
    if (!e->is_deferred && (e->read_as == 0 || e->read_as == type))
        return 0;
    if (e->read_as != 0)
        jbi_sink_drop_payload(r->sink);
    forget(r, &e->payload);
    forget(r, &e->data);
    rc = read_span(r, &e->payload, (struct jbi_text){"payload", 7});
    return rc == 0 ? read_span(r, &e->data, (struct jbi_text){"data", 4}) : rc;
}

static int event_members(struct jbi_json *r)
{
    struct event_read e; /* not all of it: what spans have of quirks is much */
    int rc;

    e.payload.begin = e.data.begin = NULL;
    e.payload.is_read = e.data.is_read = e.is_deferred = false;
    e.read_as = 0;
    e.after = jbi_sink_top(r->sink)->message->id;
    if (is_empty_object(r))
        return 0;
    do {
        rc = jbi_json_members_usual(r, &e.after);
        if (rc <= 0)
            break;
        rc = event_member(r, &e);
        if (rc == 0)
            rc = jbi_json_member_next(r);
    } while (rc > 0);
    return rc < 0 ? rc : event_payload(r, &e);
}

int jbi_json_message(struct jbi_json *r, const struct jbi_field_info *f)
{
    const char *begin = r->pos - 1;
    int rc = jbi_sink_message_open(r->sink, f);

    if (rc < 0)
        return jbi_json_sink_failed(r, rc, begin);
    rc = message_members(r);
    if (rc < 0 || jbi_sink_close_usual(r->sink))
        return rc;
    rc = jbi_sink_close(r->sink);
    return rc < 0 ? jbi_json_sink_failed(r, rc, begin) : 0;
}

/* What stands between the braces of the object that the sink has just opened. */
static int members(struct jbi_json *r)
{
    struct jbi_frame *top = jbi_sink_top(r->sink);

    if (top->kind != JBI_FRAME_MESSAGE)
        return object_members(r);
    return top->message->is_event ? event_members(r) : message_members(r);
}

/* The members of the object at pos, one key after the other; pos stays, and what is broken is found
 * when it is read. 1 when it has that key, 0, or a code. */
static int has_key(struct jbi_json *r, struct jbi_text wanted)
{
    const struct jbi_quirks quirks = r->sink->quirks;
    const char *begin = r->pos++;
    struct jbi_text key;
    int rc = 0;

    for (jbi_json_space(r); rc == 0 && r->pos != r->end && *r->pos == '"'; jbi_json_space(r)) {
        rc = jbi_json_string(r, &key);
        jbi_json_space(r);
        if (rc < 0 || r->pos == r->end || *r->pos++ != ':')
            break;
        rc = text_is(key, wanted.data, wanted.len_bytes);
        jbi_json_space(r);
        if (r->pos == r->end || !jbi_json_leap(r))
            break;
        jbi_json_space(r);
        if (r->pos == r->end || *r->pos++ != ',')
            break;
    }
    r->pos = begin;
    r->sink->quirks = quirks;
    return rc;
}

/* The object that has the payload among its members. */
static int response(struct jbi_json *r, const struct jbi_event_type *type)
{
    const struct jbi_frame *top = jbi_sink_top(r->sink);
    const char *begin = r->pos++;
    int rc = event_members(r);

    if (rc < 0 || (top->seen[type->payload->idx >> 6] >> (type->payload->idx & 63) & 1) != 0)
        return rc;
    return jbi_json_fail(r, JB_EEVENT, begin, "expected a member `%s`", type->payload_key);
}

/* A document of a dialect that has one type of events: the payload, or an object around it. */
static int root_event(struct jbi_json *r)
{
    const struct jbi_dialect *d = r->sink->dialect;
    const struct jbi_event_type *type = &d->types[d->root_type];
    const char *begin = r->pos;
    int rc = has_key(r, (struct jbi_text){d->envelope_key, strlen(d->envelope_key)});

    if (rc < 0)
        return rc;
    r->sink->is_bare = rc == 0;
    rc = jbi_sink_event_open(r->sink, type->json_type, type->json_type_bytes);
    if (rc == 0)
        rc = jbi_sink_event_mark(r->sink);
    if (rc < 0)
        return jbi_json_sink_failed(r, rc, begin);
    if (r->sink->is_bare)
        return keyed_value(r, (struct jbi_text){type->payload_key, type->payload_key_bytes}, begin);
    return response(r, type);
}

int jbi_json_event(struct jbi_json *r)
{
    const char *begin = r->pos;
    int rc;

    if (r->sink->dialect->root_type != 0) {
        rc = root_event(r);
    } else {
        r->pos++;
        rc = members(r);
    }
    if (rc < 0)
        return rc;
    if (jbi_sink_in_event(r->sink) && jbi_sink_top(r->sink)->type == 0)
        return jbi_json_fail(r, JB_EEVENT, begin,
                             "an event has a `type`, a string that is not empty");
    rc = jbi_sink_close(r->sink);
    return rc < 0 ? jbi_json_sink_failed(r, rc, begin) : 0;
}
