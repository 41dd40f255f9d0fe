/*
 * Looking back into the message that is being built: the type of an event, what it says of itself.
 *
 * All of it walks the innermost open message, whose bytes are complete fields whenever a key is
 * expected. Invariant: a message is walked a fixed number of times, however often its keys come.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "jimbot/event.h"
#include "schema/part.h"
#include "schema/sink_parts.h"
#include "schema/wire.h"

enum { NUMBER_TYPE = 1, NUMBER_TYPE_NAME = 3, NUMBER_SUBTYPE = 4, NUMBER_DIALECT = 13 };

static jbi_wire top_content(struct jbi_sink *s)
{
    const struct jbi_frame *top = jbi_sink_top(s);

    return jbi_wire_of(s->out + top->start, s->len - top->start);
}

/* An Extra's key is what it begins with. */
static bool extra_is(const struct jbi_part *p, const char *key, size_t key_bytes)
{
    jbi_wire in = p->content;
    struct jbi_part first;

    return p->number == JBI_NUMBER_EXTRAS && key != NULL && jbi_part_next(&in, &first) &&
           jbi_wire_left(&first.content) == key_bytes &&
           memcmp(first.content.pos, key, key_bytes) == 0;
}

/* Whether a part is of that number, or any payload. Marks of keys that came twice are none. */
static bool is_dropped(struct jbi_sink *s, const struct jbi_part *p, int64_t number)
{
    const struct jbi_field_info *f;

    if (number != JBI_SINK_ANY_PAYLOAD)
        return p->number == number;
    f = jbi_field_by_number(jbi_sink_top(s)->message, p->number);
    return f != NULL && (f->flags & JBI_FIELD_PAYLOAD) != 0;
}

void jbi_sink_drop(struct jbi_sink *s, int64_t number, const char *key, size_t key_bytes)
{
    jbi_wire in = top_content(s);
    uint8_t *to = s->out + jbi_sink_top(s)->start;
    struct jbi_part p;

    while (jbi_part_next(&in, &p)) {
        size_t n = (size_t)(in.pos - p.begin);

        if (is_dropped(s, &p, number) || extra_is(&p, key, key_bytes))
            continue;
        memmove(to, p.begin, n);
        to += n;
    }
    s->len = (size_t)(to - s->out);
}

struct jbi_text jbi_sink_find_text(struct jbi_sink *s, uint32_t number)
{
    jbi_wire in = top_content(s);
    struct jbi_text found = {NULL, 0};
    struct jbi_part p;

    while (jbi_part_next(&in, &p)) {
        if (p.number == number)
            found = (struct jbi_text){(const char *)p.content.pos, jbi_wire_left(&p.content)};
    }
    return found;
}

struct jbi_text jbi_sink_find_extra(struct jbi_sink *s, const char *key, size_t key_bytes)
{
    jbi_wire in = top_content(s);
    struct jbi_text found = {NULL, 0};
    struct jbi_part p, inner;

    while (jbi_part_next(&in, &p)) {
        if (!extra_is(&p, key, key_bytes))
            continue;
        while (jbi_part_next(&p.content, &inner))
            found =
                (struct jbi_text){(const char *)inner.content.pos, jbi_wire_left(&inner.content)};
    }
    return found;
}

void jbi_sink_drop_payload(struct jbi_sink *s)
{
    struct jbi_frame *top = jbi_sink_top(s);

    jbi_sink_drop(s, JBI_SINK_ANY_PAYLOAD, "payload", 7);
    jbi_sink_drop(s, 0, "data", 4);
    for (uint32_t i = 0; i < top->message->n_fields; i++) {
        if ((top->message->fields[i].flags & JBI_FIELD_PAYLOAD) != 0)
            top->seen[i >> 6] &= ~((uint64_t)1 << (i & 63));
    }
}

static int put_type_name(struct jbi_sink *s, const char *name, size_t name_bytes)
{
    static const uint8_t tag = NUMBER_TYPE_NAME << 3 | JBI_WIRE_BYTES;
    int rc = jbi_sink_put(s, &tag, 1);

    return rc == 0 ? jbi_sink_put_text(s, name, name_bytes) : rc;
}

