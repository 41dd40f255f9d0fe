/*
 * The encoder's life, and events given value by value.
 *
 * Value calls go straight to the sink. What they add is the sticky failure, UTF-8 repair of strings
 * that no text reader has looked at, and payloads of nested events that came before their type.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/error.h"
#include "schema/encoder.h"
#include "schema/envelope.h"
#include "schema/utf8.h"

enum { FIRST_BYTES = 64 * 1024, DEFAULT_BATCH_BYTES = 64 << 20 };
enum { DEFAULT_DEPTH = 64, MAX_DEPTH = 256 };

void jb_encoder_opts_init(jb_encoder_opts *opts, uint32_t size)
{
    jb_encoder_opts defaults = {
        .size = (uint32_t)sizeof defaults,
        .max_event_bytes = JB_EVENT_MAX_BYTES,
        .max_batch_bytes = DEFAULT_BATCH_BYTES,
        .max_depth = DEFAULT_DEPTH,
        .quirks = JB_QUIRKS_ALL,
    };

    memset(opts, 0, size);
    memcpy(opts, &defaults, size < sizeof defaults ? size : sizeof defaults);
    opts->size = size;
}

static const char *opts_fault(const jb_encoder_opts *o)
{
    if ((o->flags & ~(uint32_t)(JB_ENCODER_STRICT | JB_ENCODER_CANONICAL)) != 0)
        return "flags has a bit that this version does not know";
    if ((o->quirks & ~(uint32_t)JB_QUIRKS_ALL) != 0)
        return "quirks has a bit that this version does not know";
    if (o->dialect >= jbi_n_dialects)
        return "dialect is none that this version knows";
    if (o->_reserved != 0)
        return "_reserved is not 0";
    if (!jbi_alloc_is_valid(o->alloc))
        return "alloc lacks a function";
    if (o->max_event_bytes == 0 || o->max_event_bytes > JB_EVENT_MAX_BYTES)
        return "max_event_bytes is not 1 .. JB_EVENT_MAX_BYTES";
    if (o->max_batch_bytes == 0)
        return "max_batch_bytes is 0";
    if (o->max_depth == 0 || o->max_depth > MAX_DEPTH)
        return "max_depth is not 1 .. 256";
    return NULL;
}

int jb_encoder_create(const jb_encoder_opts *opts, jb_encoder **ret_encoder, jb_error *err)
{
    jb_encoder_opts o;
    jb_alloc alloc;
    struct jb_encoder *e;

    if (ret_encoder == NULL)
        return jbi_error_set(err, JB_EINVAL, "ret_encoder is NULL");
    jb_encoder_opts_init(&o, (uint32_t)sizeof o);
    if (opts != NULL && opts->size < sizeof(uint32_t))
        return jbi_error_set(err, JB_EINVAL,
                             "opts was not initialised with jb_encoder_opts_init()");
    if (opts != NULL)
        memcpy(&o, opts, opts->size < sizeof o ? opts->size : sizeof o);
    if (opts_fault(&o) != NULL)
        return jbi_error_set(err, JB_EINVAL, "%s", opts_fault(&o));
    alloc = jbi_alloc_or_default(o.alloc);
    e = alloc.alloc(sizeof *e, alloc.ctx);
    if (e == NULL)
        return jbi_error_set(err, JB_ENOMEM, "no memory for an encoder");
    *e = (struct jb_encoder){
        .alloc = alloc,
        .max_event_bytes = o.max_event_bytes,
        .max_batch_bytes = o.max_batch_bytes,
        .max_depth = o.max_depth,
        .is_canonical = (o.flags & JB_ENCODER_CANONICAL) != 0,
    };
    e->canonical.alloc = &e->alloc;
    if ((o.flags & JB_ENCODER_STRICT) != 0)
        o.quirks &= ~(uint32_t)JBI_QUIRKS_OF_TEXT;
    e->json = (struct jbi_json){.alloc = &e->alloc, .sink = &e->sink};
    e->sink = (struct jbi_sink){.dialect = &jbi_dialects[o.dialect],
                                .arena = &e->arena,
                                .max_bytes = (size_t)o.max_event_bytes + JBI_SINK_SLACK_BYTES,
                                .max_frames = o.max_depth,
                                .quirks = {.taken = o.quirks}};
    e->sink.frames = alloc.alloc(o.max_depth * sizeof *e->sink.frames, alloc.ctx);
    if (e->sink.frames == NULL || jbi_arena_init(&e->arena, &e->alloc, FIRST_BYTES) < 0) {
        jb_encoder_destroy(e);
        return jbi_error_set(err, JB_ENOMEM, "no memory for an encoder's buffers");
    }
    *ret_encoder = e;
    return 0;
}

void jb_encoder_destroy(jb_encoder *e)
{
    jb_alloc alloc;

    if (e == NULL)
        return;
    alloc = e->alloc;
    jbi_json_fini(&e->json);
    jbi_canonical_fini(&e->canonical);
    if (e->arena.chunks != NULL)
        jbi_arena_fini(&e->arena);
    if (e->sink.frames != NULL)
        alloc.free(e->sink.frames, e->max_depth * sizeof *e->sink.frames, alloc.ctx);
    alloc.free(e, sizeof *e, alloc.ctx);
}

int jb_encoder_get_stats(const jb_encoder *e, jb_encoder_stats *ret_stats)
{
    jb_encoder_stats stats;

    if (e == NULL || ret_stats == NULL || ret_stats->size < sizeof(uint32_t))
        return JB_EINVAL;
    stats = e->stats;
    stats.size = ret_stats->size;
    memcpy(ret_stats, &stats, stats.size < sizeof stats ? stats.size : sizeof stats);
    return 0;
}

void jbi_encoder_count(struct jb_encoder *e)
{
    char *first = (char *)&e->stats + offsetof(jb_encoder_stats, n_non_finite);
    uint64_t totals[JBI_N_QUIRKS];

    static_assert(offsetof(jb_encoder_stats, n_duplicate_keys) -
                          offsetof(jb_encoder_stats, n_non_finite) ==
                      (JBI_N_QUIRKS - 1) * sizeof(uint64_t),
                  "the counters lie in the order of the bits of enum jb_quirk");
    e->stats.n_events++;
    memcpy(totals, first, sizeof totals);
    for (unsigned i = 0; i < JBI_N_QUIRKS; i++)
        totals[i] += e->sink.quirks.n[i];
    memcpy(first, totals, sizeof totals);
}

/* Put the event into canonical form where it lies, if that is wanted or it has keys twice. */
static int make_canonical(struct jb_encoder *e)
{
    struct jbi_canonical *c = &e->canonical;
    struct jbi_sink *s = &e->sink;
    int rc = jbi_canonical_make(c, s->out, s->len);

    for (size_t i = 0; rc == 0 && i < c->n_dropped; i++)
        rc = jbi_sink_key_twice(s);
    if (rc < 0 || (!e->is_canonical && c->n_dropped == 0))
        return rc;
    s->len = 0;
    return jbi_sink_put(s, c->out, c->out_bytes);
}

