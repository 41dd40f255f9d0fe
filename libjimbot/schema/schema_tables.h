/*
 * The schema as data: messages, fields, enums, event types.
 *
 * tools/schemagen.py makes schema_tables.c from the files in proto/ (*.proto and the .toml files of
 * the dialects). Everything is constant and shared by the encoder, the decoder and the field paths,
 * so that none of them knows a single field by name. Each dialect has a set of its own, which
 * differs in spelling only; who reads bytes and no JSON takes the first one's.
 *
 * An object of a dialect that no message stands for is a group: its members are fields of the
 * message around it. It is a jbi_message with the same fields and other keys, and a field of kind
 * JBI_KIND_GROUP, without a number, opens it.
 *
 * Invariant: `fields` of a message is sorted by number, groups come behind the n_fields that have
 * one; number lookups of a message reach exactly its fields, key lookups those that have a key
 * there.
 */
#ifndef JBI_SCHEMA_TABLES_H
#define JBI_SCHEMA_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What one value of a field is. */
enum jbi_kind {
    JBI_KIND_BOOL = 1,
    JBI_KIND_INT = 2, /* int64 or uint32, a plain varint */
    JBI_KIND_DOUBLE = 3,
    JBI_KIND_STRING = 4,
    JBI_KIND_ENUM = 5,
    JBI_KIND_MESSAGE = 6,
    JBI_KIND_JSON = 7, /* a string field that holds minified JSON text of any value */
    JBI_KIND_GROUP = 8 /* no field: an object whose members lie in the message around it */
};

enum jbi_label {
    JBI_LABEL_SINGLE = 0,
    JBI_LABEL_REPEATED = 1, /* numbers, bools, enums are packed */
    JBI_LABEL_MAP = 2       /* map<string, kind>: entries {1: key, 2: value}; a JSON object */
};

enum jbi_field_flags {
    JBI_FIELD_ID = 1, /* string: arrives as number or string; a JSON number when its text is one */
    JBI_FIELD_PAYLOAD = 2,  /* member of Event's oneof; its JSON key depends on the event type */
    JBI_FIELD_INTERNAL = 4, /* no JSON key of its own: non_finite, type_name, payloads */
    JBI_FIELD_EXTRAS = 8,   /* what the message's other fields cannot express */
    JBI_FIELD_QUOTED = 16,  /* an integer that is written as a string */
    JBI_FIELD_UINT32 = 32   /* an integer of that range; the others are int64 */
};

enum { JBI_NUMBER_EXTRAS = 15, JBI_NUMBER_NON_FINITE = 100, JBI_FIELDS_MAX = 128 };

/* `"key":` of a field is short enough to be compared at once, and so many bytes may be read of it;
 * messages and fields are fewer than that many in all. */
enum { JBI_QUOTED_BYTES = 32, JBI_IDS_MAX = 1024 };

struct jbi_enum_spelling {
    const char *text;
    uint8_t text_bytes;
    bool is_canonical;
    int32_t number;
};

/* Spellings are hashed like keys; `values` is sorted by number and has the canonical ones only. */
struct jbi_enum {
    const char *name;
    const struct jbi_enum_spelling *spellings;
    const struct jbi_enum_spelling *values;
    const uint8_t *slots;      /* index into spellings + 1, 0 empty */
    const char *number_prefix; /* NULL, or text before the number of a nameless value */
    uint16_t slot_mask;
    uint16_t n_values;
    uint8_t mul[4];
    uint8_t number_prefix_bytes;
    uint8_t common_bytes; /* that all spellings begin with; the hash leaves them out */
    bool is_number;       /* canonical JSON is a number */
    bool is_open;         /* any number stands for itself */
};

struct jbi_message;

