/* See shapes.h. Invariant: a writer stays within its room. */
#include "shapes.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jimbot/schema.h"

enum { MAX_TURNS = 32, SLACK = 600 };

/* A head, as many members as fit, a tail; a member is spelled by its number. */
static size_t filled(char *to, size_t n_bytes, const char *head, const char *member,
                     const char *tail)
{
    size_t n = (size_t)sprintf(to, "%s", head), room = n_bytes - SLACK;

    for (int i = 0; n < room; i++)
        n += (size_t)snprintf(to + n, SLACK / 2, member, i, i);
    n -= to[n - 1] == ',';
    return n + (size_t)sprintf(to + n, "%s", tail);
}

static size_t batch(char *to, size_t n)
{
    return filled(
        to, n, "{\"events\":[",
        "{\"payload\":{\"old_value\":%d,\"new_value\":%d.5,\"difference\":8},\"version\":1,"
        "\"type\":\"MONEY_CHANGED\",\"source\":\"BalatroMCP\"},",
        "]}");
}

static size_t no_events(char *to, size_t n)
{
    return filled(to, n, "[", "[{\"a\":%d,\"b\":[%d,null,\"text\"]}],", "]");
}

static size_t cards(char *to, size_t n)
{
    return filled(
        to, n, "{\"payload\":{\"hand\":[",
        "{\"id\":%d,\"rank\":\"10\",\"suit\":\"Hearts\",\"position\":%d,\"seal\":\"none\"},",
        "]},\"type\":\"GAME_STATE\"}");
}

static size_t entries(char *to, size_t n)
{
    return filled(to, n, "{\"payload\":{\"shop_items\":{",
                  "\"joker_%d\":{\"name\":\"Zany Joker\",\"cost\":%d},",
                  "}},\"type\":\"GAME_STATE\"}");
}

/* These grow when they become an event, which has a limit: less text is enough. */
enum { GROWTH = 4 };

static size_t misfits(char *to, size_t n)
{
    return filled(to, n / GROWTH + SLACK, "{\"type\":\"GAME_STATE\",\"payload\":{\"hand\":[",
                  "%d,[%d],", "]}}");
}

static size_t escapes(char *to, size_t n)
{
    return filled(to, n, "{\"type\":\"X\",\"source\":\"", "\\n\\u00e9\\ud83d\\ude00\\\\", "\"}");
}

static size_t bad_bytes(char *to, size_t n)
{
    return filled(to, n / GROWTH + SLACK, "{\"type\":\"X\",\"source\":\"",
                  "\xff\xc3\x01\n\xed\xa0\x80", "\"}");
}

static size_t unknown_keys(char *to, size_t n)
{
    return filled(to, n / GROWTH + SLACK, "{\"type\":\"X\"", ",\"k%d\":%d", "}");
}

static size_t colliding_keys(char *to, size_t n)
{
    return filled(to, n / GROWTH + SLACK, "{\"type\":\"X\"", ",\"12345678%06d%06d12345678\":1",
                  "}");
}

static size_t raw_twice(char *to, size_t n)
{
    return filled(to, n, "{\"type\":\"X\",\"a\":{\"k\":0", ",\"k%d\":1,\"k%d\":{\"b\":1,\"b\":2}",
                  "}}");
}

static size_t entries_twice(char *to, size_t n)
{
    return filled(to, n, "{\"type\":\"GAME_STATE\",\"payload\":{\"shop_items\":{\"k\":{}",
                  ",\"k%d\":{\"name\":\"a\"},\"k%d\":{\"name\":\"b\"}", "}}}");
}

static size_t unknown_twice(char *to, size_t n)
{
    size_t half = filled(to, n / GROWTH + SLACK, "{\"type\":\"X\"", ",\"k%d\":%d", "");

    return half + filled(to + half, half + SLACK, "", ",\"k%d\":%d", "}");
}

static size_t one_unknown(char *to, size_t n)
{
    return filled(to, n, "{\"type\":\"X\"", ",\"zz\":%d", "}");
}

static size_t one_known(char *to, size_t n)
{
    return filled(to, n, "{\"type\":\"X\"", ",\"version\":\"%d%d\"", "}");
}

static size_t one_list(char *to, size_t n)
{
    return filled(to, n, "{\"type\":\"GAME_STATE\",\"payload\":{\"a\":0",
                  ",\"hand\":[{\"id\":%d},%d],\"hand\":[]", "}}");
}

static size_t types(char *to, size_t n)
{
    return filled(to, n, "{\"subtype\":\"REQUEST\"",
                  ",\"type\":\"SCORING\",\"type\":\"T%d\",\"k%d\":1", "}");
}

static size_t payloads(char *to, size_t n)
{
    return filled(to, n, "{\"version\":1", ",\"payload\":{\"a\":%d,\"b\":[%d]}",
                  ",\"type\":\"GAME_STATE\"}");
}

/* Lists in lists, which end or do not. */
static size_t nested(char *to, size_t n_bytes, bool is_closed)
{
    size_t n = (size_t)sprintf(to, "{\"payload\":"),
           depth = (n_bytes - SLACK) / (is_closed ? 2 : 1);

    memset(to + n, '[', depth);
    n += depth;
    memset(to + n, ']', is_closed ? depth : 0);
    n += is_closed ? depth : 0;
    return n + (size_t)sprintf(to + n, ",\"type\":\"X\"}");
}

static size_t nested_closed(char *to, size_t n)
{
    return nested(to, n, true);
}

static size_t nested_open(char *to, size_t n)
{
    return nested(to, n, false);
}

