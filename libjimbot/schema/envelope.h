/*
 * The envelope of a serialised Event: what stands beside its payload, read in one pass.
 *
 * Texts are borrowed from the event. Invariant: of a field that occurs more than once, the last
 * occurrence counts, as everywhere in this room.
 */
#ifndef JBI_SCHEMA_ENVELOPE_H
#define JBI_SCHEMA_ENVELOPE_H

#include "jimbot/schema.h"
#include "schema/schema_dialect.h"
#include "schema/wire.h"

/* Numbers of the envelope's fields; proto/jimbot/v1/event.proto. */
enum {
    JBI_EVENT_TYPE = 1,
    JBI_EVENT_EVENT_ID = 2,
    JBI_EVENT_TYPE_NAME = 3,
    JBI_EVENT_SUBTYPE = 4,
    JBI_EVENT_TIMESTAMP = 6,
    JBI_EVENT_PRIORITY = 8,
    JBI_EVENT_DIALECT = 13
};

/* Messages lie in messages at most this deep, the event itself being the first. */
enum { JBI_MESSAGE_DEPTH_MAX = 64 };

typedef struct jbi_envelope {
    int32_t type; /* as written, also a number this library does not know; 0 when absent */
    int32_t priority;
    double timestamp;         /* NaN when absent */
    struct jbi_text event_id; /* data is NULL when absent; so are the other texts */
    struct jbi_text type_name;
    struct jbi_text subtype;
    struct jbi_text dialect;              /* name of it */
    const struct jbi_field_info *payload; /* the member of the oneof that is there, or NULL */
    jbi_wire payload_bytes;
} jbi_envelope;

/* Read the envelope. False when the bytes are malformed as far as the envelope goes. */
bool jbi_envelope_read(jbi_wire in, jbi_envelope *ret);

/* What a ring's header wants to know of an event whose envelope this is; n_repairs is 0. It lies in
 * inspect.c. */
void jbi_envelope_describe(const jbi_envelope *envelope, const void *data, size_t len_bytes,
                           jb_encoded *ret);

/* Whether all bytes of an event are sound, whatever its type is: 0, JB_ETOOBIG or JB_EPROTO with
 * the place and the path in err. It lies in inspect.c. */
int jbi_event_check(const void *data, size_t len_bytes, jb_error *err);

/* What is known about the type: the entry of CUSTOM for a number this library does not know. */
const struct jbi_event_type *jbi_envelope_type(const jbi_envelope *envelope);

/* The last occurrence of a string field directly in a message; data is NULL when it has none. */
struct jbi_text jbi_wire_find_text(jbi_wire in, uint32_t number);

/* How one value of an enum jbi_kind is written. */
static inline uint32_t jbi_wire_of_kind(uint32_t kind)
{
    switch (kind) {
    case JBI_KIND_BOOL:
    case JBI_KIND_INT:
    case JBI_KIND_ENUM:
        return JBI_WIRE_VARINT;
    case JBI_KIND_DOUBLE:
        return JBI_WIRE_FIXED64;
    default:
        return JBI_WIRE_BYTES;
    }
}

/* Whether a value of this wire type can be an occurrence of the field. */
static inline bool jbi_wire_fits(const struct jbi_field_info *f, uint32_t type)
{
    if (f->label == JBI_LABEL_MAP)
        return type == JBI_WIRE_BYTES;
    /* Repeated numbers are written packed, but may arrive one by one. */
    return type == jbi_wire_of_kind(f->kind) ||
           (f->label == JBI_LABEL_REPEATED && type == JBI_WIRE_BYTES);
}

static inline struct jbi_text jbi_text_of(jbi_wire bytes)
{
    /* Never NULL, so that a text that is there and empty differs from one that is not there. */
    return (struct jbi_text){bytes.pos != NULL ? (const char *)bytes.pos : "",
                             jbi_wire_left(&bytes)};
}

#endif
