/*
 * Bytes that claim to be an event: are they one, and which?
 *
 * Every byte is looked at once: tags, lengths and wire types against the schema's tables, strings
 * for UTF-8, nesting against JBI_MESSAGE_DEPTH_MAX. Fields of a newer schema are stepped over. What
 * passes, jb_event_to_json() can write and the field paths can read. Invariant: nothing is read
 * outside the bytes given; recursion goes as deep as the nesting that is allowed, no deeper.
 */
#include "jimbot/schema.h"

#include "base/error.h"
#include "schema/envelope.h"
#include "schema/fault.h"
#include "schema/utf8.h"

struct inspector {
    const uint8_t *fail; /* where it is wrong */
    const char *what;    /* what is wrong there */
    uint32_t depth;
};

static bool check_message(struct inspector *i, const struct jbi_message *message, jbi_wire in);

static bool wrong(struct inspector *i, const uint8_t *pos, const char *what)
{
    i->fail = pos;
    i->what = what;
    return false;
}

static bool check_text(struct inspector *i, jbi_wire bytes)
{
    const char *text = (const char *)bytes.pos;
    size_t len = jbi_wire_left(&bytes);
    size_t valid = jbi_utf8_prefix(text, len);

    return valid == len || wrong(i, bytes.pos + valid, "a string is not UTF-8");
}

/* Numbers packed into one run of bytes. */
static bool check_packed(struct inspector *i, jbi_wire bytes, uint32_t wire)
{
    while (!jbi_wire_done(&bytes)) {
        const uint8_t *pos = bytes.pos;

        if (!jbi_wire_skip(&bytes, wire))
            return wrong(i, pos, "a packed number is cut off");
    }
    return true;
}

/* One value of a field that is a string, message or packed list. */
static bool check_bytes(struct inspector *i, const struct jbi_field_info *f, jbi_wire bytes)
{
    if (f->kind == JBI_KIND_MESSAGE)
        return check_message(i, f->message, bytes);
    if (jbi_wire_of_kind(f->kind) != JBI_WIRE_BYTES)
        return check_packed(i, bytes, jbi_wire_of_kind(f->kind));
    return check_text(i, bytes);
}

/* An entry of a map: {1: string, 2: a value of the field's kind}. */
static bool check_entry(struct inspector *i, const struct jbi_field_info *f, jbi_wire in)
{
    while (!jbi_wire_done(&in)) {
        const uint8_t *pos = in.pos;
        uint32_t number, wire;
        jbi_wire bytes;

        if (!jbi_wire_tag(&in, &number, &wire))
            return wrong(i, pos, "a tag is malformed");
        if ((number == 1 && wire != JBI_WIRE_BYTES) ||
            (number == 2 && wire != jbi_wire_of_kind(f->kind)))
            return wrong(i, pos, "a map entry has another wire type than its field");
        if (number > 2 || wire != JBI_WIRE_BYTES) {
            if (!jbi_wire_skip(&in, wire))
                return wrong(i, pos, "a value is cut off");
            continue;
        }
        if (!jbi_wire_bytes(&in, &bytes))
            return wrong(i, pos, "a value is cut off");
        if (number == 1 ? !check_text(i, bytes) : !check_bytes(i, f, bytes))
            return false;
    }
    return true;
}

/* The value of a known field. */
static bool check_field(struct inspector *i, const struct jbi_field_info *f, jbi_wire *in,
                        uint32_t wire, const uint8_t *pos)
{
    jbi_wire bytes;

    if (!jbi_wire_fits(f, wire))
        return wrong(i, pos, "a field has another wire type than the schema says");
    if (wire != JBI_WIRE_BYTES)
        return jbi_wire_skip(in, wire) || wrong(i, pos, "a value is cut off");
    if (!jbi_wire_bytes(in, &bytes))
        return wrong(i, pos, "a value is cut off");
    return f->label == JBI_LABEL_MAP ? check_entry(i, f, bytes) : check_bytes(i, f, bytes);
}

