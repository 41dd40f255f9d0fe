/*
 * Value events in, protobuf out: the one place where an event is built.
 *
 * A front end (the JSON reader, the public value calls) reports keys, opens, closes and scalars;
 * the sink looks each up in the schema's tables and appends to one buffer. Nothing is kept as a
 * tree.
 *
 * Invariant: between two calls out[0 .. len) is a prefix of a valid jimbot.v1.Event but for the
 * lengths of the messages in `frames`, which are patched when those close. Every value that came in
 * is in there either as a typed field that renders back to the same JSON value, or as an Extra that
 * holds it verbatim, or as both; where the dialect is normalised, as a value that means the same.
 */
#ifndef JBI_SCHEMA_SINK_H
#define JBI_SCHEMA_SINK_H

#include "jimbot/schema.h"
#include "schema/number.h"
#include "schema/quirk.h"
#include "schema/schema_tables.h"
#include "schema/short.h"

enum {
    JBI_SINK_TYPED_DEPTH_MAX = 100, /* containers; keeps messages within what readers take */
    JBI_SINK_NAMED = 16,
    JBI_SINK_FILTER = 256 /* words */
};

enum jbi_frame_kind {
    JBI_FRAME_MESSAGE,    /* a typed message, or a group of its members: the bytes are the same */
    JBI_FRAME_LIST,       /* a repeated field of the message below */
    JBI_FRAME_MAP,        /* a map field of the message below */
    JBI_FRAME_RAW_OBJECT, /* JSON text is being written */
    JBI_FRAME_RAW_LIST
};

/* One container that is open. */
struct jbi_frame {
    const struct jbi_message *message; /* MESSAGE */
    const struct jbi_field_info
        *field;       /* the field it is the value of; NULL for the event itself */
    uint64_t seen[2]; /* MESSAGE: fields that came, by idx; MAP, RAW_OBJECT: [0] tells it from the
                         others of the event */
    uint64_t bloom;   /* MESSAGE: unknown keys that came, by hash */
    uint32_t
        start; /* MESSAGE: first byte; MAP: of the open entry; LIST: of the packed block, or 0 */
    uint32_t count;         /* LIST, MAP: elements that are complete; RAW: values begun */
    uint16_t type;          /* of an event: its enum jb_event_type, 0 while it is not decided */
    uint16_t after;         /* MESSAGE: id of the last field plus 1, for jb_encoder_items() */
    uint16_t pending;       /* of an event: a type that waits for its subtype, else 0 */
    uint32_t cleared_bytes; /* MESSAGE: how large it was when it was cleared early */
    uint8_t kind;           /* enum jbi_frame_kind */
    bool is_late;           /* of an event: its payload came before its type, is in an Extra */
    bool has_twice;         /* MESSAGE: a key came twice, or may have */
    bool has_type_twice;    /* of an event: the key `type` did */
    bool has_subtype_twice; /* of an event: the key `subtype` did, and may decide the type */
    bool is_retyped;        /* of an event: the last type is in its type_name, undecided */
};

enum jbi_token_type {
    JBI_TOKEN_NULL,
    JBI_TOKEN_BOOL,
    JBI_TOKEN_NUMBER,
    JBI_TOKEN_NONFINITE, /* only number.value is set */
    JBI_TOKEN_STRING
};

/* A scalar. */
struct jbi_token {
    uint8_t type; /* enum jbi_token_type */
    bool is_true;
    const char
        *text; /* STRING: valid UTF-8; NUMBER: JSON grammar, or NULL when it came as a value */
    size_t text_bytes;
    jbi_number number;
};

struct jbi_arena;

/* An event in the making. */
struct jbi_sink {
    const struct jbi_dialect *dialect;
    struct jbi_arena *arena; /* where out comes from */
    uint8_t *out;
    size_t len;
    size_t cap;
    size_t max_bytes;         /* an event may not be larger */
    struct jbi_frame *frames; /* max_frames of them */
    uint32_t max_frames;
    uint32_t n_frames;
    const struct jbi_field_info *field; /* of the key that waits for its value */
    const char *field_key;              /* its JSON key */
    uint8_t field_key_bytes;
    bool has_key;
    bool in_raw;            /* JSON text is being written, until n_frames is raw_frames again */
    bool raw_is_list_field; /* it stands where a list belongs */
    bool is_bare;           /* the text is the payload itself, no event stands around it */
    bool is_strict_type;    /* a second `type` may not differ from the first (value calls) */
    bool has_non_finite;    /* a double that is infinite or NaN was written, somewhere */
    uint32_t raw_frames;
    uint32_t raw_outer; /* start of the message around the text, 0 when there is none */
    uint32_t raw_start; /* start of the text */
    const struct jbi_message *raw_group;     /* that the key of the Extra around it lies in */
    const struct jbi_field_info *raw_number; /* a double that the text may be the value of */
    struct jbi_quirks quirks;                /* met in this event */
    uint64_t n_objects;               /* maps and objects in raw text so far that have a key */
    bool may_have_twice;              /* in one of those a key may have come twice */
    uint64_t filter[JBI_SINK_FILTER]; /* which keys they have; valid when n_objects is not 0 */
    const char *why;                  /* static text that goes with the last failure, or NULL */
    uint8_t named[JBI_SINK_NAMED];    /* types that events had, by a hash of their names */
};

