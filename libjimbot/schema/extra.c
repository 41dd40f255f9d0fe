/*
 * See extra.h. Invariant: a walk only moves forward.
 */
#include "schema/extra.h"

bool jbi_extra_read(jbi_wire in, jbi_extra *ret)
{
    uint32_t number, wire;

    *ret = (jbi_extra){.key = {"", 0}, .json = {"", 0}};
    while (!jbi_wire_done(&in)) {
        jbi_wire bytes;
        uint64_t value;

        if (!jbi_wire_tag(&in, &number, &wire))
            return false;
        if (number == JBI_EXTRA_INDEX) {
            if (wire != JBI_WIRE_VARINT || !jbi_wire_varint(&in, &value))
                return false;
            ret->idx = (uint32_t)value;
            ret->has_idx = true;
        } else if (number == JBI_EXTRA_KEY || number == JBI_EXTRA_JSON ||
                   number == JBI_EXTRA_GROUP) {
            if (wire != JBI_WIRE_BYTES || !jbi_wire_bytes(&in, &bytes))
                return false;
            *(number == JBI_EXTRA_KEY    ? &ret->key
              : number == JBI_EXTRA_JSON ? &ret->json
                                         : &ret->group) = jbi_text_of(bytes);
        } else if (!jbi_wire_skip(&in, wire)) {
            return false;
        }
    }
    return true;
}

static bool is_same(struct jbi_text a, struct jbi_text b)
{
    return a.len_bytes == b.len_bytes &&
           (a.len_bytes == 0 || memcmp(a.data, b.data, a.len_bytes) == 0);
}

/* Move to the next override of this field's elements. The message was scanned before, so whatever
 * fails here ends the walk. */
static void step(jbi_overrides *o)
{
    uint32_t number, wire;
    jbi_wire bytes;

    o->has_next = false;
    while (!jbi_wire_done(&o->left) && jbi_wire_tag(&o->left, &number, &wire)) {
        if (number != JBI_NUMBER_EXTRAS || wire != JBI_WIRE_BYTES) {
            if (!jbi_wire_skip(&o->left, wire))
                return;
            continue;
        }
        if (!jbi_wire_bytes(&o->left, &bytes) || !jbi_extra_read(bytes, &o->next))
            return;
        if (o->next.has_idx && jbi_extra_is(&o->next, o->field->key, o->field->key_bytes) &&
            is_same(o->next.group, o->group)) {
            o->has_next = true;
            return;
        }
    }
}

void jbi_overrides_init(jbi_overrides *o, jbi_wire bytes, const struct jbi_message *message,
                        const struct jbi_field_info *field)
{
    *o = (jbi_overrides){.left = bytes, .field = field};
    if (field->group != 0)
        o->group = (struct jbi_text){message->fields[field->group].key,
                                     message->fields[field->group].key_bytes};
    step(o);
}

const jbi_extra *jbi_overrides_at(jbi_overrides *o, uint32_t idx)
{
    while (o->has_next && o->next.idx < idx)
        step(o);
    return o->has_next && o->next.idx == idx ? &o->next : NULL;
}
