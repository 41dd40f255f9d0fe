/*
 * Events as JSON text, driven by the schema's tables.
 *
 * Each message is read twice. The first reading (scan) checks the wire types and notes, for each
 * field, where it begins and ends to occur and whether `extras` stands in for it; the second
 * writes. So fields may come in any order and lists in pieces, and still every key is written once.
 * Members come in the order of the bytes, which is the order in which the encoder met them; a group
 * is written whole where its first member stands.
 *
 * What is not written: fields of a newer schema (they stay in the event's bytes), the name of a
 * oneof member that a later one replaced, and single values that a later occurrence replaced. A
 * message that occurs twice in a single field is not merged: the last one counts.
 *
 * Invariant: the text is valid JSON whatever the input, or the call fails; memory is one struct
 * scan for each level of nesting, of which there are at most JBI_MESSAGE_DEPTH_MAX.
 */
#include "jimbot/schema.h"

#include "base/error.h"
#include "schema/to_json.h"

enum { NOWHERE = JBI_FIELDS_MAX };

/* Whether the keys of extras are those of another dialect. */
static bool is_foreign(const struct jbi_writer *w)
{
    return w->from != w->dialect;
}

/* Whether an Extra's key means something in a dialect, of which this is the message. */
static bool is_known(const struct jbi_message *message, const jbi_extra *extra)
{
    return jbi_field_by_key(message, extra->key.data, extra->key.len_bytes) != NULL;
}

/* The group that an Extra is a member of: its idx, 0 for the message itself, or NOWHERE. What came
 * in another dialect is written where its key means nothing in both. */
static uint32_t group_of(const struct jbi_writer *w, const struct jbi_message *message,
                         const jbi_extra *extra)
{
    const struct jbi_field_info *f;

    if (is_foreign(w)) {
        bool is_strange = extra->group.data == NULL && !is_known(message, extra) &&
                          (w->from == NULL || !is_known(w->from->messages[message->place], extra));

        return is_strange ? 0 : NOWHERE;
    }
    if (extra->group.data == NULL)
        return 0;
    f = jbi_field_by_key(message, extra->group.data, extra->group.len_bytes);
    return f != NULL && f->kind == JBI_KIND_GROUP ? f->idx : NOWHERE;
}

/* Take note of the field that an Extra stands in for, if any. */
static bool scan_extra(const struct jbi_writer *w, struct jbi_scan *s, jbi_wire bytes)
{
    const struct jbi_message *message = s->message;
    const struct jbi_field_info *f;
    jbi_extra extra;
    uint32_t group;

    if (!jbi_extra_read(bytes, &extra))
        return false;
    if (is_foreign(w))
        return true;
    s->has_extras = true;
    group = group_of(w, message, &extra);
    if (group == NOWHERE)
        return true;
    if (group != 0)
        message = message->fields[group].message;
    f = jbi_field_by_key(message, extra.key.data, extra.key.len_bytes);
    if (f != NULL)
        jbi_set_bit(extra.has_idx ? s->element : s->whole, f->idx);
    return true;
}

static bool is_extras(const struct jbi_field_info *f)
{
    return (f->flags & JBI_FIELD_EXTRAS) != 0;
}

static bool scan_field(const struct jbi_writer *w, struct jbi_scan *s, jbi_wire *in,
                       const struct jbi_field_info *f, uint32_t wire, uint32_t place)
{
    jbi_wire bytes;

    if (!jbi_wire_fits(f, wire))
        return false;
    if (s->first[f->idx] == 0)
        s->first[f->idx] = place;
    s->last[f->idx] = place;
    if ((f->flags & JBI_FIELD_PAYLOAD) != 0)
        s->payload = place;
    if (is_extras(f))
        return jbi_wire_bytes(in, &bytes) && scan_extra(w, s, bytes);
    return jbi_wire_skip(in, wire);
}

static bool scan_message(struct jbi_writer *w, struct jbi_scan *s,
                         const struct jbi_message *message, jbi_wire bytes)
{
    jbi_wire in = bytes;

    s->bytes = bytes;
    s->message = message;
    s->payload = 0;
    s->has_extras = false;
    memset(s->whole, 0, sizeof s->whole);
    memset(s->element, 0, sizeof s->element);
    memset(s->first, 0, message->n_fields * sizeof s->first[0]);
    while (!jbi_wire_done(&in)) {
        const uint8_t *pos = in.pos;
        const struct jbi_field_info *f;
        uint32_t number, wire;

        if (!jbi_wire_tag(&in, &number, &wire))
            return jbi_fail_at(w, pos);
        f = jbi_field_by_number(message, number);
        if (f == NULL ? !jbi_wire_skip(&in, wire)
                      : !scan_field(w, s, &in, f, wire, (uint32_t)(pos - bytes.pos) + 1))
            return jbi_fail_at(w, pos);
    }
    return true;
}

