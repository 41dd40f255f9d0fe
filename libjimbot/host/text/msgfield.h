/*
 * msgfield: the fields of a protobuf message, read where they lie and appended to a text.
 *
 * Invariant: a reader accepts only fields that are whole and lie inside the bytes given; what it
 * returns are slices of them. Groups are refused, see schema/wire.h.
 */
#ifndef JBI_HOST_MSGFIELD_H
#define JBI_HOST_MSGFIELD_H

#include "host/text/htext.h"
#include "host/text/slice.h"
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

/* The last value of a varint field in a sound message, or what else it is. */
uint64_t jbi_msg_value(jbi_slice message, uint32_t number, uint64_t otherwise);

/* The last value of a field of bytes; data is NULL when there is none. */
jbi_slice jbi_msg_bytes(jbi_slice message, uint32_t number);

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

#endif
