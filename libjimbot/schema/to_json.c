/*
 * Events as JSON text, driven by the schema's tables.
 *
 * Each message is read twice. The first reading (scan) checks the wire types and notes, for each
 * field, where it begins and ends to occur and whether `extras` stands in for it; the second
 * writes. So fields may come in any order and lists in pieces, and still every key is written once.
 * Members come in the order of the bytes, which is the order in which the encoder met them.
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
#include "schema/extra.h"
#include "schema/json_write.h"
#include "schema/number.h"

struct writer {
    const struct jbi_dialect *dialect;
    jbi_json_out out;
    const uint8_t *fail; /* where the event is wrong */
    uint32_t depth;
};

/* What the first reading of a message found. Places are offsets of tags, plus 1; 0 is nowhere. */
struct scan {
    jbi_wire bytes;
    const struct jbi_message *message;
    uint64_t whole[JBI_FIELDS_MAX / 64];   /* bit idx: an override replaces the field */
    uint64_t element[JBI_FIELDS_MAX / 64]; /* bit idx: overrides replace some of its elements */
    uint32_t payload;                      /* the last member of the oneof */
    bool has_extras;
    uint32_t first[JBI_FIELDS_MAX];
    uint32_t last[JBI_FIELDS_MAX];
};

static bool write_message(struct writer *w, const struct jbi_message *message, jbi_wire bytes);

static bool fail_at(struct writer *w, const uint8_t *pos)
{
    w->fail = pos;
    return false;
}

static void set_bit(uint64_t *bits, uint32_t idx)
{
    bits[idx / 64] |= (uint64_t)1 << idx % 64;
}

static bool has_bit(const uint64_t *bits, uint32_t idx)
{
    return (bits[idx / 64] >> idx % 64 & 1) != 0;
}

/* Take note of the field that an Extra stands in for, if any. */
static bool scan_extra(struct scan *s, jbi_wire bytes)
{
    const struct jbi_field_info *f;
    jbi_extra extra;

    if (!jbi_extra_read(bytes, &extra))
        return false;
    s->has_extras = true;
    f = jbi_field_by_key(s->message, extra.key.data, extra.key.len_bytes);
    if (f != NULL)
        set_bit(extra.has_idx ? s->element : s->whole, f->idx);
    return true;
}

static bool is_extras(const struct jbi_field_info *f)
{
    return (f->flags & JBI_FIELD_EXTRAS) != 0;
}

static bool scan_field(struct scan *s, jbi_wire *in, const struct jbi_field_info *f, uint32_t wire,
                       uint32_t place)
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
        return jbi_wire_bytes(in, &bytes) && scan_extra(s, bytes);
    return jbi_wire_skip(in, wire);
}

static bool scan_message(struct writer *w, struct scan *s, const struct jbi_message *message,
                         jbi_wire bytes)
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
            return fail_at(w, pos);
        f = jbi_field_by_number(message, number);
        if (f == NULL ? !jbi_wire_skip(&in, wire)
                      : !scan_field(s, &in, f, wire, (uint32_t)(pos - bytes.pos) + 1))
            return fail_at(w, pos);
    }
    return true;
}

/* A text that is a number is written as one: ids that arrived as numbers are kept by their text. */
static bool write_id(struct writer *w, struct jbi_text text)
{
    if (text.len_bytes != 0 && jbi_number_scan(text.data, text.len_bytes) == text.len_bytes) {
        jbi_json_put(&w->out, text.data, text.len_bytes);
        return true;
    }
    return jbi_json_put_string(&w->out, text.data, text.len_bytes);
}

static void write_enum(struct writer *w, const struct jbi_enum *e, int32_t number)
{
    const struct jbi_enum_spelling *spelling = e->is_number ? NULL : jbi_enum_by_number(e, number);

    if (spelling != NULL) {
        jbi_json_put_char(&w->out, '"');
        jbi_json_put(&w->out, spelling->text, spelling->text_bytes);
        jbi_json_put_char(&w->out, '"');
    } else if (e->number_prefix != NULL && !e->is_number) {
        jbi_json_put_char(&w->out, '"');
        jbi_json_put(&w->out, e->number_prefix, e->number_prefix_bytes);
        jbi_json_put_int(&w->out, number);
        jbi_json_put_char(&w->out, '"');
    } else {
        jbi_json_put_int(&w->out, number);
    }
}

