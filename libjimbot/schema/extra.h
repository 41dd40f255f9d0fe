/*
 * Reading `extras`: what stands in a message beside or in place of its typed fields.
 *
 * Overrides of single elements of one list come in ascending order of their index, as the encoder
 * writes them; one that does not is not found. So a message is walked once per list, whatever a
 * hostile publisher put into it. Invariant: no call here looks outside the message it was given.
 */
#ifndef JBI_SCHEMA_EXTRA_H
#define JBI_SCHEMA_EXTRA_H

#include "schema/envelope.h"

/* Numbers of an Extra's fields; proto/jimbot/v1/extra.proto. */
enum { JBI_EXTRA_KEY = 1, JBI_EXTRA_INDEX = 2, JBI_EXTRA_JSON = 3, JBI_EXTRA_GROUP = 4 };

typedef struct jbi_extra {
    struct jbi_text key;
    struct jbi_text json;
    struct jbi_text group; /* data is NULL when it lies in the message itself */
    uint32_t idx;
    bool has_idx; /* meant is one element, otherwise the whole value of the key */
} jbi_extra;

/* Read one serialised Extra. */
bool jbi_extra_read(jbi_wire in, jbi_extra *ret);

/* Whether the key is this one. */
static inline bool jbi_extra_is(const jbi_extra *extra, const char *key, size_t key_bytes)
{
    return extra->key.len_bytes == key_bytes && memcmp(extra->key.data, key, key_bytes) == 0;
}

/* The overrides of the elements of one list, walked in step with the list. */
typedef struct jbi_overrides {
    jbi_wire left; /* of the message, after `next` */
    const struct jbi_field_info *field;
    struct jbi_text group; /* that the field's key lies in */
    jbi_extra next;
    bool has_next;
} jbi_overrides;

/* Begin to walk; `bytes` is the whole message that holds the list. */
void jbi_overrides_init(jbi_overrides *o, jbi_wire bytes, const struct jbi_message *message,
                        const struct jbi_field_info *field);

/* The override of element idx, or NULL; ask in ascending order. */
const jbi_extra *jbi_overrides_at(jbi_overrides *o, uint32_t idx);

#endif