int jbi_sink_event_type(struct jbi_sink *s, uint16_t type, const char *name, size_t name_bytes)
{
    const struct jbi_event_type *t = &s->dialect->types[type];
    const uint8_t head[2] = {NUMBER_TYPE << 3 | JBI_WIRE_VARINT, (uint8_t)type};
    int rc = jbi_sink_put(s, head, sizeof head);

    assert(type > 0 && type < 0x80);
    jbi_sink_top(s)->type = type;
    jbi_sink_top(s)->pending = 0;
    if (rc < 0 || (t->json_type != NULL && t->json_type_bytes == name_bytes &&
                   memcmp(t->json_type, name, name_bytes) == 0))
        return rc;
    return put_type_name(s, name, name_bytes);
}

/* The first event type that is spelled so and needs a subtype. */
static uint16_t pending_type(const struct jbi_sink *s, const char *text, size_t len_bytes)
{
    for (uint32_t i = 1; i < jbi_n_event_types; i++) {
        const struct jbi_event_type *t = &s->dialect->types[i];

        if (t->subtype != NULL && t->json_type_bytes == len_bytes &&
            memcmp(t->json_type, text, len_bytes) == 0)
            return (uint16_t)i;
    }
    return 0;
}

/* Value calls say the type at the beginning; saying it again is fine, saying another is not. */
static int type_repeated(struct jbi_sink *s, uint16_t type, const char *text, size_t len_bytes)
{
    struct jbi_text name = jbi_sink_find_text(s, NUMBER_TYPE_NAME);

    if (type == jbi_sink_top(s)->type &&
        (type != JB_EVENT_CUSTOM ||
         (name.len_bytes == len_bytes && memcmp(name.data, text, len_bytes) == 0))) {
        /* What came in between and was no type is not the last word. */
        jbi_sink_drop(s, 0, s->field_key, s->field_key_bytes);
        return 0;
    }
    s->why = "the event has another type already";
    return JB_ESTATE;
}

/* Where the type is remembered that a text names by itself; 0 when none is. */
static uint8_t *named_slot(struct jbi_sink *s, const char *text, size_t len_bytes)
{
    size_t hash = len_bytes + 3 * (uint8_t)text[0] + (uint8_t)text[len_bytes - 1];

    return &s->named[hash % JBI_SINK_NAMED];
}

/* Whether that is how clients spell the type. */
static bool is_spelled(const struct jbi_sink *s, uint16_t type, const char *text, size_t len_bytes)
{
    const struct jbi_event_type *t = &s->dialect->types[type];

    return t->json_type != NULL && t->json_type_bytes == len_bytes &&
           jbi_short_same(t->json_type, text, len_bytes);
}

/* Which type a text names; *ret_needs_subtype when it leaves that to a subtype that is missing. */
static uint16_t type_named(struct jbi_sink *s, const char *text, size_t len_bytes,
                           bool *ret_needs_subtype)
{
    uint8_t *slot = named_slot(s, text, len_bytes);
    struct jbi_text subtype = {NULL, 0};
    bool needs_subtype;
    uint16_t type;

    *ret_needs_subtype = false;
    if (*slot != 0 && is_spelled(s, *slot, text, len_bytes))
        return *slot;
    needs_subtype = jbi_event_type_needs_subtype(s->dialect->types, text, len_bytes);
    if (needs_subtype)
        subtype = jbi_sink_find_text(s, NUMBER_SUBTYPE);
    type = jbi_event_type_find(s->dialect->types, text, len_bytes, subtype.data, subtype.len_bytes);
    /* A type found by its full name has another spelling, which may need a subtype. */
    if (!needs_subtype && is_spelled(s, type, text, len_bytes))
        *slot = (uint8_t)type;
    *ret_needs_subtype = needs_subtype && subtype.data == NULL;
    return type;
}

/* The last of several types is known when no more can come: keep its name until then. */
static int type_again(struct jbi_sink *s, struct jbi_frame *top, const char *text, size_t len_bytes)
{
    int rc = jbi_sink_mark(s, jbi_field_by_number(top->message, NUMBER_TYPE));

    top->is_retyped = top->type != 0;
    return rc == 0 && top->is_retyped ? put_type_name(s, text, len_bytes) : rc;
}

