/*
 * pb.h: protobuf messages put together byte by byte, so that tests do not depend on the encoder.
 *
 * Invariant: a message is at most sizeof(struct pb.bytes) long; a longer one ends the test.
 */
#ifndef TEST_PB_H
#define TEST_PB_H

#include "schema/wire.h"

#include <check.h>
#include <stdint.h>
#include <string.h>

struct pb {
    size_t len;
    uint8_t bytes[8192];
};

static inline void pb_raw(struct pb *pb, const void *bytes, size_t len_bytes)
{
    ck_assert_uint_le(pb->len + len_bytes, sizeof pb->bytes);
    if (len_bytes != 0)
        memcpy(pb->bytes + pb->len, bytes, len_bytes);
    pb->len += len_bytes;
}

static inline void pb_varint(struct pb *pb, uint64_t value)
{
    uint8_t buf[10];

    pb_raw(pb, buf, (size_t)(jbi_wire_put_varint(buf, value) - buf));
}

static inline void pb_int(struct pb *pb, uint32_t number, int64_t value)
{
    pb_varint(pb, number << 3);
    pb_varint(pb, (uint64_t)value);
}

static inline void pb_double(struct pb *pb, uint32_t number, double value)
{
    uint8_t buf[8];

    pb_varint(pb, number << 3 | JBI_WIRE_FIXED64);
    jbi_wire_put_double(buf, value);
    pb_raw(pb, buf, 8);
}

static inline void pb_bytes(struct pb *pb, uint32_t number, const void *bytes, size_t len_bytes)
{
    pb_varint(pb, number << 3 | JBI_WIRE_BYTES);
    pb_varint(pb, len_bytes);
    pb_raw(pb, bytes, len_bytes);
}

static inline void pb_text(struct pb *pb, uint32_t number, const char *text)
{
    pb_bytes(pb, number, text, strlen(text));
}

static inline void pb_message(struct pb *pb, uint32_t number, const struct pb *message)
{
    pb_bytes(pb, number, message->bytes, message->len);
}

/* An Extra for the whole of a key, or with idx >= 0 for one element. */
static inline void pb_extra(struct pb *pb, const char *key, int64_t idx, const char *json)
{
    struct pb extra = {0};

    pb_text(&extra, 1, key);
    if (idx >= 0)
        pb_int(&extra, 2, idx);
    pb_text(&extra, 3, json);
    pb_message(pb, 15, &extra);
}

/* An event of a type, with a payload under its field number; either may be left out with 0. */
static inline struct pb pb_event(int64_t type, uint32_t number, const struct pb *payload)
{
    struct pb event = {0};

    if (type != 0)
        pb_int(&event, 1, type);
    if (number != 0)
        pb_message(&event, number, payload);
    return event;
}

#endif
