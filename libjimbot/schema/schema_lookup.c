/*
 * Look-ups in the schema's tables that are too large to be inlined. All of them are pure and never
 * fail: what is not there is NULL or JB_EVENT_CUSTOM.
 */
#include "jimbot/event.h"
#include "jimbot/schema.h"
#include "schema/schema_dialect.h"
#include "schema/short.h"

static bool text_is(const char *text, size_t text_bytes, const char *other, size_t other_bytes)
{
    return text_bytes == other_bytes && jbi_short_same(text, other, text_bytes);
}

const struct jbi_field_info *jbi_field_by_name(const struct jbi_message *message, const char *name,
                                               size_t len_bytes)
{
    for (uint32_t i = 0; i < message->n_fields; i++) {
        const struct jbi_field_info *f = &message->fields[i];

        if (text_is(f->name, f->name_bytes, name, len_bytes))
            return f;
    }
    return NULL;
}

const struct jbi_enum_spelling *jbi_enum_by_text(const struct jbi_enum *e, const char *text,
                                                 size_t len_bytes)
{
    size_t skip = e->common_bytes;
    const struct jbi_enum_spelling *s;
    uint8_t slot;

    if (len_bytes <= skip || e->slots == NULL)
        return NULL;
    slot = e->slots[jbi_key_hash(e->mul, text + skip, len_bytes - skip) & e->slot_mask];
    if (slot == 0)
        return NULL;
    s = &e->spellings[slot - 1];
    return text_is(s->text, s->text_bytes, text, len_bytes) ? s : NULL;
}

const struct jbi_enum_spelling *jbi_enum_by_number(const struct jbi_enum *e, int64_t number)
{
    for (uint32_t i = 0; i < e->n_values; i++) {
        if (e->values[i].number == number)
            return &e->values[i];
    }
    return NULL;
}

uint16_t jbi_event_type_find(const struct jbi_event_type *types, const char *type,
                             size_t type_bytes, const char *subtype, size_t subtype_bytes)
{
    for (uint32_t i = 1; i < jbi_n_event_types; i++) {
        const struct jbi_event_type *e = &types[i];

        if (e->json_type == NULL)
            continue;
        if (text_is(e->name, e->name_bytes, type, type_bytes))
            return (uint16_t)i;
        if (!text_is(e->json_type, e->json_type_bytes, type, type_bytes))
            continue;
        if (e->subtype == NULL)
            return (uint16_t)i;
        if (subtype != NULL && text_is(e->subtype, e->subtype_bytes, subtype, subtype_bytes))
            return (uint16_t)i;
    }
    return JB_EVENT_CUSTOM;
}

bool jbi_event_type_needs_subtype(const struct jbi_event_type *types, const char *type,
                                  size_t type_bytes)
{
    for (uint32_t i = 1; i < jbi_n_event_types; i++) {
        const struct jbi_event_type *e = &types[i];

        if (e->subtype != NULL && text_is(e->json_type, e->json_type_bytes, type, type_bytes))
            return true;
    }
    return false;
}

/* Append text as one token or part of one: lower case, anything unfit is `_`. */
static size_t topic_append(char *topic, size_t at, struct jbi_text text)
{
    for (size_t i = 0; i < text.len_bytes && at < JB_TOPIC_MAX_BYTES; i++) {
        char c = text.data[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            c = '_';
        topic[at++] = c;
    }
    return at;
}

uint8_t jbi_event_topic(const struct jbi_event_type *type, struct jbi_text tail, char *topic)
{
    size_t at = type->topic_bytes;

    jbi_copy(topic, type->topic, at);
    if (type->topic_tail != JBI_TOPIC_WHOLE && tail.len_bytes == 0)
        tail = type->topic_tail == JBI_TOPIC_SUBTYPE ? (struct jbi_text){"update", 6}
                                                     : (struct jbi_text){"unnamed", 7};
    if (type->topic_tail != JBI_TOPIC_WHOLE)
        at = topic_append(topic, at, tail);
    topic[at] = '\0';
    return (uint8_t)at;
}

const char *jb_event_type_name(uint32_t type)
{
    return type < jbi_n_event_types ? jbi_event_types[type].name : NULL;
}

const char *jb_dialect_name(uint32_t dialect)
{
    return dialect < jbi_n_dialects ? jbi_dialects[dialect].name : NULL;
}

int jb_dialect_find(const char *name, size_t len_bytes)
{
    for (uint32_t i = 0; name != NULL && i < jbi_n_dialects; i++) {
        if (text_is(jbi_dialects[i].name, strlen(jbi_dialects[i].name), name, len_bytes))
            return (int)i;
    }
    return JB_ENOENT;
}
