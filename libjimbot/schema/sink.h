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
#include "schema/schema_dialect.h"
#include "schema/short.h"

enum {
    JBI_SINK_TYPED_DEPTH_MAX = 100, /* containers; keeps messages within what readers take */
    /* What is written may ask for more room than it takes, by less than that: an event may come to
     * so much more before its size is asked. */
    JBI_SINK_SLACK_BYTES = 64,
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
    size_t max_bytes;         /* room for the largest event, and the slack */
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

#endif
