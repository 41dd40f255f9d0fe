/*
 * JSON text into a sink, in one pass, and over it without looking.
 *
 * Invariant: text is accepted only if every byte of it was understood. `pos` is between `begin` and
 * `end` always, so that an error's offset is `pos - begin`.
 */
#ifndef JBI_SCHEMA_JSON_READER_H
#define JBI_SCHEMA_JSON_READER_H

#include "jimbot/schema.h"
#include "schema/sink.h"

enum { JBI_JSON_SKIP_DEPTH = 1024 }; /* deepest nesting that skipping understands */

struct jbi_json {
    const char *begin;
    const char *pos;
    const char *end;
    struct jbi_sink *sink;
    const jb_alloc *alloc;
    char *scratch; /* a string whose text had to be changed */
    size_t scratch_bytes;
    bool is_strict;
    int64_t element;  /* index in a batch for messages, -1 when there is none */
    uint32_t n_fixed; /* bytes and numbers that were repaired, added to the event's repairs */
    jb_error *err;
};

void jbi_json_fini(struct jbi_json *r);

/* Fail: fill in the error at a place, with a printf message. Returns code. */
int jbi_json_fail(struct jbi_json *r, int code, const char *at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void jbi_json_space(struct jbi_json *r);

/* A key and the colon after it; pos is at the value then. ret_begin: where the key stands. */
int jbi_json_key(struct jbi_json *r, struct jbi_text *ret, const char **ret_begin);

/* Read one string token; text is valid UTF-8, in the input or in scratch, until the next one. */
int jbi_json_string(struct jbi_json *r, struct jbi_text *ret);

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