static void write_int(struct writer *w, const struct jbi_field_info *f, uint64_t value)
{
    bool is_quoted = (f->flags & JBI_FIELD_QUOTED) != 0;

    if (is_quoted)
        jbi_json_put_char(&w->out, '"');
    jbi_json_put_int(&w->out,
                     (f->flags & JBI_FIELD_UINT32) != 0 ? (uint32_t)value : (int64_t)value);
    if (is_quoted)
        jbi_json_put_char(&w->out, '"');
}

static bool write_varint(struct writer *w, const struct jbi_field_info *f, jbi_wire *in)
{
    uint64_t value;

    if (!jbi_wire_varint(in, &value))
        return false;
    if (f->kind == JBI_KIND_BOOL)
        jbi_json_put(&w->out, value != 0 ? "true" : "false", value != 0 ? 4 : 5);
    else if (f->kind == JBI_KIND_ENUM)
        write_enum(w, f->enumeration, (int32_t)value);
    else
        write_int(w, f, value);
    return true;
}

static bool write_bytes(struct writer *w, const struct jbi_field_info *f, jbi_wire bytes)
{
    struct jbi_text text = jbi_text_of(bytes);

    if (f->kind == JBI_KIND_MESSAGE)
        return write_message(w, f->message, bytes);
    if (f->kind == JBI_KIND_JSON)
        return jbi_json_put_value(&w->out, text.data, text.len_bytes);
    if ((f->flags & JBI_FIELD_ID) != 0)
        return write_id(w, text);
    return jbi_json_put_string(&w->out, text.data, text.len_bytes);
}

/* One value of a field, without its tag. */
static bool write_value(struct writer *w, const struct jbi_field_info *f, jbi_wire *in)
{
    const uint8_t *pos = in->pos;
    jbi_wire bytes;
    double value;
    bool ok;

    switch (f->kind) {
    case JBI_KIND_BOOL:
    case JBI_KIND_INT:
    case JBI_KIND_ENUM:
        ok = write_varint(w, f, in);
        break;
    case JBI_KIND_DOUBLE:
        ok = jbi_wire_double(in, &value);
        if (ok)
            jbi_json_put_double(&w->out, value);
        break;
    default:
        ok = jbi_wire_bytes(in, &bytes) && write_bytes(w, f, bytes);
    }
    /* The innermost failure is the one to name. */
    return ok || (w->fail != NULL ? false : fail_at(w, pos));
}

static bool write_override(struct writer *w, const jbi_extra *extra)
{
    if (jbi_json_put_value(&w->out, extra->json.data, extra->json.len_bytes))
        return true;
    return fail_at(w, (const uint8_t *)extra->json.data);
}

/* What a value of a map is when its entry has none. */
static bool write_default(struct writer *w, const struct jbi_field_info *f)
{
    static const uint8_t zeros[8];
    jbi_wire in = jbi_wire_of(zeros, f->kind == JBI_KIND_DOUBLE ? 8 : 1);

    return write_value(w, f, &in);
}

/* Take an entry of a map apart; the value's cursor begins after its tag, `pos` NULL when absent. */
static bool read_entry(jbi_wire in, const struct jbi_field_info *f, struct jbi_text *ret_key,
                       jbi_wire *ret_value)
{
    struct jbi_field_info one = *f;
    uint32_t number, wire;
    jbi_wire bytes;

    one.label = JBI_LABEL_SINGLE;
    *ret_key = (struct jbi_text){"", 0};
    *ret_value = (jbi_wire){NULL, NULL};
    while (!jbi_wire_done(&in)) {
        if (!jbi_wire_tag(&in, &number, &wire))
            return false;
        if (number == 1) {
            if (wire != JBI_WIRE_BYTES || !jbi_wire_bytes(&in, &bytes))
                return false;
            *ret_key = jbi_text_of(bytes);
            continue;
        }
        if (number == 2) {
            if (!jbi_wire_fits(&one, wire))
                return false;
            *ret_value = in;
        }
        if (!jbi_wire_skip(&in, wire))
            return false;
    }
    return true;
}

