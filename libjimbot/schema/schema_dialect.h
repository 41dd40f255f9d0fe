/*
 * The schema as data, second part: event types, and the dialects that spell them.
 *
 * Made by tools/schemagen.py too, one set of tables for each file in proto/dialects. Invariant: the
 * number of a type, a message and a field is the same in all dialects; only its spelling differs.
 */
#ifndef JBI_SCHEMA_DIALECT_H
#define JBI_SCHEMA_DIALECT_H

#include "schema/schema_tables.h"

/* What a topic ends with: nothing more, or a text of the event as one token. */
enum jbi_topic_tail {
    JBI_TOPIC_WHOLE = 0,
    JBI_TOPIC_SUBTYPE = 1,
    JBI_TOPIC_NAME = 2, /* field `name` of the payload */
    JBI_TOPIC_TYPE = 3
};

/* One way to spell an event type. Index in jbi_dialect.types = enum jb_event_type. */
struct jbi_event_type {
    const char *name;        /* "LEARNING_DECISION_REQUEST"; "connection_test" */
    const char *json_type;   /* "LEARNING_DECISION"; NULL for CUSTOM and UNSPECIFIED */
    const char *subtype;     /* "REQUEST", or NULL: any */
    const char *payload_key; /* "payload", "data" */
    const char *topic;       /* "game.state.update", "game.scoring." */
    const struct jbi_field_info *payload;
    uint8_t name_bytes;
    uint8_t json_type_bytes;
    uint8_t subtype_bytes;
    uint8_t payload_key_bytes;
    uint8_t topic_bytes;
    uint8_t topic_tail; /* enum jbi_topic_tail */
};

/* A way to spell events in JSON. Index in jbi_dialects = enum jb_dialect. */
struct jbi_dialect {
    const char *name;
    const struct jbi_message *event;
    const struct jbi_event_type *types;
    const struct jbi_message *const *messages; /* by jbi_message.place, the same in all dialects */
    /* Where every document is the payload of one type: that type, and the key that shows that an
     * object stands around it, which is the event then. 0 and NULL otherwise. */
    uint16_t root_type;
    const char *envelope_key;
    /* What can be understood is written in the usual way afterwards and not kept as it came: null
     * and what is empty is absent, an integer may be a string. */
    bool is_normalised;
    bool is_marked; /* events that came in it say so in Event.dialect */
};

extern const struct jbi_dialect jbi_dialects[];
extern const uint32_t jbi_n_dialects;

/* Of the first dialect, for those who read bytes and no JSON. */
extern const struct jbi_event_type jbi_event_types[];
extern const uint32_t jbi_n_event_types; /* highest type + 1 */

/*
 * Which event type a `type` and `subtype` of a client spell; JB_EVENT_CUSTOM when none. Also knows
 * the types by their full name ("LEARNING_DECISION_REQUEST"). subtype may be NULL.
 */
uint16_t jbi_event_type_find(const struct jbi_event_type *types, const char *type,
                             size_t type_bytes, const char *subtype, size_t subtype_bytes);

/*
 * Whether a `type` alone does not decide it, so that `subtype` must be known before the payload is
 * read.
 */
bool jbi_event_type_needs_subtype(const struct jbi_event_type *types, const char *type,
                                  size_t type_bytes);

/* A borrowed piece of text; data may be NULL when len_bytes is 0. */
struct jbi_text {
    const char *data;
    size_t len_bytes;
};

/*
 * Write the topic an event of that type belongs on, always legal, NUL-terminated. tail: the text
 * that its topic ends with, if it is there. topic: room for 128 bytes. Returns the length, 1 ..
 * 127.
 */
uint8_t jbi_event_topic(const struct jbi_event_type *type, struct jbi_text tail, char *topic);

/* enum jb_priority of a jimbot.v1.Priority. */
static inline uint8_t jbi_priority_public(int64_t priority)
{
    return priority == 1 || priority == 2 ? (uint8_t)priority : 0;
}

#endif
