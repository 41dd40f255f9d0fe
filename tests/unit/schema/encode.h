/*
 * encode.h: JSON in, JSON out, for tests of the encoder.
 *
 * Invariant: a helper that does not return a failure to its caller fails the test.
 */
#ifndef TEST_ENCODE_H
#define TEST_ENCODE_H

#include "jimbot/schema.h"
#include "support/suite.h"

static jb_encoder *enc;
static jb_encoded made;
static jb_error err;

static inline void encoder_open(void)
{
    jb_error_init(&err);
    ck_assert_int_eq(jb_encoder_create(NULL, &enc, &err), 0);
}

static inline void encoder_close(void)
{
    jb_encoder_destroy(enc);
    enc = NULL;
}

/* Encode; the result lies in `made`, a failure in `err`. */
static inline int encode(const char *text)
{
    jb_error_init(&err);
    return jb_encoder_json(enc, text, strlen(text), &made, &err);
}

/* What `made` reads as, NUL-terminated, until the next call. */
static inline const char *made_json(void)
{
    static char buf[1 << 20];
    int64_t n = jb_event_to_json(made.data, made.len_bytes, buf, sizeof buf - 1, &err);

    ck_assert_msg(n > 0 && n < (int64_t)sizeof buf, "%s", err.msg);
    buf[n] = '\0';
    return buf;
}

/* The event must come back as `out`, which is spelled as jb_event_to_json() spells. */
static inline void comes_back_as(const char *in, const char *out)
{
    ck_assert_msg(encode(in) == 0, "%s: %s", in, err.msg);
    ck_assert_str_eq(made_json(), out);
}

static inline void comes_back(const char *text)
{
    comes_back_as(text, text);
}

static inline double made_double(const char *path)
{
    jb_field field;
    double value = 0;

    ck_assert_msg(jb_field_parse(path, strlen(path), &field, &err) == 0, "%s", err.msg);
    ck_assert_msg(jb_field_get_double(&field, made.data, made.len_bytes, &value) == 1,
                  "%s is absent", path);
    return value;
}

static inline bool made_has(const char *path)
{
    jb_field field;
    int64_t value;

    ck_assert_msg(jb_field_parse(path, strlen(path), &field, &err) == 0, "%s", err.msg);
    return jb_field_get_int(&field, made.data, made.len_bytes, &value) == 1;
}

static inline void refused(const char *text, int code, uint64_t offset, const char *msg)
{
    ck_assert_int_eq(encode(text), code);
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.msg, msg) != NULL, "'%s' does not say '%s'", err.msg, msg);
    ck_assert_msg(err.offset == offset, "%s: at %llu", err.msg, (unsigned long long)err.offset);
}

#endif