int jbi_sink_event_named(struct jbi_sink *s, const char *text, size_t len_bytes)
{
    struct jbi_frame *top = jbi_sink_top(s);
    bool needs_subtype;
    uint16_t type;
    int rc;

    if (top->has_type_twice) {
        rc = type_again(s, top, text, len_bytes);
        if (rc < 0 || top->is_retyped)
            return rc;
    }
    type = type_named(s, text, len_bytes, &needs_subtype);
    if (top->type != 0)
        return type_repeated(s, type, text, len_bytes);
    if (needs_subtype) {
        top->pending = pending_type(s, text, len_bytes);
        return 0;
    }
    return jbi_sink_event_type(s, type, text, len_bytes);
}

int jbi_sink_event_subtyped(struct jbi_sink *s, const char *text, size_t len_bytes)
{
    const struct jbi_event_type *t = &s->dialect->types[jbi_sink_top(s)->pending];
    uint16_t type =
        jbi_event_type_find(s->dialect->types, t->json_type, t->json_type_bytes, text, len_bytes);

    return jbi_sink_event_type(s, type, t->json_type, t->json_type_bytes);
}

int jbi_sink_event_open(struct jbi_sink *s, const char *type, size_t type_bytes)
{
    const struct jbi_field_info *f = jbi_field_by_number(s->dialect->event, NUMBER_TYPE);

    jbi_sink_top(s)->seen[f->idx >> 6] |= (uint64_t)1 << (f->idx & 63);
    return jbi_sink_event_named(s, type, type_bytes);
}

int jbi_sink_event_mark(struct jbi_sink *s)
{
    static const uint8_t tag = NUMBER_DIALECT << 3 | JBI_WIRE_BYTES;
    int rc = s->dialect->is_marked ? jbi_sink_put(s, &tag, 1) : 0;

    if (rc < 0 || !s->dialect->is_marked)
        return rc;
    return jbi_sink_put_text(s, s->dialect->name, strlen(s->dialect->name));
}

/* How the client spelled the type that the event has. */
static struct jbi_text spelled_type(struct jbi_sink *s, const struct jbi_frame *top)
{
    const struct jbi_event_type *t = &s->dialect->types[top->type];
    struct jbi_text name = jbi_sink_find_text(s, NUMBER_TYPE_NAME);

    return name.data != NULL ? name : (struct jbi_text){t->json_type, t->json_type_bytes};
}

/* The event has the type that this name spells, whatever it had before. */
static int settle_type(struct jbi_sink *s, struct jbi_frame *top, struct jbi_text name)
{
    bool lacks_subtype;
    uint16_t named = type_named(s, name.data, name.len_bytes, &lacks_subtype);
    uint16_t type = lacks_subtype ? JB_EVENT_CUSTOM : named;
    bool has_name = jbi_sink_find_text(s, NUMBER_TYPE_NAME).data != NULL;
    const uint8_t field[2] = {NUMBER_TYPE << 3 | JBI_WIRE_VARINT, (uint8_t)type};
    int rc = 0;

    if (s->is_strict_type && type != top->type) {
        s->why = "the event has another type already";
        return JB_ESTATE;
    }
    top->type = type;
    top->is_retyped = false;
    if (is_spelled(s, type, name.data, name.len_bytes))
        jbi_sink_drop(s, NUMBER_TYPE_NAME, NULL, 0);
    else if (!has_name)
        rc = put_type_name(s, name.data, name.len_bytes);
    jbi_sink_drop(s, NUMBER_TYPE, NULL, 0);
    return rc == 0 ? jbi_sink_put(s, field, sizeof field) : rc;
}

/* The last of several subtypes decides the type, if one does: leave that one alone. */
static int settle_subtype(struct jbi_sink *s, struct jbi_frame *top)
{
    struct jbi_text name;
    int rc = jbi_sink_clear_twice(s);

    top->has_subtype_twice = false;
    if (rc < 0 || top->is_retyped || top->type == 0)
        return rc;
    name = spelled_type(s, top);
    if (!jbi_event_type_needs_subtype(s->dialect->types, name.data, name.len_bytes))
        return 0;
    return settle_type(s, top, name);
}

