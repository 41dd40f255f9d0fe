/*
 * messages: the messages of jimbot.v1.EventBus as bytes: fields in, fields out.
 *
 * Written and read where they lie, on the schema room's wire functions: an Event inside is a slice
 * of the message it came in, and goes out as the bytes that lie in the ring.
 *
 * Invariant: a reader accepts only a message that is sound to its last byte and fits the limits
 * told; what it returns are slices of its input. Fields it does not know are passed over.
 */
#ifndef JBI_HOST_MESSAGES_H
#define JBI_HOST_MESSAGES_H

#include "host/service/feed.h"
#include "host/text/htext.h"
#include "schema/wire.h"

/* A field of a message: `value` for a varint, fixed32 or fixed64, `bytes` for the rest. */
typedef struct jbi_msg_field {
    uint32_t number;
    uint32_t type; /* enum jbi_wire_type */
    uint64_t value;
    jbi_slice bytes;
} jbi_msg_field;

/* The next field. 1 there is one, 0 the message is at its end, -1 it is malformed. */
int jbi_msg_next(jbi_wire *in, jbi_msg_field *ret);

/* Whether it is field `number` and a varint, or bytes. */
static inline bool jbi_msg_is_value(const jbi_msg_field *f, uint32_t number)
{
    return f->number == number && f->type == JBI_WIRE_VARINT;
}

static inline bool jbi_msg_is_bytes(const jbi_msg_field *f, uint32_t number)
{
    return f->number == number && f->type == JBI_WIRE_BYTES;
}

/* Append one field. */
void jbi_msg_put_value(jbi_htext *out, uint32_t number, uint64_t value);
void jbi_msg_put_bytes(jbi_htext *out, uint32_t number, jbi_slice bytes);

/* Append a text that may hold anything, as the UTF-8 that a string field is: bytes that are not
 * printable ASCII become `?`. */
void jbi_msg_put_text(jbi_htext *out, uint32_t number, const char *text);

/* Append a field of bytes whose length is not known yet: open, append, close with what open
 * returned. They may be nested. */
size_t jbi_msg_open(jbi_htext *out, uint32_t number);
void jbi_msg_close(jbi_htext *out, size_t mark);

/* OutgoingEvent. */
typedef struct jbi_msg_outgoing {
    jbi_slice event; /* data is NULL when there is none */
    jbi_slice topic; /* data is NULL when there is none */
    uint32_t key;
} jbi_msg_outgoing;

/* SubscribeRequest. What was absent has its default. */
typedef struct jbi_msg_subscribe {
    jbi_slice patterns[JBI_FEED_PATTERNS];
    uint32_t n_patterns;
    uint32_t policy; /* enum jb_sub_policy */
    uint32_t start;  /* enum jbi_feed_start */
    uint32_t max_events;
    uint64_t types; /* as in jbi_feed_opts */
    uint64_t start_sequence;
    uint64_t linger_ns;
    uint64_t idle_ns;
    uint64_t evict_after_ns;
    jbi_slice name;
    bool is_high_first;
} jbi_msg_subscribe;

/* Each returns NULL, or what is wrong, static text. */
const char *jbi_msg_read_outgoing(jbi_slice message, jbi_msg_outgoing *ret);
const char *jbi_msg_read_subscribe(jbi_slice message, jbi_msg_subscribe *ret);

/* The defaults; and what is wrong with it as a whole. */
void jbi_msg_subscribe_init(jbi_msg_subscribe *m);
const char *jbi_msg_subscribe_check(const jbi_msg_subscribe *m);

/* Numbers of the enums, from those of the schema. False: there is no such one. */
bool jbi_msg_policy(uint64_t number, uint32_t *ret_policy);
bool jbi_msg_start(uint64_t number, uint32_t *ret_start);

/* The same as options of a feed; `via` and a name where it gave none are the caller's to add. */
void jbi_msg_feed_opts(const jbi_msg_subscribe *m, jbi_feed_opts *ret);

#endif
