/*
 * The fields of a message that this library made itself, one after the other.
 *
 * Invariant: no part reaches beyond the message it was taken from.
 */
#ifndef JBI_SCHEMA_PART_H
#define JBI_SCHEMA_PART_H

#include "schema/wire.h"

/* One field: number, whole extent, and content when it has a length. */
struct jbi_part {
    uint32_t number;
    const uint8_t *begin;
    jbi_wire content; /* pos is NULL when it has no length */
};

/* The next field of what is left; false at the end. */
static inline bool jbi_part_next(jbi_wire *in, struct jbi_part *ret)
{
    uint32_t type;

    if (jbi_wire_done(in))
        return false;
    *ret = (struct jbi_part){.begin = in->pos};
    if (!jbi_wire_tag(in, &ret->number, &type))
        return false;
    return type == JBI_WIRE_BYTES ? jbi_wire_bytes(in, &ret->content) : jbi_wire_skip(in, type);
}

#endif
