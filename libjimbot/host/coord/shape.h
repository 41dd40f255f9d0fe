/*
 * shape: a message of the coordinator's contract in both of its forms, protobuf and JSON, by a
 * table of its fields. JSON is as protobuf has it (fields by their names, 64-bit numbers as text,
 * values of enums by name), and takes numbers as numbers and the last word of an enum's value too.
 *
 * Invariant: what is read from JSON is a sound message with no field that the table does not have;
 * what is written is every field of the table that the message has, and sound JSON, whatever bytes
 * the message holds.
 */
#ifndef JBI_HOST_SHAPE_H
#define JBI_HOST_SHAPE_H

#include "host/text/htext.h"
#include "host/text/slice.h"

#include <jansson.h>

enum jbi_shape_type {
    JBI_SHAPE_NUMBER = 0, /* uint32 */
    JBI_SHAPE_LONG = 1,   /* uint64 */
    JBI_SHAPE_BOOL = 2,
    JBI_SHAPE_TEXT = 3,
    JBI_SHAPE_ENUM = 4,
    JBI_SHAPE_MESSAGE = 5
};

typedef struct jbi_shape jbi_shape;

/* The values of an enum, from 0 on. */
typedef struct jbi_shape_words {
    const char *prefix; /* "LEASE_CLASS_" */
    const char *const *words;
    uint32_t n;
} jbi_shape_words;

typedef struct jbi_shape_field {
    const char *name;
    uint32_t number;
    uint32_t type; /* enum jbi_shape_type */
    bool is_list;
    const jbi_shape *message;     /* of MESSAGE */
    const jbi_shape_words *words; /* of ENUM */
} jbi_shape_field;

struct jbi_shape {
    const jbi_shape_field *fields;
    uint32_t n;
};

/* Append the message that a JSON object is. Returns NULL, or what is wrong with it: text in
 * `problem`. */
const char *jbi_shape_read(const jbi_shape *shape, const json_t *object, jbi_htext *out,
                           char problem[128]);

/* Append one field from a text, as a parameter of a query gives it. The same result. */
const char *jbi_shape_read_text(const jbi_shape_field *field, const char *text, jbi_htext *out,
                                char problem[128]);

/* Append a message as a JSON object. */
void jbi_shape_write(const jbi_shape *shape, jbi_slice message, jbi_htext *json);

/* The word of an enum's value; "" when there is none. */
const char *jbi_shape_word(const jbi_shape_words *words, uint64_t value);

#endif
