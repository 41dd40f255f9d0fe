/*
 * See envelope.h. Only what the envelope needs is checked here; jb_event_inspect() checks the rest.
 */
#include "schema/envelope.h"

#include <math.h>

#include "jimbot/event.h"

static bool read_text(jbi_wire *in, uint32_t wire, struct jbi_text *ret)
{
    jbi_wire bytes;

    if (wire != JBI_WIRE_BYTES || !jbi_wire_bytes(in, &bytes))
        return false;
    *ret = jbi_text_of(bytes);
    return true;
}

static bool read_enum(jbi_wire *in, uint32_t wire, int32_t *ret)
{
    uint64_t value;

    if (wire != JBI_WIRE_VARINT || !jbi_wire_varint(in, &value))
        return false;
    *ret = (int32_t)value; /* protobuf: enums are 32 bits, the rest is dropped */
    return true;
}

/* One field whose tag was read. */
static bool read_field(jbi_wire *in, uint32_t number, uint32_t wire, jbi_envelope *e)
{
    const struct jbi_field_info *f;

    switch (number) {
    case JBI_EVENT_TYPE:
        return read_enum(in, wire, &e->type);
    case JBI_EVENT_EVENT_ID:
        return read_text(in, wire, &e->event_id);
    case JBI_EVENT_TYPE_NAME:
        return read_text(in, wire, &e->type_name);
    case JBI_EVENT_SUBTYPE:
        return read_text(in, wire, &e->subtype);
    case JBI_EVENT_DIALECT:
        return read_text(in, wire, &e->dialect);
    case JBI_EVENT_TIMESTAMP:
        return wire == JBI_WIRE_FIXED64 && jbi_wire_double(in, &e->timestamp);
    case JBI_EVENT_PRIORITY:
        return read_enum(in, wire, &e->priority);
    default:
        f = jbi_field_by_number(&jbi_message_Event, number);
        if (f == NULL || (f->flags & JBI_FIELD_PAYLOAD) == 0)
            return jbi_wire_skip(in, wire);
        e->payload = f;
        return wire == JBI_WIRE_BYTES && jbi_wire_bytes(in, &e->payload_bytes);
    }
}

bool jbi_envelope_read(jbi_wire in, jbi_envelope *ret)
{
    uint32_t number, wire;

    *ret = (jbi_envelope){.timestamp = NAN};
    while (!jbi_wire_done(&in)) {
        if (!jbi_wire_tag(&in, &number, &wire) || !read_field(&in, number, wire, ret))
            return false;
    }
    return true;
}

const struct jbi_event_type *jbi_envelope_type(const jbi_envelope *envelope)
{
    bool known = envelope->type > 0 && (uint32_t)envelope->type < jbi_n_event_types;

    return &jbi_event_types[known ? envelope->type : JB_EVENT_CUSTOM];
}

struct jbi_text jbi_wire_find_text(jbi_wire in, uint32_t number)
{
    struct jbi_text found = {NULL, 0};
    uint32_t n, wire;

    while (!jbi_wire_done(&in) && jbi_wire_tag(&in, &n, &wire)) {
        if (n == number && wire == JBI_WIRE_BYTES ? !read_text(&in, wire, &found)
                                                  : !jbi_wire_skip(&in, wire))
            break;
    }
    return found;
}