static bool write_entry(struct writer *w, const struct jbi_field_info *f, jbi_wire entry,
                        const jbi_extra *override)
{
    struct jbi_text key;
    jbi_wire value;

    if (!read_entry(entry, f, &key, &value) ||
        !jbi_json_put_string(&w->out, key.data, key.len_bytes))
        return fail_at(w, entry.pos);
    jbi_json_put_char(&w->out, ':');
    if (override != NULL)
        return write_override(w, override);
    return value.pos != NULL ? write_value(w, f, &value) : write_default(w, f);
}

/* A list or map that is being written. */
struct list {
    const struct jbi_field_info *field;
    uint32_t n;
    bool has_overrides;
    jbi_overrides overrides;
};

/* One element; the cursor stands before its value. */
static bool write_element(struct writer *w, struct list *list, jbi_wire *in)
{
    const struct jbi_field_info *f = list->field;
    const jbi_extra *override =
        list->has_overrides ? jbi_overrides_at(&list->overrides, list->n) : NULL;
    const uint8_t *pos = in->pos;
    jbi_wire entry;

    if (list->n++ != 0)
        jbi_json_put_char(&w->out, ',');
    if (f->label == JBI_LABEL_MAP)
        return jbi_wire_bytes(in, &entry) ? write_entry(w, f, entry, override) : fail_at(w, pos);
    if (override == NULL)
        return write_value(w, f, in);
    if (!jbi_wire_skip(in, jbi_wire_of_kind(f->kind)))
        return fail_at(w, pos);
    return write_override(w, override);
}

/* One occurrence of a list: an element, or several of them packed. */
static bool write_occurrence(struct writer *w, struct list *list, jbi_wire *in, uint32_t wire)
{
    bool packed = wire == JBI_WIRE_BYTES && list->field->label == JBI_LABEL_REPEATED &&
                  jbi_wire_of_kind(list->field->kind) != JBI_WIRE_BYTES;
    const uint8_t *pos = in->pos;
    jbi_wire bytes;

    if (!packed)
        return write_element(w, list, in);
    if (!jbi_wire_bytes(in, &bytes))
        return fail_at(w, pos);
    while (!jbi_wire_done(&bytes)) {
        if (!write_element(w, list, &bytes))
            return false;
    }
    return true;
}

/* All occurrences of a list, from the first to the last. */
static bool write_list(struct writer *w, const struct scan *s, const struct jbi_field_info *f)
{
    jbi_wire in = {s->bytes.pos + s->first[f->idx] - 1, s->bytes.end};
    const uint8_t *last = s->bytes.pos + s->last[f->idx] - 1;
    struct list list = {.field = f, .has_overrides = has_bit(s->element, f->idx)};
    bool map = f->label == JBI_LABEL_MAP;

    if (list.has_overrides)
        jbi_overrides_init(&list.overrides, s->bytes, f);
    jbi_json_put_char(&w->out, map ? '{' : '[');
    while (in.pos <= last && !jbi_wire_done(&in)) {
        uint32_t number, wire;
        const uint8_t *pos = in.pos;

        if (!jbi_wire_tag(&in, &number, &wire))
            return fail_at(w, pos);
        if (number != f->number) {
            if (!jbi_wire_skip(&in, wire))
                return fail_at(w, pos);
        } else if (!write_occurrence(w, &list, &in, wire)) {
            return false;
        }
    }
    jbi_json_put_char(&w->out, map ? '}' : ']');
    return true;
}

/* Begin a member: the comma before it, its key, the colon. Keys of the schema need no escapes. */
static void begin_member(struct writer *w, bool *any, const char *key, size_t key_bytes)
{
    if (*any)
        jbi_json_put_char(&w->out, ',');
    *any = true;
    jbi_json_put_char(&w->out, '"');
    jbi_json_put(&w->out, key, key_bytes);
    jbi_json_put(&w->out, "\":", 2);
}

/* An Extra that stands for a whole value. */
static bool write_extra(struct writer *w, jbi_wire bytes, bool *any)
{
    jbi_extra extra;

    if (!jbi_extra_read(bytes, &extra))
        return fail_at(w, bytes.pos);
    if (extra.has_idx)
        return true;
    if (*any)
        jbi_json_put_char(&w->out, ',');
    *any = true;
    if (!jbi_json_put_string(&w->out, extra.key.data, extra.key.len_bytes))
        return fail_at(w, bytes.pos);
    jbi_json_put_char(&w->out, ':');
    return write_override(w, &extra);
}