/* Begin an event: one open frame of jimbot.v1.Event. */
int jbi_sink_begin(struct jbi_sink *s);

/* The calls. All return 0 or a JB_E code; after a failure the sink is good for jbi_sink_begin()
 * only. JB_ESTATE: the call does not fit; JB_ETOOBIG, JB_ENOMEM, JB_ELIMIT (depth), JB_EEVENT (a
 * key twice, where that is not survived). */
int jbi_sink_key(struct jbi_sink *s, const char *key, size_t len_bytes);
/* A key of which the field is known already. */
int jbi_sink_key_of(struct jbi_sink *s, const struct jbi_field_info *f);
int jbi_sink_object_open(struct jbi_sink *s);
/* The same for a message as the value of a field whose key is not given, or as the next element of
 * a list of that field. */
int jbi_sink_message_open(struct jbi_sink *s, const struct jbi_field_info *f);
int jbi_sink_list_open(struct jbi_sink *s);
int jbi_sink_close(struct jbi_sink *s);
int jbi_sink_scalar(struct jbi_sink *s, const struct jbi_token *token);

static inline struct jbi_frame *jbi_sink_top(struct jbi_sink *s)
{
    return &s->frames[s->n_frames - 1];
}

/* Close the innermost container, a message, if nothing about it needs a second look, as events do;
 * false leaves it open for jbi_sink_close(). */
static inline bool jbi_sink_close_usual(struct jbi_sink *s)
{
    struct jbi_frame *top = jbi_sink_top(s), *around = top - 1;
    size_t n = s->len - top->start;

    if (n >= 0x80 || top->has_twice || s->has_non_finite || around->kind == JBI_FRAME_MAP ||
        top->message->group != 0 || top->message == s->dialect->event)
        return false;
    s->out[top->start - 1] = (uint8_t)n;
    around->count += around->kind == JBI_FRAME_LIST;
    s->n_frames--;
    return true;
}

/* Whether the innermost open container is an event. */
static inline bool jbi_sink_in_event(struct jbi_sink *s)
{
    struct jbi_frame *top = jbi_sink_top(s);

    return top->kind == JBI_FRAME_MESSAGE && top->message->is_event;
}

/* Forget the payload of the innermost event, typed or not. */
void jbi_sink_drop_payload(struct jbi_sink *s);

/* Where the path of the open containers leads, for messages: "payload.hand[0].rank". Returns its
 * length, less than cap_bytes; NUL-terminated. */
size_t jbi_sink_path(const struct jbi_sink *s, char *buf, size_t cap_bytes);

/* --- shared by the sink's own files --- */

int jbi_sink_grow(struct jbi_sink *s, size_t n_bytes);

/* Make room for n more bytes. */
static inline int jbi_sink_room(struct jbi_sink *s, size_t n_bytes)
{
    return s->cap - s->len >= n_bytes ? 0 : jbi_sink_grow(s, n_bytes);
}

/* Append bytes, or a field's tag. */
static inline int jbi_sink_put(struct jbi_sink *s, const void *data, size_t len_bytes)
{
    int rc = jbi_sink_room(s, len_bytes);

    if (rc < 0)
        return rc;
    jbi_copy((char *)s->out + s->len, data, len_bytes);
    s->len += len_bytes;
    return 0;
}

/* Append a varint length and the bytes. */
int jbi_sink_put_text(struct jbi_sink *s, const char *text, size_t len_bytes);

/* Leave one byte for a length; *ret_start is where the content begins. */
int jbi_sink_length_open(struct jbi_sink *s, uint32_t *ret_start);

/* Write the length in front of what was appended since. */
int jbi_sink_length_close(struct jbi_sink *s, uint32_t start);

/* Begin an Extra whose text follows as raw JSON. index < 0: none. */
int jbi_sink_extra_open(struct jbi_sink *s, const char *key, size_t key_bytes, int64_t index);

/* Begin raw JSON text as a string field with that tag; outer: start of the message around it or
 * 0. */
int jbi_sink_raw_open(struct jbi_sink *s, const void *tag, size_t tag_bytes, uint32_t outer);

/* The raw text is complete when its containers are closed: patch the lengths. */
int jbi_sink_raw_done(struct jbi_sink *s);

int jbi_sink_raw_key(struct jbi_sink *s, const char *key, size_t len_bytes);
int jbi_sink_raw_begin_value(struct jbi_sink *s, const char *bracket);
int jbi_sink_raw_close(struct jbi_sink *s);
int jbi_sink_raw_scalar(struct jbi_sink *s, const struct jbi_token *token);