int jbi_encoder_finish(struct jb_encoder *e, jb_encoded *ret)
{
    jbi_envelope envelope;
    int rc = e->is_canonical || e->sink.may_have_twice ? make_canonical(e) : 0;

    if (rc < 0)
        return rc;
    if (!jbi_envelope_read(jbi_wire_of(e->sink.out, e->sink.len), &envelope))
        return JB_EPROTO;
    if (envelope.type <= 0) {
        e->sink.why = "an event has a type";
        return JB_EEVENT;
    }
    jbi_envelope_describe(&envelope, e->sink.out, e->sink.len, ret);
    ret->n_repairs = jbi_quirks_sum(&e->sink.quirks);
    jbi_arena_keep(&e->arena, e->sink.len);
    return 0;
}

int jbi_encoder_outcome(struct jb_encoder *e, int rc)
{
    char path[64];

    if (rc >= 0 || e->failed < 0)
        return rc;
    e->failed = rc;
    jbi_sink_path(&e->sink, path, sizeof path);
    snprintf(e->why, sizeof e->why, "%s%s%.48s", path, path[0] != '\0' ? ": " : "",
             e->sink.why != NULL ? e->sink.why : jb_err_name(rc));
    return rc;
}

int jbi_encoder_ready(struct jb_encoder *e)
{
    if (e == NULL)
        return JB_EINVAL;
    if (e->failed < 0)
        return e->failed;
    return e->is_building && e->sink.n_frames > 0 ? 0 : JB_ESTATE;
}

