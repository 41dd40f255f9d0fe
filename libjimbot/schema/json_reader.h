/*
 * JSON text into a sink, in one pass, and over it without looking.
 *
 * Invariant: text is accepted only if every byte of it was understood. `pos` is between `begin` and
 * `end` always, so that an error's offset is `pos - begin`.
 */
#ifndef JBI_SCHEMA_JSON_READER_H
#define JBI_SCHEMA_JSON_READER_H

#include "jimbot/schema.h"
#include "schema/json_scan.h"
#include "schema/sink_parts.h"
#include "schema/word.h"

enum { JBI_JSON_SKIP_DEPTH = JBI_SCAN_DEPTH_MAX }; /* deepest that skipping understands */

/* The key of a member of a typed message. */
struct jbi_member {
    const struct jbi_field_info *field; /* NULL: the message has none of that key */
    struct jbi_text key;                /* set when field is NULL */
    const char *begin;
};

struct jbi_json {
    const char *begin;
    const char *pos;
    const char *end;
    struct jbi_sink *sink;
    const jb_alloc *alloc;
    char *scratch; /* a string whose text had to be changed */
    size_t scratch_bytes;
    const char *leap_begin; /* the longest value leapt over of this text, and its end */
    const char *leap_end;
    int64_t element; /* index in a batch for messages, -1 when there is none */
    jb_error *err;
    /* The field whose key came last time after that of the field, or first in the message, of the
     * id. */
    const struct jbi_field_info *expect[JBI_IDS_MAX];
    struct jbi_word words[JBI_WORDS]; /* that came */
};

void jbi_json_fini(struct jbi_json *r);

/* Fail: fill in the error at a place, with a printf message. Returns code. */
int jbi_json_fail(struct jbi_json *r, int code, const char *at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Fail because the sink did, which said rc of what stands at `at`. Returns a code. */
int jbi_json_sink_failed(struct jbi_json *r, int rc, const char *at);

void jbi_json_space_long(struct jbi_json *r);

/* Step over white space; most texts have none. */
static inline void jbi_json_space(struct jbi_json *r)
{
    if (r->pos != r->end && (unsigned char)*r->pos <= ' ')
        jbi_json_space_long(r);
}

/* A key and the colon after it; pos is at the value then. ret_begin: where the key stands. */
int jbi_json_key(struct jbi_json *r, struct jbi_text *ret, const char **ret_begin);

/* The key of the next member of a message and its colon; pos is at the value then. after: the
 * id of the field before it, or of the message when it is the first. */
int jbi_json_member_key(struct jbi_json *r, const struct jbi_message *message, uint16_t after,
                        struct jbi_member *ret);

/*
 * Read members into the innermost message as long as they are spelled in the usual way: pos is
 * after white space where a key is expected. after: as above, kept up to date. 1 when pos is at the
 * key of a member that is not usual, 0 when the message's brace came and pos is behind it, or a
 * code.
 */
int jbi_json_members_usual(struct jbi_json *r, uint16_t *after);

/* Whether the field's value is one object of fields that is no event. */
static inline bool jbi_json_is_message(const struct jbi_field_info *f)
{
    return jbi_is_object(f) && !f->message->is_event;
}

/* Read an object as a value of the field, a message: pos is behind its first brace. */
int jbi_json_message(struct jbi_json *r, const struct jbi_field_info *f);

/* After a member: 1 when another follows, 0 at the closing brace, or a code. */
int jbi_json_member_next(struct jbi_json *r);

/* A string that is not plain to its end. */
int jbi_json_string_long(struct jbi_json *r, struct jbi_text *ret);

/* Read one string token; text is valid UTF-8, in the input or in scratch, until the next one. */
static inline int jbi_json_string(struct jbi_json *r, struct jbi_text *ret)
{
    const char *begin = r->pos + 1;
    const char *quote = jbi_scan_plain(begin, r->end);

    if (quote == r->end || *quote != '"')
        return jbi_json_string_long(r, ret);
    *ret = (struct jbi_text){begin, (size_t)(quote - begin)};
    r->pos = quote + 1;
    return 0;
}

/* Make text valid UTF-8 in scratch, counting what was replaced. */
int jbi_json_repair(struct jbi_json *r, const char *text, size_t len_bytes, struct jbi_text *ret);

/* Read one scalar token: anything but an object or a list. */
int jbi_json_scalar(struct jbi_json *r, struct jbi_token *ret);

/* Read one value into the sink, whose turn it is to take a value. */
int jbi_json_value(struct jbi_json *r);

/* Read the members of an event object (pos is after white space) into the sink's outermost event
 * and close it. */
int jbi_json_event(struct jbi_json *r);

/* Step over one value, checking its grammar. JB_EPARSE when it has none. */
int jbi_json_skip(struct jbi_json *r);

/*
 * Step over one value that is going to be read later, fast: brackets and strings are matched,
 * nothing else is looked at. False when a container has no end.
 */
bool jbi_json_leap(struct jbi_json *r);

/* What stands at pos, for messages: `'x'`, `the end`. */
const char *jbi_json_here(const struct jbi_json *r, char buf[16]);

#endif