struct jbi_field_info {
    const char *key;                    /* JSON key */
    const char *name;                   /* protobuf name; same storage as key when they are equal */
    const struct jbi_message *message;  /* JBI_KIND_MESSAGE, also as value of a map; GROUP */
    const struct jbi_enum *enumeration; /* JBI_KIND_ENUM */
    uint8_t key_bytes;
    uint8_t name_bytes;
    uint8_t kind;  /* enum jbi_kind */
    uint8_t label; /* enum jbi_label */
    uint8_t flags; /* enum jbi_field_flags */
    uint8_t idx;   /* place in the message's fields, < JBI_FIELDS_MAX */
    uint8_t tag_bytes;
    uint8_t tag[3]; /* the encoded tag with the wire type it is written with (packed, map: LEN) */
    uint16_t number;
    uint16_t id;                   /* of all fields and messages, < JBI_IDS_MAX */
    uint8_t group;                 /* idx of the group that has its key, 0: the message itself */
    uint8_t quoted_bytes;          /* of `"key":`; 0 when it is too long for `quoted` */
    char quoted[JBI_QUOTED_BYTES]; /* `"key":`, then zeros */
};

struct jbi_message {
    const char *name; /* of a group: its key */
    const struct jbi_field_info *fields;
    const uint8_t *slots;     /* key hash -> index into fields + 1, 0 empty */
    const uint8_t *by_number; /* field number -> index into fields + 1, 0 none */
    uint16_t slot_mask;
    uint16_t n_fields;
    uint16_t max_number;
    uint16_t id; /* of all fields and messages, < JBI_IDS_MAX */
    uint8_t mul[4];
    bool is_event;  /* its type says where the payload is */
    bool is_named;  /* a field's name is understood where its key is meant */
    uint8_t group;  /* of a group: idx of its field, else 0 */
    uint16_t place; /* in jbi_dialect.messages */
};

/* Of the first dialect, for those who read bytes and no JSON. */
extern const struct jbi_message jbi_message_Event;

static inline uint32_t jbi_key_hash(const uint8_t mul[4], const char *key, size_t len_bytes)
{
    const uint8_t *k = (const uint8_t *)key;

    return (uint32_t)len_bytes + (uint32_t)mul[0] * k[0] + (uint32_t)mul[1] * k[len_bytes - 1] +
           (uint32_t)mul[2] * k[len_bytes / 2] + (uint32_t)mul[3] * k[len_bytes * 3 / 4];
}

/* Whether the field's value is an object of fields. */
static inline bool jbi_is_object(const struct jbi_field_info *f)
{
    return (f->kind == JBI_KIND_MESSAGE || f->kind == JBI_KIND_GROUP) &&
           f->label == JBI_LABEL_SINGLE;
}

/* The field of a protobuf name, NULL when the message has none. */
const struct jbi_field_info *jbi_field_by_name(const struct jbi_message *message, const char *name,
                                               size_t len_bytes);

/* The field of a JSON key, NULL when the message has none. */
static inline const struct jbi_field_info *jbi_field_by_key(const struct jbi_message *message,
                                                            const char *key, size_t len_bytes)
{
    const struct jbi_field_info *f;
    uint8_t slot;

    if (len_bytes == 0)
        return NULL;
    slot = message->slots[jbi_key_hash(message->mul, key, len_bytes) & message->slot_mask];
    f = slot != 0 ? &message->fields[slot - 1] : NULL;
    if (f != NULL && f->key_bytes == len_bytes && memcmp(f->key, key, len_bytes) == 0)
        return f;
    return message->is_named ? jbi_field_by_name(message, key, len_bytes) : NULL;
}

/* The field of a protobuf number, NULL when the message has none. */
static inline const struct jbi_field_info *jbi_field_by_number(const struct jbi_message *message,
                                                               uint32_t number)
{
    if (number > message->max_number || message->by_number[number] == 0)
        return NULL;
    return &message->fields[message->by_number[number] - 1];
}

/* Whether all that a message holds is JSON text of any value: a custom payload. */
static inline bool jbi_message_is_text(const struct jbi_message *message)
{
    return message->fields[0].kind == JBI_KIND_JSON && message->n_fields == 2;
}

/* How a text spells a value, NULL when it does not. */
const struct jbi_enum_spelling *jbi_enum_by_text(const struct jbi_enum *e, const char *text,
                                                 size_t len_bytes);

/* The canonical spelling of a number, NULL when it has none. */
const struct jbi_enum_spelling *jbi_enum_by_number(const struct jbi_enum *e, int64_t number);

#endif
