/*
 * Events from JSON text, one at a time or as a batch.
 *
 * Invariant: a result says something about the whole body. JB_EPARSE wins over everything: before
 * an element is reported as unfit, its text is checked to its end, and the end of a batch is
 * reported only when every byte of the body was read.
 */
#include "base/error.h"
#include "schema/encoder.h"

static void reader_begin(struct jb_encoder *e, const char *text, size_t len_bytes, jb_error *err)
{
    struct jbi_json *r = &e->json;

    jbi_arena_reset(&e->arena);
    e->is_building = false;
    e->batch_state = JBI_BATCH_NONE;
    e->batch_bytes = 0;
    e->sink.n_frames = 0;
    r->begin = r->pos = text != NULL ? text : "";
    r->end = r->begin + len_bytes;
    r->element = -1;
    r->leap_begin = r->leap_end = NULL;
    r->err = err;
}

/* Some element at `begin` is unfit, for which err has the reason. Step over it, unless it is not
 * JSON. */
static int step_over(struct jb_encoder *e, int code, const char *begin)
{
    struct jbi_json *r = &e->json;
    jb_error *err = r->err;
    jb_error broken = {0};
    int rc;

    e->sink.n_frames = 0;
    r->pos = begin;
    r->err = &broken;
    rc = jbi_json_skip(r);
    r->err = err;
    if (rc == 0)
        return code;
    if (err != NULL)
        *err = broken;
    return rc;
}

/* Encode the value at pos, whatever it is. */
static int element(struct jb_encoder *e, jb_encoded *ret)
{
    struct jbi_json *r = &e->json;
    const char *begin;
    int rc;

    e->sink.n_frames = 0;
    jbi_json_space(r);
    begin = r->pos;
    if (r->pos == r->end)
        return jbi_json_fail(r, JB_EPARSE, r->pos, "expected an event, found the end");
    if (*r->pos != '{') {
        jbi_json_fail(r, JB_EEVENT, r->pos, "an event is an object");
        return step_over(e, JB_EEVENT, begin);
    }
    jbi_sink_begin(&e->sink);
    rc = jbi_json_event(r);
    if (rc == 0 && e->sink.len > e->max_event_bytes)
        rc = jbi_json_sink_failed(r, JB_ETOOBIG, begin);
    if (rc == 0 && e->batch_bytes + e->sink.len > e->max_batch_bytes)
        rc = jbi_json_fail(r, JB_ETOOBIG, begin, "the batch is larger than %u bytes",
                           e->max_batch_bytes);
    if (rc == 0) {
        rc = jbi_encoder_finish(e, ret);
        if (rc < 0)
            jbi_json_sink_failed(r, rc, begin);
    }
    if (rc == 0)
        e->batch_bytes += e->sink.len;
    return rc == 0 || rc == JB_EPARSE || rc == JB_ENOMEM ? rc : step_over(e, rc, begin);
}

/* Nothing but white space may follow. */
static int text_end(struct jbi_json *r)
{
    char here[16];

    r->sink->n_frames = 0;
    jbi_json_space(r);
    if (r->pos == r->end)
        return 0;
    return jbi_json_fail(r, JB_EPARSE, r->pos, "expected the end of the text, found %s",
                         jbi_json_here(r, here));
}

int jb_encoder_json(jb_encoder *e, const char *text, size_t len_bytes, jb_encoded *ret_encoded,
                    jb_error *err)
{
    jb_encoded made;
    int rc, rest;

    if (e == NULL || ret_encoded == NULL || (text == NULL && len_bytes != 0))
        return jbi_error_set(err, JB_EINVAL, "encoder, text or ret_encoded is NULL");
    reader_begin(e, text, len_bytes, err);
    rc = element(e, &made);
    if (rc == JB_EPARSE || rc == JB_ENOMEM)
        return rc;
    if (rc < 0)
        e->json.err = NULL;
    rest = text_end(&e->json);
    if (rest < 0 && rc < 0) {
        e->json.err = err;
        rest = text_end(&e->json);
    }
    if (rest < 0)
        return rest;
    if (rc == 0) {
        jbi_encoder_count(e);
        *ret_encoded = made;
    }
    return rc;
}