/* Lists side by side, each as deep as may be. */
static size_t nested_often(char *to, size_t n)
{
    return filled(to, n, "{\"type\":\"X\",\"a\":[",
                  "[[[[[[[[[[[[[[[[[[[[{\"a\":%d}]]]]]]]]]]]]]]]]]]]],", "]}");
}

static size_t space(char *to, size_t n)
{
    return filled(to, n, "{\"type\":\"X\"", "  \t\r\n      \n", "}");
}

/* Events: a type, then as many fields as fit. */
static size_t fields(char *to, size_t n_bytes, const void *field, size_t len_bytes, size_t n_varied)
{
    size_t n = 2;
    uint32_t i = 0;

    memcpy(to, "\x08\x03", 2);
    for (; n + len_bytes + 8 < n_bytes; n += len_bytes, i++) {
        memcpy(to + n, field, len_bytes);
        /* Of the last bytes some are digits of a number, so that fields differ. */
        for (uint32_t d = 0, left = i; d < n_varied; d++, left /= 10)
            to[n + len_bytes - 1 - d] = (char)('0' + left % 10);
    }
    return n;
}

static size_t unknown_fields(char *to, size_t n)
{
    /* A tag of four bytes whose number differs, then 0. */
    size_t len = 2;

    memcpy(to, "\x08\x03", 2);
    for (uint32_t number = 60000; len + 8 < n; number += 7) {
        uint32_t tag = (number % 200000 + 50000) << 3;

        to[len++] = (char)(tag | 0x80);
        to[len++] = (char)(tag >> 7 | 0x80);
        to[len++] = (char)(tag >> 14 & 0x7f);
        to[len++] = 0;
    }
    return len;
}

static size_t same_extras(char *to, size_t n)
{
    return fields(to, n,
                  "\x7a\x07\x0a\x02zz\x1a\x01"
                  "1",
                  9, 0);
}

static size_t other_extras(char *to, size_t n)
{
    return fields(to, n,
                  "\x7a\x0b\x1a\x01"
                  "1\x0a\x06"
                  "000000",
                  13, 6);
}

static size_t same_fields(char *to, size_t n)
{
    return fields(to, n,
                  "\x12\x06"
                  "000000",
                  8, 6);
}

const struct shape shapes[] = {
    {"batch of events", batch, .is_batch = true},
    {"batch of what is none", no_events, .is_batch = true},
    {"list of cards", cards, .is_batch = false},
    {"map of entries", entries, .is_batch = false},
    {"elements that do not fit", misfits, .is_batch = false},
    {"escapes", escapes, .is_batch = false},
    {"bytes to be replaced", bad_bytes, .is_batch = false},
    {"unknown keys", unknown_keys, .is_batch = false},
    {"unknown keys that collide", colliding_keys, .is_batch = false},
    {"members of a text, twice", raw_twice, .is_batch = false},
    {"entries of a map, twice", entries_twice, .is_batch = false},
    {"unknown keys, each twice", unknown_twice, .is_batch = false},
    {"one unknown key", one_unknown, .is_batch = false},
    {"one known key", one_known, .is_batch = false},
    {"one list", one_list, .is_batch = false},
    {"types", types, .is_batch = false},
    {"payloads before the type", payloads, .is_batch = false},
    {"nested too deep", nested_closed, .is_refused = true},
    {"nested without end", nested_open, .is_refused = true},
    {"nested often", nested_often, .is_batch = false},
    {"white space", space, .is_batch = false},
    {"pb: unknown fields", unknown_fields, .is_protobuf = true},
    {"pb: extras of one key", same_extras, .is_protobuf = true},
    {"pb: extras of many keys", other_extras, .is_protobuf = true},
    {"pb: one field", same_fields, .is_protobuf = true},
};

const size_t n_shapes = sizeof shapes / sizeof shapes[0];

jb_encoder *shape_encoder(void)
{
    jb_encoder_opts opts;
    jb_encoder *encoder;

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.max_batch_bytes = UINT32_MAX;
    return jb_encoder_create(&opts, &encoder, NULL) == 0 ? encoder : NULL;
}

/* What the last call says. */
static int read_events(jb_encoder *encoder, const char *text, size_t n)
{
    jb_encoded event;
    int rc = jb_encoder_batch_begin(encoder, text, n, NULL);

    do {
        rc = jb_encoder_batch_next(encoder, &event, NULL);
    } while (rc == 1 || rc == JB_EEVENT);
    return rc;
}

static bool read_protobuf(const char *bytes, size_t n)
{
    static char json[8 << 20];
    static uint8_t form[4 << 20];
    jb_encoded event;

    return jb_event_inspect(bytes, n, &event, NULL) == 0 &&
           jb_event_canonical(bytes, n, form, sizeof form, NULL) > 0 &&
           jb_event_to_json(bytes, n, json, sizeof json, NULL) > 0;
}

bool shape_read(const struct shape *shape, jb_encoder *encoder, const char *bytes, size_t n)
{
    int rc;

    if (shape->is_protobuf)
        return read_protobuf(bytes, n);
    rc = read_events(encoder, bytes, n);
    /* Where it is short, only the event is nested too deep. */
    return rc == 0 || (rc == JB_EPARSE && shape->is_refused);
}

static double now_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double shape_ns(const struct shape *shape, jb_encoder *encoder, const char *bytes, size_t n,
                unsigned n_turns)
{
    double turns[MAX_TURNS];

    for (unsigned t = 0; t < n_turns && t < MAX_TURNS; t++) {
        double begin = now_ns();

        if (!shape_read(shape, encoder, bytes, n))
            return -1;
        turns[t] = now_ns() - begin;
    }
    qsort(turns, n_turns, sizeof turns[0], by_value);
    return turns[n_turns / 2];
}