/* One whole Extra with a scalar or a given text. */
int jbi_sink_extra_scalar(struct jbi_sink *s, const char *key, size_t key_bytes, int64_t index,
                          const struct jbi_token *token);
int jbi_sink_extra_text(struct jbi_sink *s, const char *key, size_t key_bytes, const char *json);

/* Room after the event, for a moment: what writes to the sink may take it. NULL without memory. */
void *jbi_sink_scratch(struct jbi_sink *s, size_t n_bytes);

uint64_t jbi_sink_key_hash(const char *key, size_t len_bytes);

/* A key came twice, and counts: 0, or JB_EEVENT where that is not survived. */
int jbi_sink_key_twice(struct jbi_sink *s);

/* A key came in a map or in raw text: if it may have come there before, remember that. */
void jbi_sink_note_key(struct jbi_sink *s, struct jbi_frame *top, const char *key,
                       size_t len_bytes);

/* What the key of that field wrote into the innermost message so far is to go. */
int jbi_sink_mark(struct jbi_sink *s, const struct jbi_field_info *f);

/* Remove from the innermost message what keys wrote that came again; early: if it is worth it. */
int jbi_sink_clear_twice(struct jbi_sink *s);
int jbi_sink_clear_early(struct jbi_sink *s);

/* Remove from the innermost message every field of that number, and every Extra of that key. number
 * 0: Extras only; JBI_SINK_ANY_PAYLOAD: all of the oneof; key NULL: fields only. */
enum { JBI_SINK_ANY_PAYLOAD = -1 };
void jbi_sink_drop(struct jbi_sink *s, int64_t number, const char *key, size_t key_bytes);

/* The last string field of that number in the innermost message; data NULL when there is none. */
struct jbi_text jbi_sink_find_text(struct jbi_sink *s, uint32_t number);

/* Say in the innermost message's `non_finite` whether one of its own doubles is infinite or NaN. */
int jbi_sink_mark_non_finite(struct jbi_sink *s);

/* The JSON text of the innermost message's Extra of that key; data NULL when there is none. */
struct jbi_text jbi_sink_find_extra(struct jbi_sink *s, const char *key, size_t key_bytes);

/* Write a double as the value of a field. */
int jbi_sink_put_double(struct jbi_sink *s, const struct jbi_field_info *f, double value);

/* What became of a scalar in a typed field. */
enum jbi_typed {
    JBI_TYPED_EXACT,   /* written, renders back the same */
    JBI_TYPED_COERCED, /* written, but renders differently */
    JBI_TYPED_NOT      /* not written */
};

/*
 * Write a scalar as a value of the field, after the given tag. Returns an enum jbi_typed or a JB_E
 * code. Fields of kind message and JSON are not for here.
 */
int jbi_sink_typed(struct jbi_sink *s, const struct jbi_field_info *f, const uint8_t *tag,
                   size_t tag_bytes, const struct jbi_token *token);

/* Begin an event of a type that is known beforehand, and say in which dialect it comes. */
int jbi_sink_event_open(struct jbi_sink *s, const char *type, size_t type_bytes);
int jbi_sink_event_mark(struct jbi_sink *s);

/* Whether a scalar of which that became has to be kept as it came. */
static inline bool jbi_sink_is_kept(const struct jbi_sink *s, int typed)
{
    return typed == JBI_TYPED_NOT || (typed == JBI_TYPED_COERCED && !s->dialect->is_normalised);
}

/* Open a message frame after a tag: three bytes, of which tag_bytes count. */
int jbi_sink_message_begin(struct jbi_sink *s, const struct jbi_field_info *f, const uint8_t *tag,
                           size_t tag_bytes);

/* The next element of the list or map that is innermost: a scalar; a container, 1 when it was opened
 * typed, 0 when it must be raw. */
int jbi_sink_element_scalar(struct jbi_sink *s, struct jbi_frame *top,
                            const struct jbi_token *token);
int jbi_sink_element_container(struct jbi_sink *s, struct jbi_frame *top, bool is_list);

/* An element is complete: close its entry, count it. */
int jbi_sink_element_done(struct jbi_sink *s, struct jbi_frame *top);

/* The list or map of that frame, which is no longer open, is complete. An empty one has no presence
 * in protobuf: say so in an Extra. */
int jbi_sink_list_close(struct jbi_sink *s, struct jbi_frame *list);

/* Write the type of the innermost event. */
int jbi_sink_event_type(struct jbi_sink *s, uint16_t type, const char *name, size_t name_bytes);

/* A string came for `type`, one came for `subtype`, the event closes. */
int jbi_sink_event_named(struct jbi_sink *s, const char *text, size_t len_bytes);
int jbi_sink_event_subtyped(struct jbi_sink *s, const char *text, size_t len_bytes);
int jbi_sink_event_settle(struct jbi_sink *s);

#endif