/* Begin a member: the comma before it, its key, the colon. Keys of the schema need no escapes. */
static void begin_member(struct jbi_writer *w, bool *any, const char *key, size_t key_bytes)
{
    if (*any)
        jbi_json_put_char(&w->out, ',');
    *any = true;
    jbi_json_put_char(&w->out, '"');
    jbi_json_put(&w->out, key, key_bytes);
    jbi_json_put(&w->out, "\":", 2);
}

static bool write_members(struct jbi_writer *w, struct jbi_scan *s,
                          const struct jbi_event_type *type, uint32_t group, bool *any);

/* All members of a group, unless they were written already. */
static bool write_group(struct jbi_writer *w, struct jbi_scan *s, uint32_t group, bool *any)
{
    const struct jbi_field_info *f = &s->message->fields[group];
    bool any_within = false;

    if (jbi_has_bit(s->whole, group))
        return true;
    jbi_set_bit(s->whole, group);
    begin_member(w, any, f->key, f->key_bytes);
    jbi_json_put_char(&w->out, '{');
    if (!write_members(w, s, NULL, group, &any_within))
        return false;
    jbi_json_put_char(&w->out, '}');
    return true;
}

/* An Extra that stands for a whole value, where the members of a group (or of none) are written. */
static bool write_extra(struct jbi_writer *w, struct jbi_scan *s, jbi_wire bytes, uint32_t group,
                        bool *any)
{
    jbi_extra extra;
    uint32_t of;

    if (!jbi_extra_read(bytes, &extra))
        return jbi_fail_at(w, bytes.pos);
    of = group_of(w, s->message, &extra);
    if (extra.has_idx || of == NOWHERE || (of != group && group != 0))
        return true;
    if (of != group)
        return write_group(w, s, of, any);
    if (*any)
        jbi_json_put_char(&w->out, ',');
    *any = true;
    if (!jbi_json_put_string(&w->out, extra.key.data, extra.key.len_bytes))
        return jbi_fail_at(w, bytes.pos);
    jbi_json_put_char(&w->out, ':');
    return jbi_write_override(w, &extra);
}

/* The payload of a type the schema does not know: any JSON value. */
static bool write_custom(struct jbi_writer *w, jbi_wire bytes)
{
    enum { CUSTOM_JSON = 1 };
    struct jbi_text text = jbi_wire_find_text(bytes, CUSTOM_JSON);

    if (text.data == NULL)
        text = (struct jbi_text){"null", 4};
    return jbi_json_put_value(&w->out, text.data, text.len_bytes) || jbi_fail_at(w, bytes.pos);
}

/* Write the member whose tag was just read, where those of a group (or of none) are written. */
static bool write_member(struct jbi_writer *w, struct jbi_scan *s, const struct jbi_field_info *f,
                         jbi_wire *in, uint32_t group, bool *any)
{
    if (f->group != group)
        return group != 0 || write_group(w, s, f->group, any);
    begin_member(w, any, f->key, f->key_bytes);
    if (f->label == JBI_LABEL_SINGLE)
        return jbi_write_value(w, f, in);
    return jbi_write_list(w, s, f);
}

/* Whether the occurrence at `place` is the one at which its field is written. */
static bool is_written_here(const struct jbi_scan *s, const struct jbi_field_info *f,
                            uint32_t place)
{
    if ((f->flags & JBI_FIELD_INTERNAL) != 0 || jbi_has_bit(s->whole, f->idx))
        return false;
    if ((f->flags & JBI_FIELD_PAYLOAD) != 0)
        return s->payload == place;
    return (f->label == JBI_LABEL_SINGLE ? s->last : s->first)[f->idx] == place;
}

/* The type is written first, see write_type(). */
static bool is_type(const struct jbi_scan *s, const struct jbi_field_info *f)
{
    return s->message->is_event && f->number == JBI_EVENT_TYPE;
}

/* All members of a message, or of one group of it, except an event's type; `type` is NULL when the
 * message is no event. */