/* Text from a caller, made valid; it may end up in the encoder's scratch. */
static int clean_text(struct jb_encoder *e, const char *text, size_t len_bytes,
                      struct jbi_text *ret)
{
    struct jbi_json *r = &e->json;
    int rc;

    *ret = (struct jbi_text){text, len_bytes};
    if (text == NULL && len_bytes != 0)
        return JB_EINVAL;
    if (len_bytes > e->max_event_bytes)
        return JB_ETOOBIG;
    if (jbi_utf8_valid(text, len_bytes))
        return 0;
    r->err = NULL;
    rc = jbi_json_repair(r, text, len_bytes, ret);
    if (rc != JB_EPARSE)
        return rc;
    e->sink.why = "a string is not UTF-8";
    return JB_EEVENT;
}

int jb_encoder_begin(jb_encoder *e, const char *type, size_t type_bytes, const char *subtype,
                     size_t subtype_bytes)
{
    struct jbi_text name;
    int rc;

    if (e == NULL)
        return JB_EINVAL;
    jbi_arena_reset(&e->arena);
    e->batch_state = JBI_BATCH_NONE;
    e->failed = 0;
    e->is_building = true;
    jbi_sink_begin(&e->sink);
    if (type == NULL || type_bytes == 0)
        return jbi_encoder_outcome(e, JB_EINVAL);
    rc = clean_text(e, type, type_bytes, &name);
    if (rc == 0)
        rc = jbi_sink_event_open(&e->sink, name.data, name.len_bytes);
    if (rc == 0 && subtype != NULL) {
        rc = jbi_sink_key_of(&e->sink,
                             jbi_field_by_number(e->sink.dialect->event, JBI_EVENT_SUBTYPE));
        if (rc == 0)
            rc = jb_encoder_string(e, subtype, subtype_bytes);
    }
    /* What was begun without the subtype its type needs is a type of its own. */
    if (rc == 0)
        rc = jbi_sink_event_settle(&e->sink);
    if (rc == 0)
        rc = jbi_sink_event_mark(&e->sink);
    rc = jbi_encoder_outcome(e, rc);
    e->sink.is_strict_type = true;
    return rc;
}

int jb_encoder_key(jb_encoder *e, const char *key, size_t len_bytes)
{
    struct jbi_text text;
    int rc = jbi_encoder_ready(e);

    if (rc < 0)
        return rc;
    rc = clean_text(e, key, len_bytes, &text);
    return jbi_encoder_outcome(e, rc < 0 ? rc : jbi_sink_key(&e->sink, text.data, text.len_bytes));
}

int jb_encoder_object_open(jb_encoder *e)
{
    int rc = jbi_encoder_ready(e);

    return rc < 0 ? rc : jbi_encoder_outcome(e, jbi_sink_object_open(&e->sink));
}

int jb_encoder_list_open(jb_encoder *e)
{
    int rc = jbi_encoder_ready(e);

    return rc < 0 ? rc : jbi_encoder_outcome(e, jbi_sink_list_open(&e->sink));
}

/* A payload that came before its type lies in an Extra as text: read it as what it is. */
static int late_payload(struct jb_encoder *e, const char *key)
{
    struct jbi_json *r = &e->json;
    struct jbi_text found = jbi_sink_find_extra(&e->sink, key, strlen(key));
    char *copy;
    int rc;

    if (found.data == NULL)
        return 0;
    copy = e->alloc.alloc(found.len_bytes, e->alloc.ctx);
    if (copy == NULL)
        return JB_ENOMEM;
    memcpy(copy, found.data, found.len_bytes);
    jbi_sink_drop(&e->sink, 0, key, strlen(key));
    r->begin = r->pos = copy;
    r->end = copy + found.len_bytes;
    r->leap_begin = r->leap_end = NULL; /* another text may have lain here */
    r->err = NULL;
    rc = jbi_sink_key(&e->sink, key, strlen(key));
    if (rc == 0)
        rc = jbi_json_value(r);
    e->alloc.free(copy, found.len_bytes, e->alloc.ctx);
    return rc;
}