/* The payload of a type the schema does not know: any JSON value. */
static bool write_custom(struct writer *w, jbi_wire bytes)
{
    enum { CUSTOM_JSON = 1 };
    struct jbi_text text = jbi_wire_find_text(bytes, CUSTOM_JSON);

    if (text.data == NULL)
        text = (struct jbi_text){"null", 4};
    return jbi_json_put_value(&w->out, text.data, text.len_bytes) || fail_at(w, bytes.pos);
}

/* Write the member whose tag, at `place`, was just read, and step over its value. */
static bool write_member(struct writer *w, const struct scan *s, const struct jbi_field_info *f,
                         jbi_wire *in, bool *any)
{
    begin_member(w, any, f->key, f->key_bytes);
    if (f->label == JBI_LABEL_SINGLE)
        return write_value(w, f, in);
    return write_list(w, s, f);
}

/* Whether the occurrence at `place` is the one at which its field is written. */
static bool is_written_here(const struct scan *s, const struct jbi_field_info *f, uint32_t place)
{
    if ((f->flags & JBI_FIELD_INTERNAL) != 0 || has_bit(s->whole, f->idx))
        return false;
    if ((f->flags & JBI_FIELD_PAYLOAD) != 0)
        return s->payload == place;
    return (f->label == JBI_LABEL_SINGLE ? s->last : s->first)[f->idx] == place;
}

/* The type is written first, see write_type(). */
static bool is_type(const struct scan *s, const struct jbi_field_info *f)
{
    return s->message->is_event && f->number == JBI_EVENT_TYPE;
}

/* All members of a message except an event's type; `type` is NULL when the message is no event. */
static bool write_members(struct writer *w, const struct scan *s, const struct jbi_event_type *type,
                          bool *any)
{
    jbi_wire in = s->bytes;

    while (!jbi_wire_done(&in)) {
        uint32_t number, wire, place = (uint32_t)(in.pos - s->bytes.pos) + 1;
        const struct jbi_field_info *f;
        bool ok = true;
        jbi_wire value;

        if (!jbi_wire_tag(&in, &number, &wire))
            return fail_at(w, in.pos);
        value = in;
        if (!jbi_wire_skip(&in, wire))
            return fail_at(w, value.pos);
        f = jbi_field_by_number(s->message, number);
        if (f == NULL)
            continue;
        if (is_extras(f)) {
            ok = jbi_wire_bytes(&value, &value) && write_extra(w, value, any);
        } else if (type != NULL && place == s->payload) {
            begin_member(w, any, type->payload_key, type->payload_key_bytes);
            ok = f == w->dialect->types[JB_EVENT_CUSTOM].payload
                     ? jbi_wire_bytes(&value, &value) && write_custom(w, value)
                     : write_value(w, f, &value);
        } else if (is_written_here(s, f, place) && !is_type(s, f)) {
            ok = write_member(w, s, f, &value, any);
        }
        if (!ok)
            return false;
    }
    return true;
}

static bool write_object(struct writer *w, const struct scan *s)
{
    bool any = false;

    jbi_json_put_char(&w->out, '{');
    if (!write_members(w, s, NULL, &any))
        return false;
    jbi_json_put_char(&w->out, '}');
    return true;
}

/* What the dialect says of an event's type. */
static const struct jbi_event_type *type_of(const struct writer *w, const jbi_envelope *e)
{
    return &w->dialect->types[jbi_envelope_type(e) - jbi_event_types];
}

/* The `type` of an event: as its publisher spelled it, else as the dialect does. */
static bool write_type(struct writer *w, const struct scan *s, const jbi_envelope *e, bool *any)
{
    const struct jbi_event_type *type = type_of(w, e);
    const struct jbi_field_info *field = jbi_field_by_number(s->message, JBI_EVENT_TYPE);
    const struct jbi_field_info *subtype = jbi_field_by_number(s->message, JBI_EVENT_SUBTYPE);

    if (has_bit(s->whole, field->idx) || (e->type == 0 && e->type_name.data == NULL))
        return true;
    begin_member(w, any, field->key, field->key_bytes);
    if (e->type_name.data != NULL)
        return jbi_json_put_string(&w->out, e->type_name.data, e->type_name.len_bytes) ||
               fail_at(w, (const uint8_t *)e->type_name.data);
    if (type->json_type == NULL && e->type != JB_EVENT_CUSTOM) { /* of a newer schema */
        jbi_json_put(&w->out, "\"EVENT_TYPE_", 12);
        jbi_json_put_int(&w->out, e->type);
        jbi_json_put_char(&w->out, '"');
        return true;
    }
    jbi_json_put_string(&w->out, type->json_type != NULL ? type->json_type : type->name,
                        type->json_type != NULL ? type->json_type_bytes : type->name_bytes);
    /* A type that only its subtype tells apart is not left without one. */
    if (type->subtype != NULL && e->subtype.data == NULL && !has_bit(s->whole, subtype->idx)) {
        begin_member(w, any, subtype->key, subtype->key_bytes);
        jbi_json_put_string(&w->out, type->subtype, type->subtype_bytes);
    }
    return true;
}