static bool write_members(struct jbi_writer *w, struct jbi_scan *s,
                          const struct jbi_event_type *type, uint32_t group, bool *any)
{
    jbi_wire in = s->bytes;

    while (!jbi_wire_done(&in)) {
        uint32_t number, wire, place = (uint32_t)(in.pos - s->bytes.pos) + 1;
        const struct jbi_field_info *f;
        bool ok = true;
        jbi_wire value;

        if (!jbi_wire_tag(&in, &number, &wire))
            return jbi_fail_at(w, in.pos);
        value = in;
        if (!jbi_wire_skip(&in, wire))
            return jbi_fail_at(w, value.pos);
        f = jbi_field_by_number(s->message, number);
        if (f == NULL)
            continue;
        if (is_extras(f)) {
            ok = jbi_wire_bytes(&value, &value) && write_extra(w, s, value, group, any);
        } else if (type != NULL && place == s->payload) {
            begin_member(w, any, type->payload_key, type->payload_key_bytes);
            ok = f == w->dialect->types[JB_EVENT_CUSTOM].payload
                     ? jbi_wire_bytes(&value, &value) && write_custom(w, value)
                     : jbi_write_value(w, f, &value);
        } else if (is_written_here(s, f, place) && !is_type(s, f)) {
            ok = write_member(w, s, f, &value, group, any);
        }
        if (!ok)
            return false;
    }
    return true;
}

static bool write_object(struct jbi_writer *w, const struct jbi_message *message, jbi_wire bytes)
{
    struct jbi_scan s;
    bool any = false;

    if (!scan_message(w, &s, message, bytes))
        return false;
    jbi_json_put_char(&w->out, '{');
    if (!write_members(w, &s, NULL, 0, &any))
        return false;
    jbi_json_put_char(&w->out, '}');
    return true;
}

/* What the dialect says of an event's type. */
static const struct jbi_event_type *type_of(const struct jbi_writer *w, const jbi_envelope *e)
{
    return &w->dialect->types[jbi_envelope_type(e) - jbi_event_types];
}

/* The `type` of an event: as its publisher spelled it, else as the dialect does. */
static bool write_type(struct jbi_writer *w, const struct jbi_scan *s, const jbi_envelope *e,
                       bool *any)
{
    const struct jbi_event_type *type = type_of(w, e);
    const struct jbi_field_info *field = jbi_field_by_number(s->message, JBI_EVENT_TYPE);
    const struct jbi_field_info *subtype = jbi_field_by_number(s->message, JBI_EVENT_SUBTYPE);

    if ((field->flags & JBI_FIELD_INTERNAL) != 0)
        return true;
    if (jbi_has_bit(s->whole, field->idx) || (e->type == 0 && e->type_name.data == NULL))
        return true;
    begin_member(w, any, field->key, field->key_bytes);
    if (e->type_name.data != NULL)
        return jbi_json_put_string(&w->out, e->type_name.data, e->type_name.len_bytes) ||
               jbi_fail_at(w, (const uint8_t *)e->type_name.data);
    if (type->json_type == NULL && e->type != JB_EVENT_CUSTOM) { /* of a newer schema */
        jbi_json_put(&w->out, "\"EVENT_TYPE_", 12);
        jbi_json_put_int(&w->out, e->type);
        jbi_json_put_char(&w->out, '"');
        return true;
    }
    jbi_json_put_string(&w->out, type->json_type != NULL ? type->json_type : type->name,
                        type->json_type != NULL ? type->json_type_bytes : type->name_bytes);
    /* A type that only its subtype tells apart is not left without one. */
    if (type->subtype != NULL && e->subtype.data == NULL && !jbi_has_bit(s->whole, subtype->idx)) {
        begin_member(w, any, subtype->key, subtype->key_bytes);
        jbi_json_put_string(&w->out, type->subtype, type->subtype_bytes);
    }
    return true;
}

/* Whether extras hold a value for a key. */
static bool has_extra(jbi_wire in, const char *key, size_t key_bytes)
{
    uint32_t number, wire;
    jbi_extra extra;
    jbi_wire value;

    while (!jbi_wire_done(&in) && jbi_wire_tag(&in, &number, &wire)) {
        value = in;
        if (!jbi_wire_skip(&in, wire))
            return false;
        if (number == JBI_NUMBER_EXTRAS && jbi_wire_bytes(&value, &value) &&
            jbi_extra_read(value, &extra) && !extra.has_idx && jbi_extra_is(&extra, key, key_bytes))
            return true;
    }
    return false;
}

/* The dialect that an event says it came in; NULL when that is unknown. */
static const struct jbi_dialect *dialect_of(const jbi_envelope *e)
{
    int found = JB_DIALECT_BALATROMCP;

    if (e->dialect.data != NULL)
        found = jb_dialect_find(e->dialect.data, e->dialect.len_bytes);
    return found >= 0 ? &jbi_dialects[found] : NULL;
}

