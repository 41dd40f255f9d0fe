/*
 * What the sink's files share, and the few who write into an event beside them.
 *
 * Invariant: as sink.h says; each call here keeps it, or fails.
 */
#ifndef JBI_SCHEMA_SINK_PARTS_H
#define JBI_SCHEMA_SINK_PARTS_H

#include "schema/sink.h"

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

/* The next element of the list or map that is innermost: a scalar; a container, 1 when it was
 * opened typed, 0 when it must be raw. */
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