static int settle_nested(struct jb_encoder *e)
{
    struct jbi_frame *top = jbi_sink_top(&e->sink);
    int rc;

    if (!jbi_sink_in_event(&e->sink) || e->sink.has_key)
        return 0;
    rc = jbi_sink_event_settle(&e->sink);
    if (rc < 0 || !top->is_late || top->type == 0)
        return rc;
    top->is_late = false;
    rc = late_payload(e, "payload");
    return rc < 0 ? rc : late_payload(e, "data");
}

int jb_encoder_close(jb_encoder *e)
{
    int rc = jbi_encoder_ready(e);

    if (rc < 0)
        return rc;
    if (e->sink.n_frames < 2)
        return jbi_encoder_outcome(e, JB_ESTATE);
    rc = settle_nested(e);
    return jbi_encoder_outcome(e, rc < 0 ? rc : jbi_sink_close(&e->sink));
}

static int scalar(struct jb_encoder *e, const struct jbi_token *token)
{
    int rc = jbi_encoder_ready(e);

    return rc < 0 ? rc : jbi_encoder_outcome(e, jbi_sink_scalar(&e->sink, token));
}

int jb_encoder_string(jb_encoder *e, const char *value, size_t len_bytes)
{
    struct jbi_token token = {.type = JBI_TOKEN_STRING};
    struct jbi_text text;
    int rc = jbi_encoder_ready(e);

    if (rc < 0)
        return rc;
    rc = clean_text(e, value, len_bytes, &text);
    if (rc < 0)
        return jbi_encoder_outcome(e, rc);
    token.text = text.data != NULL ? text.data : "";
    token.text_bytes = text.len_bytes;
    return scalar(e, &token);
}

int jb_encoder_double(jb_encoder *e, double value)
{
    struct jbi_token token = {.type = JBI_TOKEN_NUMBER};

    token.number.value = value;
    if (!isfinite(value)) {
        token.type = JBI_TOKEN_NONFINITE;
    } else if (value >= -9223372036854775808.0 && value < 9223372036854775808.0) {
        token.number.integer = (int64_t)value;
        token.number.is_int64 =
            (double)token.number.integer == value && !(value == 0 && signbit(value));
    }
    return scalar(e, &token);
}

int jb_encoder_int(jb_encoder *e, int64_t value)
{
    struct jbi_token token = {.type = JBI_TOKEN_NUMBER};
    char buf[JBI_NUMBER_MAX_BYTES];

    token.number.integer = value;
    token.number.is_int64 = token.number.is_integer = true;
    token.number.value = (double)value;
    token.number.is_exact = value > INT64_MIN / 1024 && value < INT64_MAX / 1024;
    if (!token.number.is_exact) {
        token.text = buf;
        token.text_bytes = jbi_number_print_int(value, buf);
        jbi_number_parse(buf, token.text_bytes, &token.number);
    }
    return scalar(e, &token);
}

int jb_encoder_bool(jb_encoder *e, bool value)
{
    return scalar(e, &(struct jbi_token){.type = JBI_TOKEN_BOOL, .is_true = value});
}

int jb_encoder_null(jb_encoder *e)
{
    return scalar(e, &(struct jbi_token){.type = JBI_TOKEN_NULL});
}

int jb_encoder_end(jb_encoder *e, jb_encoded *ret_encoded, jb_error *err)
{
    int rc;

    if (e == NULL || ret_encoded == NULL)
        return jbi_error_set(err, JB_EINVAL, "encoder or ret_encoded is NULL");
    rc = jbi_encoder_ready(e);
    e->is_building = false;
    if (rc == 0 && e->sink.n_frames != 1)
        rc = jbi_encoder_outcome(e, JB_ESTATE);
    if (rc == 0)
        rc = jbi_encoder_outcome(e, jbi_sink_close(&e->sink));
    if (rc == 0 && e->sink.len > e->max_event_bytes)
        rc = jbi_encoder_outcome(e, JB_ETOOBIG);
    if (rc == 0)
        rc = jbi_encoder_outcome(e, jbi_encoder_finish(e, ret_encoded));
    if (rc == 0)
        jbi_encoder_count(e);
    if (rc < 0 && e->failed == rc)
        return jbi_error_set(err, rc, "%s", e->why);
    return rc < 0 ? jbi_error_set(err, rc, "no event was begun") : 0;
}