int jb_encoder_batch_begin(jb_encoder *e, const char *text, size_t len_bytes, jb_error *err)
{
    if (e == NULL || (text == NULL && len_bytes != 0))
        return jbi_error_set(err, JB_EINVAL, "encoder or text is NULL");
    reader_begin(e, text, len_bytes, NULL);
    e->batch_state = JBI_BATCH_START;
    e->is_enveloped = false;
    return 0;
}

/* What the members of a body that is an object tell about it. */
struct body {
    const char *events; /* value of `events`, NULL when there is none */
    uint32_t n_events;  /* how often it came */
    bool has_type;
};

/* The keys of the object at pos, as far as they are needed: what has a type is an event. pos stays;
 * what is between them is checked when it is read. */
static int body_members(struct jbi_json *r, struct body *body)
{
    const char *begin = r->pos;
    struct jbi_text key;
    int rc = 1;

    *body = (struct body){.events = NULL};
    r->pos++;
    for (jbi_json_space(r); rc > 0 && r->pos != r->end && *r->pos == '"'; jbi_json_space(r)) {
        rc = jbi_json_string(r, &key);
        jbi_json_space(r);
        if (rc < 0 || r->pos == r->end || *r->pos != ':')
            break;
        r->pos++;
        jbi_json_space(r);
        if (r->pos == r->end)
            break;
        body->has_type = key.len_bytes == 4 && memcmp(key.data, "type", 4) == 0;
        if (body->has_type)
            break;
        if (key.len_bytes == 6 && memcmp(key.data, "events", 6) == 0) {
            body->events = r->pos;
            body->n_events++;
        }
        if (!jbi_json_leap(r))
            break;
        jbi_json_space(r);
        if (r->pos == r->end || *r->pos != ',')
            break;
        r->pos++;
        rc = 1;
    }
    r->pos = begin;
    return rc < 0 ? rc : 0;
}

/* The body is sound but holds no events: say so once, then it is at its end. */
static int body_unfit(struct jb_encoder *e, const char *at, const char *msg)
{
    struct jbi_json *r = &e->json;
    int rc;

    jbi_json_fail(r, JB_EEVENT, at, "%s", msg);
    rc = step_over(e, JB_EEVENT, r->begin);
    if (rc == JB_EEVENT) {
        jb_error *err = r->err;
        jb_error broken = {0};
        int rest;

        r->err = &broken;
        rest = text_end(r);
        r->err = err;
        if (rest < 0 && err != NULL)
            *err = broken;
        rc = rest < 0 ? rest : rc;
    }
    e->batch_state = rc == JB_EEVENT ? JBI_BATCH_END : JBI_BATCH_BROKEN;
    return rc;
}

/* Check the members of the envelope before `events`; pos is at its value then. */
static int envelope_head(struct jb_encoder *e, const struct body *body)
{
    struct jbi_json *r = &e->json;
    struct jbi_text key;
    int rc;

    r->pos++;
    for (;;) {
        jbi_json_space(r);
        rc = jbi_json_string(r, &key);
        if (rc < 0)
            return rc;
        jbi_json_space(r);
        r->pos++;
        jbi_json_space(r);
        if (r->pos == body->events)
            return 0;
        rc = jbi_json_skip(r);
        if (rc < 0)
            return rc;
        jbi_json_space(r);
        /* A leap lands on a comma only; a value that ends before it is followed by something
         * else. */
        if (r->pos == r->end || *r->pos != ',')
            return jbi_json_fail(r, JB_EPARSE, r->pos, "expected ',' or '}'");
        r->pos++;
    }
}

/* The rest of the body after the list of events. */
static int envelope_tail(struct jb_encoder *e)
{
    struct jbi_json *r = &e->json;
    struct jbi_text key;
    const char *begin;
    char here[16];
    int rc;

    e->sink.n_frames = 0;
    r->element = -1;
    while (e->is_enveloped) {
        jbi_json_space(r);
        if (r->pos != r->end && *r->pos == '}') {
            r->pos++;
            break;
        }
        if (r->pos == r->end || *r->pos != ',')
            return jbi_json_fail(r, JB_EPARSE, r->pos, "expected ',' or '}', found %s",
                                 jbi_json_here(r, here));
        r->pos++;
        jbi_json_space(r);
        rc = jbi_json_key(r, &key, &begin);
        if (rc < 0)
            return rc;
        rc = jbi_json_skip(r);
        if (rc < 0)
            return rc;
    }
    return text_end(r);
}