/* Whether extras hold a value for the payload's key, in place of the payload. */
static bool payload_is_overridden(const struct scan *s, const struct jbi_event_type *type)
{
    jbi_wire in = s->bytes, value;
    uint32_t number, wire;
    jbi_extra extra;

    if (!s->has_extras)
        return false;
    while (!jbi_wire_done(&in) && jbi_wire_tag(&in, &number, &wire)) {
        value = in;
        if (!jbi_wire_skip(&in, wire))
            return false;
        if (number == JBI_NUMBER_EXTRAS && jbi_wire_bytes(&value, &value) &&
            jbi_extra_read(value, &extra) && !extra.has_idx &&
            jbi_extra_is(&extra, type->payload_key, type->payload_key_bytes))
            return true;
    }
    return false;
}

static bool write_event(struct writer *w, struct scan *s)
{
    const struct jbi_event_type *type;
    jbi_envelope envelope;
    bool any = false;

    if (!jbi_envelope_read(s->bytes, &envelope))
        return fail_at(w, s->bytes.pos);
    type = type_of(w, &envelope);
    if (s->payload != 0 && payload_is_overridden(s, type))
        s->payload = 0;
    jbi_json_put_char(&w->out, '{');
    if (!write_type(w, s, &envelope, &any) || !write_members(w, s, type, &any))
        return false;
    jbi_json_put_char(&w->out, '}');
    return true;
}

static bool write_message(struct writer *w, const struct jbi_message *message, jbi_wire bytes)
{
    struct scan scan;
    bool ok;

    if (w->depth == JBI_MESSAGE_DEPTH_MAX)
        return fail_at(w, bytes.pos);
    w->depth++;
    ok = scan_message(w, &scan, message, bytes) &&
         (message->is_event ? write_event(w, &scan) : write_object(w, &scan));
    w->depth--;
    return ok;
}

int64_t jb_event_to_json(const void *data, size_t len_bytes, char *buf, size_t cap_bytes,
                         jb_error *err)
{
    return jb_event_to_json_as(JB_DIALECT_BALATROMCP, data, len_bytes, buf, cap_bytes, err);
}

int64_t jb_event_to_json_as(uint32_t dialect, const void *data, size_t len_bytes, char *buf,
                            size_t cap_bytes, jb_error *err)
{
    struct writer w = {.out = {.buf = buf, .cap_bytes = cap_bytes}};

    if (dialect >= jbi_n_dialects)
        return jbi_error_set(err, JB_EINVAL, "no dialect has the number %u", (unsigned)dialect);
    w.dialect = &jbi_dialects[dialect];
    if ((data == NULL && len_bytes != 0) || (buf == NULL && cap_bytes != 0))
        return jbi_error_set(err, JB_EINVAL, "NULL with a length that is not 0");
    if (len_bytes > JB_EVENT_MAX_BYTES)
        return jbi_error_at(err, JB_EPROTO, 0, "%zu bytes are more than an event may have",
                            len_bytes);
    if (!write_message(&w, w.dialect->event, jbi_wire_of(data, len_bytes))) {
        /* A value that an entry of a map left out does not lie in the event. */
        uint64_t place = (uint64_t)((uintptr_t)w.fail - (uintptr_t)data);
        uint64_t offset = place <= len_bytes ? place : 0;

        return jbi_error_at(err, JB_EPROTO, offset,
                            "not a serialised event: malformed, too deep or not UTF-8 at byte %llu",
                            (unsigned long long)offset);
    }
    return (int64_t)w.out.len_bytes;
}