static bool write_event(struct jbi_writer *w, const struct jbi_message *message, jbi_wire bytes)
{
    const struct jbi_event_type *type;
    struct jbi_scan s;
    jbi_envelope envelope;
    bool any = false;

    if (!jbi_envelope_read(bytes, &envelope))
        return jbi_fail_at(w, bytes.pos);
    if (w->depth == 1)
        w->from = dialect_of(&envelope);
    if (!scan_message(w, &s, message, bytes))
        return false;
    type = type_of(w, &envelope);
    /* A value for the payload's key stands in place of the payload. */
    if (s.payload != 0 && s.has_extras &&
        has_extra(bytes, type->payload_key, type->payload_key_bytes))
        s.payload = 0;
    jbi_json_put_char(&w->out, '{');
    if (!write_type(w, &s, &envelope, &any) || !write_members(w, &s, type, 0, &any))
        return false;
    jbi_json_put_char(&w->out, '}');
    return true;
}

bool jbi_write_message(struct jbi_writer *w, const struct jbi_message *message, jbi_wire bytes)
{
    bool ok;

    if (w->depth == JBI_MESSAGE_DEPTH_MAX)
        return jbi_fail_at(w, bytes.pos);
    w->depth++;
    ok = message->is_event ? write_event(w, message, bytes) : write_object(w, message, bytes);
    w->depth--;
    return ok;
}

/* An event of a dialect that knows one type: its payload alone, or the object around it. */
static bool write_root(struct jbi_writer *w, jbi_wire bytes)
{
    const struct jbi_dialect *d = w->dialect;
    const struct jbi_field_info *f = d->types[d->root_type].payload;
    jbi_envelope envelope;

    if (!jbi_envelope_read(bytes, &envelope))
        return jbi_fail_at(w, bytes.pos);
    w->is_unfit = envelope.type != d->root_type;
    if (w->is_unfit)
        return jbi_fail_at(w, bytes.pos);
    w->from = dialect_of(&envelope);
    if (!is_foreign(w) && has_extra(bytes, d->envelope_key, strlen(d->envelope_key)))
        return jbi_write_message(w, d->event, bytes);
    if (envelope.payload != NULL && envelope.payload->number == f->number)
        return jbi_write_message(w, f->message, envelope.payload_bytes);
    jbi_json_put(&w->out, "{}", 2);
    return true;
}

static bool write_document(struct jbi_writer *w, jbi_wire bytes)
{
    w->from = w->dialect;
    return w->dialect->root_type != 0 ? write_root(w, bytes)
                                      : jbi_write_message(w, w->dialect->event, bytes);
}

int64_t jb_event_to_json(const void *data, size_t len_bytes, char *buf, size_t cap_bytes,
                         jb_error *err)
{
    return jb_event_to_json_as(JB_DIALECT_BALATROMCP, data, len_bytes, buf, cap_bytes, err);
}

int64_t jb_event_to_json_as(uint32_t dialect, const void *data, size_t len_bytes, char *buf,
                            size_t cap_bytes, jb_error *err)
{
    struct jbi_writer w = {.out = {.buf = buf, .cap_bytes = cap_bytes}};

    if (dialect >= jbi_n_dialects)
        return jbi_error_set(err, JB_EINVAL, "no dialect has the number %u", (unsigned)dialect);
    w.dialect = &jbi_dialects[dialect];
    if ((data == NULL && len_bytes != 0) || (buf == NULL && cap_bytes != 0))
        return jbi_error_set(err, JB_EINVAL, "NULL with a length that is not 0");
    if (len_bytes > JB_EVENT_MAX_BYTES)
        return jbi_error_at(err, JB_EPROTO, 0, "%zu bytes are more than an event may have",
                            len_bytes);
    if (!write_document(&w, jbi_wire_of(data, len_bytes))) {
        /* A value that an entry of a map left out does not lie in the event. */
        uint64_t place = (uint64_t)((uintptr_t)w.fail - (uintptr_t)data);
        uint64_t offset = place <= len_bytes ? place : 0;

        /* Half a document is none: nobody shall take it for one. */
        if (cap_bytes != 0)
            memset(buf, 0, w.out.len_bytes < cap_bytes ? w.out.len_bytes : cap_bytes);
        if (w.is_unfit)
            return jbi_error_set(err, JB_EEVENT, "%s has no word for events of this type",
                                 w.dialect->name);
        /* Whoever checks every byte can say what is wrong. */
        if (jbi_event_check(data, len_bytes, err) == JB_EPROTO)
            return JB_EPROTO;
        return jbi_error_at(err, JB_EPROTO, offset, "not a serialised event, at byte %llu",
                            (unsigned long long)offset);
    }
    return (int64_t)w.out.len_bytes;
}