static bool check_message(struct inspector *i, const struct jbi_message *message, jbi_wire in)
{
    if (i->depth == JBI_MESSAGE_DEPTH_MAX)
        return wrong(i, in.pos, "messages are nested too deep");
    i->depth++;
    while (!jbi_wire_done(&in)) {
        const uint8_t *pos = in.pos;
        const struct jbi_field_info *f;
        uint32_t number, wire;

        if (!jbi_wire_tag(&in, &number, &wire))
            return wrong(i, pos, "a tag is malformed");
        f = jbi_field_by_number(message, number);
        if (f != NULL && !check_field(i, f, &in, wire, pos))
            return false;
        if (f == NULL && !jbi_wire_skip(&in, wire))
            return wrong(i, pos, "an unknown field is cut off");
    }
    i->depth--;
    return true;
}

/* Field `name` of the payload, where it has one. */
static struct jbi_text payload_name(const jbi_envelope *e)
{
    static const char name[] = "name";
    const struct jbi_field_info *f = NULL;

    if (e->payload != NULL)
        f = jbi_field_by_name(e->payload->message, name, sizeof name - 1);
    if (f == NULL || f->kind != JBI_KIND_STRING)
        return (struct jbi_text){NULL, 0};
    return jbi_wire_find_text(e->payload_bytes, f->number);
}

/* The text that ends the topic of an event of that type. */
static struct jbi_text topic_tail(const jbi_envelope *e, const struct jbi_event_type *type)
{
    switch (type->topic_tail) {
    case JBI_TOPIC_SUBTYPE:
        return e->subtype;
    case JBI_TOPIC_NAME:
        return payload_name(e);
    case JBI_TOPIC_TYPE:
        return e->type_name;
    default:
        return (struct jbi_text){NULL, 0};
    }
}

void jbi_envelope_describe(const jbi_envelope *e, const void *data, size_t len_bytes,
                           jb_encoded *ret)
{
    const struct jbi_event_type *type = jbi_envelope_type(e);

    ret->data = data;
    ret->event_id = e->event_id.data;
    ret->len_bytes = (uint32_t)len_bytes;
    ret->event_id_bytes = (uint32_t)e->event_id.len_bytes;
    ret->n_repairs = 0;
    ret->type = (uint16_t)(type - jbi_event_types);
    ret->priority = jbi_priority_public(e->priority);
    ret->source_time = e->timestamp;
    ret->topic_bytes = jbi_event_topic(type, topic_tail(e, type), ret->topic);
}

int jbi_event_check(const void *data, size_t len_bytes, jb_error *err)
{
    struct inspector i = {.what = ""};
    jbi_wire in = jbi_wire_of(data, len_bytes);
    char path[96];
    uint64_t offset;

    if (len_bytes > JB_EVENT_MAX_BYTES)
        return jbi_error_at(err, JB_ETOOBIG, JB_EVENT_MAX_BYTES,
                            "the event has %zu bytes, %d are allowed", len_bytes,
                            JB_EVENT_MAX_BYTES);
    if (check_message(&i, &jbi_message_Event, in))
        return 0;
    offset = (uint64_t)(i.fail - in.pos);
    return jbi_error_at(err, JB_EPROTO, offset, "%s: %s at byte %llu",
                        jbi_fault_path(in, offset, path, sizeof path), i.what,
                        (unsigned long long)offset);
}

int jb_event_inspect(const void *data, size_t len_bytes, jb_encoded *ret_encoded, jb_error *err)
{
    jbi_wire in = jbi_wire_of(data, len_bytes);
    jbi_envelope envelope;
    int rc;

    if (ret_encoded == NULL || (data == NULL && len_bytes != 0))
        return jbi_error_set(err, JB_EINVAL, "NULL where bytes or a result belong");
    rc = jbi_event_check(data, len_bytes, err);
    if (rc < 0)
        return rc;
    if (!jbi_envelope_read(in, &envelope))
        return jbi_error_at(err, JB_EPROTO, 0, "the envelope is malformed");
    if (envelope.type <= 0)
        return jbi_error_at(err, JB_EEVENT, 0, "the event has no type (field 1)");
    jbi_envelope_describe(&envelope, data, len_bytes, ret_encoded);
    return 0;
}