int jbi_sink_event_settle(struct jbi_sink *s)
{
    struct jbi_frame *top = jbi_sink_top(s);
    const struct jbi_event_type *t;
    int rc = top->has_subtype_twice ? settle_subtype(s, top) : 0;

    if (rc < 0)
        return rc;
    if (top->is_retyped)
        return settle_type(s, top, spelled_type(s, top));
    if (top->pending == 0)
        return 0;
    t = &s->dialect->types[top->pending];
    return jbi_sink_event_type(s, JB_EVENT_CUSTOM, t->json_type, t->json_type_bytes);
}

/* Whether a run of doubles, with a tag before each or none at all, has one that is not finite. */
static bool any_non_finite(jbi_wire in, bool has_tags)
{
    uint32_t number, type;
    double value;

    while (!jbi_wire_done(&in)) {
        if (has_tags && !jbi_wire_tag(&in, &number, &type))
            return false;
        if (has_tags && type != JBI_WIRE_FIXED64) { /* the key of a map's entry */
            if (!jbi_wire_skip(&in, type))
                return false;
        } else if (!jbi_wire_double(&in, &value) || !isfinite(value)) {
            return true;
        }
    }
    return false;
}

/* What came again and was replaced is gone from the bytes, so they are what is asked. */
int jbi_sink_mark_non_finite(struct jbi_sink *s)
{
    static const uint8_t mark[] = {0xa0 | JBI_WIRE_VARINT, JBI_NUMBER_NON_FINITE >> 4, 1};
    const struct jbi_message *message = jbi_sink_top(s)->message;
    jbi_wire in = top_content(s);
    bool found = false;
    struct jbi_part p;

    if (jbi_field_by_number(message, JBI_NUMBER_NON_FINITE) == NULL)
        return 0;
    while (!found && jbi_part_next(&in, &p)) {
        const struct jbi_field_info *f = jbi_field_by_number(message, p.number);
        bool is_inside = p.content.pos != NULL;

        if (f != NULL && f->kind == JBI_KIND_DOUBLE)
            found = any_non_finite(is_inside ? p.content
                                             : jbi_wire_of(p.begin, (size_t)(in.pos - p.begin)),
                                   !is_inside || f->label == JBI_LABEL_MAP);
    }
    return found ? jbi_sink_put(s, mark, sizeof mark) : 0;
}

static size_t path_part(const struct jbi_sink *s, char *buf, size_t cap_bytes, size_t at,
                        const struct jbi_field_info *f)
{
    bool is_payload = (f->flags & JBI_FIELD_PAYLOAD) != 0 && (f->flags & JBI_FIELD_INTERNAL) != 0;
    const char *name = s->dialect->root_type != 0
                           ? s->dialect->types[s->dialect->root_type].payload_key
                           : "payload";
    int n;

    if (is_payload && s->is_bare)
        return at;
    n = snprintf(buf + at, cap_bytes - at, "%s%s", at != 0 ? "." : "", is_payload ? name : f->key);

    return n > 0 && (size_t)n < cap_bytes - at ? at + (size_t)n : cap_bytes - 1;
}

size_t jbi_sink_path(const struct jbi_sink *s, char *buf, size_t cap_bytes)
{
    size_t at = 0;

    buf[0] = '\0';
    for (uint32_t i = 1; i < s->n_frames && at < cap_bytes - 1; i++) {
        const struct jbi_frame *below = &s->frames[i - 1], *f = &s->frames[i];

        if (f->field == NULL)
            break;
        if (below->kind == JBI_FRAME_MESSAGE)
            at = path_part(s, buf, cap_bytes, at, f->field);
        if (f->kind != JBI_FRAME_MESSAGE && at < cap_bytes - 16)
            at += (size_t)snprintf(buf + at, cap_bytes - at, "[%u]", f->count);
    }
    if (s->has_key && s->n_frames > 0 && s->frames[s->n_frames - 1].kind == JBI_FRAME_MESSAGE &&
        s->field != NULL && at < cap_bytes - 1)
        at = path_part(s, buf, cap_bytes, at, s->field);
    return at;
}