/* Enter the list at pos. */
static int list_begin(struct jb_encoder *e)
{
    e->json.pos++;
    e->json.element = 0;
    e->batch_state = JBI_BATCH_LIST;
    return 0;
}

/* Look at what the body is. 0, or the result of the whole call. */
static int batch_start(struct jb_encoder *e)
{
    struct jbi_json *r = &e->json;
    struct body body;
    int rc;

    jbi_json_space(r);
    if (r->pos != r->end && *r->pos == '[')
        return list_begin(e);
    e->batch_state = JBI_BATCH_SINGLE;
    if (r->pos == r->end || *r->pos != '{' || e->sink.dialect->root_type != 0)
        return 0;
    rc = body_members(r, &body);
    if (rc < 0 || body.events == NULL || body.has_type)
        return rc;
    e->is_enveloped = true;
    if (body.n_events > 1)
        return body_unfit(e, body.events, "`events` comes more than once");
    if (*body.events != '[' &&
        (*body.events != '{' || (e->sink.quirks.taken & JB_QUIRK_EMPTY_LISTS) == 0))
        return body_unfit(e, body.events, "`events` is a list of events");
    rc = envelope_head(e, &body);
    if (rc < 0)
        return rc;
    if (*r->pos == '[')
        return list_begin(e);
    /* The empty table of a client whose language has one kind for lists and objects. */
    r->pos++;
    jbi_json_space(r);
    if (r->pos == r->end || *r->pos != '}')
        return body_unfit(e, body.events, "`events` is a list of events");
    r->pos++;
    e->stats.n_empty_lists++;
    e->batch_state = JBI_BATCH_TAIL;
    return 0;
}

/* The next element of the list: 1, 0 after the last, or a code. */
static int list_next(struct jb_encoder *e, jb_encoded *ret)
{
    struct jbi_json *r = &e->json;
    char here[16];
    int rc;

    e->sink.n_frames = 0;
    jbi_json_space(r);
    if (r->pos != r->end && *r->pos == ']') {
        r->pos++;
        e->batch_state = JBI_BATCH_TAIL;
        return 0;
    }
    if (r->element > 0) {
        if (r->pos == r->end || *r->pos != ',')
            return jbi_json_fail(r, JB_EPARSE, r->pos, "expected ',' or ']', found %s",
                                 jbi_json_here(r, here));
        r->pos++;
        jbi_json_space(r);
    }
    rc = element(e, ret);
    r->element++;
    return rc == 0 ? 1 : rc;
}

static int batch_step(struct jb_encoder *e, jb_encoded *ret)
{
    int rc = 0;

    if (e->batch_state == JBI_BATCH_START)
        rc = batch_start(e);
    if (rc < 0)
        return rc;
    if (e->batch_state == JBI_BATCH_SINGLE) {
        e->batch_state = JBI_BATCH_TAIL;
        rc = element(e, ret);
        return rc == 0 ? 1 : rc;
    }
    if (e->batch_state == JBI_BATCH_LIST)
        rc = list_next(e, ret);
    if (rc != 0 || e->batch_state != JBI_BATCH_TAIL)
        return rc;
    rc = envelope_tail(e);
    if (rc == 0)
        e->batch_state = JBI_BATCH_END;
    return rc;
}

int jb_encoder_batch_next(jb_encoder *e, jb_encoded *ret_encoded, jb_error *err)
{
    jb_encoded made;
    int rc;

    if (e == NULL || ret_encoded == NULL)
        return jbi_error_set(err, JB_EINVAL, "encoder or ret_encoded is NULL");
    if (e->batch_state == JBI_BATCH_END)
        return 0;
    if (e->batch_state == JBI_BATCH_NONE || e->batch_state == JBI_BATCH_BROKEN)
        return jbi_error_set(err, JB_ESTATE, "no body is being read");
    e->json.err = err;
    rc = batch_step(e, &made);
    e->json.err = NULL;
    if (rc == 1) {
        jbi_encoder_count(e);
        *ret_encoded = made;
    }
    if (rc == JB_EPARSE || rc == JB_ENOMEM)
        e->batch_state = JBI_BATCH_BROKEN;
    return rc;
}
