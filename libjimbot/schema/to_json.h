/*
 * What writing JSON is made of: messages (to_json.c) and the values in them (to_json_value.c).
 *
 * Invariant: a function returns false only after jbi_fail_at() was told the place.
 */
#ifndef JBI_SCHEMA_TO_JSON_H
#define JBI_SCHEMA_TO_JSON_H

#include "schema/extra.h"
#include "schema/json_write.h"

struct jbi_writer {
    const struct jbi_dialect *dialect;
    const struct jbi_dialect *from; /* the event came in; NULL when it is unknown here */
    jbi_json_out out;
    const uint8_t *fail; /* where the event is wrong */
    uint32_t depth;
    bool is_unfit; /* the dialect has no word for its type */
};

/* What the first reading of a message found. Places are offsets of tags, plus 1; 0 is nowhere. */
struct jbi_scan {
    jbi_wire bytes;
    const struct jbi_message *message;
    uint64_t whole[JBI_FIELDS_MAX / 64];   /* bit idx: an override replaces the field; or a group
                                              that is written */
    uint64_t element[JBI_FIELDS_MAX / 64]; /* bit idx: overrides replace some of its elements */
    uint32_t payload;                      /* the last member of the oneof */
    bool has_extras;
    uint32_t first[JBI_FIELDS_MAX];
    uint32_t last[JBI_FIELDS_MAX];
};

static inline bool jbi_fail_at(struct jbi_writer *w, const uint8_t *pos)
{
    w->fail = pos;
    return false;
}

static inline void jbi_set_bit(uint64_t *bits, uint32_t idx)
{
    bits[idx / 64] |= (uint64_t)1 << idx % 64;
}

static inline bool jbi_has_bit(const uint64_t *bits, uint32_t idx)
{
    return (bits[idx / 64] >> idx % 64 & 1) != 0;
}

bool jbi_write_message(struct jbi_writer *w, const struct jbi_message *message, jbi_wire bytes);

/* One value of a field, without its tag. */
bool jbi_write_value(struct jbi_writer *w, const struct jbi_field_info *f, jbi_wire *in);

/* All occurrences of a list or map, from the first to the last. */
bool jbi_write_list(struct jbi_writer *w, const struct jbi_scan *s, const struct jbi_field_info *f);

/* What stands in the place of a typed value. */
bool jbi_write_override(struct jbi_writer *w, const jbi_extra *extra);

#endif
