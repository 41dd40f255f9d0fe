/*
 * The protobuf wire format, one value at a time.
 *
 * Readers take a cursor and never look at or past its end; after a failure the cursor is
 * unspecified and the message is malformed. Writers write where the caller has made sure there is
 * room and return the place after. Invariant: what a writer made, the readers accept, and no reader
 * accepts a value that leaves its enclosing message. Groups (wire types 3 and 4) are refused: no
 * version of our schema has any, and they are the one construct that cannot be skipped without
 * recursion.
 */
#ifndef JBI_SCHEMA_WIRE_H
#define JBI_SCHEMA_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum jbi_wire_type {
    JBI_WIRE_VARINT = 0,
    JBI_WIRE_FIXED64 = 1,
    JBI_WIRE_BYTES = 2,
    JBI_WIRE_FIXED32 = 5
};

enum {
    JBI_WIRE_VARINT_MAX_BYTES = 10,
    JBI_WIRE_TAG_MAX_BYTES = 5,
    JBI_WIRE_NUMBER_MAX = 536870911 /* largest field number, 2^29 - 1 */
};

/* What is left of a message. */
typedef struct jbi_wire {
    const uint8_t *pos;
    const uint8_t *end;
} jbi_wire;

static inline jbi_wire jbi_wire_of(const void *data, size_t len_bytes)
{
    const uint8_t *bytes = data;

    /* Adding 0 to NULL is undefined in C, and an empty message may be NULL. */
    return (jbi_wire){bytes, bytes != NULL ? bytes + len_bytes : bytes};
}

static inline bool jbi_wire_done(const jbi_wire *in)
{
    return in->pos == in->end;
}

static inline size_t jbi_wire_left(const jbi_wire *in)
{
    return (size_t)(in->end - in->pos);
}

/* The general case of jbi_wire_varint(). */
bool jbi_wire_varint_long(jbi_wire *in, uint64_t *ret);

/* Read a varint of at most 10 bytes and 64 bits. */
static inline bool jbi_wire_varint(jbi_wire *in, uint64_t *ret)
{
    if (in->pos != in->end && *in->pos < 0x80) {
        *ret = *in->pos++;
        return true;
    }
    if (jbi_wire_left(in) >= 2 && in->pos[1] < 0x80) {
        *ret = (uint64_t)in->pos[1] << 7 | (in->pos[0] & 0x7f);
        in->pos += 2;
        return true;
    }
    return jbi_wire_varint_long(in, ret);
}

/* Read a tag. False for field number 0, a number above JBI_WIRE_NUMBER_MAX, and the wire types that
 * do not exist or are groups. */
static inline bool jbi_wire_tag(jbi_wire *in, uint32_t *ret_number, uint32_t *ret_type)
{
    const uint8_t *begin = in->pos;
    uint64_t tag;

    /* Other readers refuse a tag of more bytes than its 32 bits need, so this one does. */
    if (!jbi_wire_varint(in, &tag) || tag < 8 || tag > UINT32_MAX ||
        in->pos - begin > JBI_WIRE_TAG_MAX_BYTES)
        return false;
    *ret_number = (uint32_t)(tag >> 3);
    *ret_type = (uint32_t)tag & 7;
    return *ret_type <= JBI_WIRE_BYTES || *ret_type == JBI_WIRE_FIXED32;
}

/* Read eight little-endian bytes. */
static inline bool jbi_wire_fixed64(jbi_wire *in, uint64_t *ret)
{
    uint64_t value = 0;

    if (jbi_wire_left(in) < 8)
        return false;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)in->pos[i] << (8 * i);
    in->pos += 8;
    *ret = value;
    return true;
}

/* Read a double. */
static inline bool jbi_wire_double(jbi_wire *in, double *ret)
{
    uint64_t bits;

    if (!jbi_wire_fixed64(in, &bits))
        return false;
    memcpy(ret, &bits, sizeof *ret);
    return true;
}

/* Read a length and step over that many bytes; *ret is the cursor over them. ret may be `in`
 * itself, which then goes inside instead of past. */
static inline bool jbi_wire_bytes(jbi_wire *in, jbi_wire *ret)
{
    const uint8_t *begin;
    uint64_t len;

    if (!jbi_wire_varint(in, &len) || len > jbi_wire_left(in))
        return false;
    begin = in->pos;
    in->pos = begin + len;
    *ret = (jbi_wire){begin, begin + len};
    return true;
}

/* Step over a value whose tag was just read. */
bool jbi_wire_skip(jbi_wire *in, uint32_t type);

/* Bytes a varint takes, 1 to 10. */
static inline size_t jbi_wire_varint_bytes(uint64_t value)
{
    size_t n = 1;

    while (value >= 0x80) {
        value >>= 7;
        n++;
    }
    return n;
}

static inline uint8_t *jbi_wire_put_varint(uint8_t *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

static inline uint8_t *jbi_wire_put_tag(uint8_t *out, uint32_t number, uint32_t type)
{
    return jbi_wire_put_varint(out, (uint64_t)number << 3 | type);
}

static inline uint8_t *jbi_wire_put_fixed64(uint8_t *out, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
    return out + 8;
}

static inline uint8_t *jbi_wire_put_double(uint8_t *out, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return jbi_wire_put_fixed64(out, bits);
}

/* Write a length and the bytes. data may be NULL when len_bytes is 0. */
uint8_t *jbi_wire_put_bytes(uint8_t *out, const void *data, size_t len_bytes);

#endif
