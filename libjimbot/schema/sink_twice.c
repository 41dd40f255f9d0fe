/*
 * Keys that come twice in one object: the last one counts, and finding that out costs no more than
 * reading the object did.
 *
 * A known key that comes again leaves a mark in the message, a field of a number that no schema may
 * have; what the key wrote before its last mark goes when the message closes. Unknown keys lie in
 * Extras; whether two of them may be the same tells a filter of one word, and whether they are is
 * found by sorting them. A message that grows large by what is to go is cleared before it closes,
 * whenever it has doubled. Entries of maps and members of objects in raw text stay where they are:
 * a larger filter tells whether two may be the same, and then the encoder makes the canonical form
 * of the event, which has each of them once.
 *
 * Invariant: after jbi_sink_clear_twice() the innermost message has no mark, no two whole Extras of
 * one key, and of every field what its key wrote last.
 */
#include <assert.h>

#include "schema/part.h"
#include "schema/sink_parts.h"
#include "schema/sort.h"

enum { NUMBER_TYPE = 1, NUMBER_TYPE_NAME = 3 };

/* protobuf keeps these numbers for itself. */
enum { NUMBER_MARK = 19000 };

enum { CLEAR_BYTES = 1 << 16 }; /* smaller messages are cleared when they close */

enum { GONE = 0 }; /* in the place of an Extra's first tag: it is to go */

struct clearing {
    struct jbi_sink *sink;
    const struct jbi_message *message; /* never a group of it */
    size_t start;                      /* of the message in out */
    bool has_extras;                   /* and no list of them that is like any other */
    size_t marked[JBI_FIELDS_MAX];     /* by idx: what lies before this place goes */
};

int jbi_sink_key_twice(struct jbi_sink *s)
{
    if (jbi_quirk(&s->quirks, JB_QUIRK_DUPLICATE_KEYS))
        return 0;
    s->why = "a key comes twice";
    return JB_EEVENT;
}

/* Length, beginning and end of a key: the rest of long ones is left to comparisons. */
uint64_t jbi_sink_key_hash(const char *key, size_t len_bytes)
{
    uint64_t head = 0, tail = 0, h;

    memcpy(&head, key, len_bytes < sizeof head ? len_bytes : sizeof head);
    if (len_bytes > sizeof tail)
        memcpy(&tail, key + len_bytes - sizeof tail, sizeof tail);
    h = (head ^ len_bytes << 56 ^ len_bytes) * JBI_SPREAD;
    h = (h ^ h >> 32 ^ tail) * JBI_SPREAD;
    return (h ^ h >> 29) * JBI_SPREAD;
}

void jbi_sink_note_key(struct jbi_sink *s, struct jbi_frame *top, const char *key, size_t len_bytes)
{
    uint64_t h, bit;

    if (s->n_objects == 0)
        memset(s->filter, 0, sizeof s->filter);
    if (top->seen[0] == 0)
        top->seen[0] = ++s->n_objects;
    h = (jbi_sink_key_hash(key, len_bytes) ^ top->seen[0]) * JBI_SPREAD;
    bit = (uint64_t)1 << (h >> 58);
    h = h >> 32 & (JBI_SINK_FILTER - 1);
    s->may_have_twice |= (s->filter[h] & bit) != 0;
    s->filter[h] |= bit;
}

int jbi_sink_mark(struct jbi_sink *s, const struct jbi_field_info *f)
{
    struct jbi_frame *top = jbi_sink_top(s);
    int rc = jbi_sink_room(s, JBI_WIRE_TAG_MAX_BYTES + JBI_WIRE_VARINT_MAX_BYTES);
    uint8_t *at = s->out + s->len;

    if (rc < 0)
        return rc;
    at = jbi_wire_put_tag(at, NUMBER_MARK, JBI_WIRE_VARINT);
    s->len = (size_t)(jbi_wire_put_varint(at, f->idx) - s->out);
    top->has_twice = true;
    return jbi_sink_clear_early(s);
}

int jbi_sink_clear_early(struct jbi_sink *s)
{
    struct jbi_frame *top = jbi_sink_top(s);
    int rc;

    if (s->len - top->start < (size_t)top->cleared_bytes * 2 + CLEAR_BYTES)
        return 0;
    rc = jbi_sink_clear_twice(s);
    top->cleared_bytes = (uint32_t)(s->len - top->start);
    return rc;
}

static jbi_wire content(const struct clearing *c)
{
    return jbi_wire_of(c->sink->out + c->start, c->sink->len - c->start);
}

static size_t place(const struct clearing *c, const uint8_t *at)
{
    return (size_t)(at - c->sink->out);
}

/* An Extra's key is what it begins with; the rest of the Extra is left in *in. */
static struct jbi_text extra_key(jbi_wire *in)
{
    struct jbi_part key = {.content = *in};

    jbi_part_next(in, &key);
    return (struct jbi_text){(const char *)key.content.pos, jbi_wire_left(&key.content)};
}

/* The name of its group is what an Extra ends with; data is NULL when it has none. in: after its
 * key. */
static struct jbi_text extra_group(jbi_wire in)
{
    enum { NUMBER_GROUP = 4 };
    struct jbi_part p;

    while (jbi_part_next(&in, &p)) {
        if (p.number == NUMBER_GROUP)
            return (struct jbi_text){(const char *)p.content.pos, jbi_wire_left(&p.content)};
    }
    return (struct jbi_text){NULL, 0};
}

/* Whether a part is an Extra for a whole value, and of which key. */
static bool whole_extra(const struct clearing *c, const struct jbi_part *p,
                        struct jbi_text *ret_key)
{
    enum { TAG_INDEX = 2 << 3 | JBI_WIRE_VARINT };
    jbi_wire in = p->content;

    if (p->number != JBI_NUMBER_EXTRAS || !c->has_extras)
        return false;
    *ret_key = extra_key(&in);
    return jbi_wire_done(&in) || *in.pos != TAG_INDEX;
}

/* The field that an Extra's key names, NULL when it is unknown. group: the field of its group. */
static const struct jbi_field_info *key_field(const struct clearing *c, struct jbi_text key,
                                              const struct jbi_field_info *group)
{
    const struct jbi_message *message = group != NULL ? group->message : c->message;
    const struct jbi_field_info *f = jbi_field_by_key(message, key.data, key.len_bytes);
    const struct jbi_event_type *type = &c->sink->dialect->types[jbi_sink_top(c->sink)->type];

    if (f == NULL && c->message->is_event && type->payload != NULL &&
        key.len_bytes == type->payload_key_bytes &&
        memcmp(key.data, type->payload_key, key.len_bytes) == 0)
        return type->payload;
    return f;
}

/* The field of the group that an Extra names, NULL when it names none. in: after its key. */
static const struct jbi_field_info *group_field(const struct clearing *c, jbi_wire in)
{
    struct jbi_text group = extra_group(in);

    return group.data != NULL ? jbi_field_by_key(c->message, group.data, group.len_bytes) : NULL;
}

/* Find the last marks; returns how many whole Extras there are. */
static size_t read_marks(struct clearing *c)
{
    jbi_wire in = content(c);
    struct jbi_text key;
    struct jbi_part p;
    size_t n = 0;

    while (jbi_part_next(&in, &p)) {
        uint32_t number, type;
        uint64_t idx;

        n += whole_extra(c, &p, &key);
        if (p.number == NUMBER_MARK) {
            jbi_wire mark = {p.begin, in.pos};

            jbi_wire_tag(&mark, &number, &type);
            jbi_wire_varint(&mark, &idx);
            c->marked[idx % JBI_FIELDS_MAX] = place(c, p.begin);
        }
    }
    return n;
}

/* An Extra as a number: half of its key's hash, and where it stands. */
static struct jbi_text item_key(const struct jbi_sink *s, uint64_t item, jbi_wire *ret_rest)
{
    jbi_wire in = jbi_wire_of(s->out + (uint32_t)item, s->len - (uint32_t)item);
    struct jbi_part p = {.content = in};
    struct jbi_text key;

    jbi_part_next(&in, &p);
    key = extra_key(&p.content);
    *ret_rest = p.content;
    return key;
}

static int compare_keys(struct jbi_text a, struct jbi_text b)
{
    if (a.len_bytes != b.len_bytes)
        return a.len_bytes < b.len_bytes ? -1 : 1;
    return a.len_bytes == 0 ? 0 : memcmp(a.data, b.data, a.len_bytes);
}

static int compare_items(uint64_t a, uint64_t b, const struct jbi_sink *s)
{
    jbi_wire rest_a, rest_b;
    int by_key;

    if (a >> 32 != b >> 32)
        return a >> 32 < b >> 32 ? -1 : 1;
    by_key = compare_keys(item_key(s, a, &rest_a), item_key(s, b, &rest_b));
    return by_key != 0 ? by_key : compare_keys(extra_group(rest_a), extra_group(rest_b));
}

static bool comes_before(uint64_t a, uint64_t b, const void *sink)
{
    return compare_items(a, b, sink) < 0;
}

/* Say of an Extra that it is to go. */
static int drop_item(struct clearing *c, uint64_t item)
{
    jbi_wire rest;
    struct jbi_text key = item_key(c->sink, item, &rest);
    uint8_t *first_tag = c->sink->out + (uint32_t)item + 1;

    while (*first_tag >= 0x80) /* the rest of the Extra's length */
        first_tag++;
    /* A known key was counted when it came. */
    if (key_field(c, key, group_field(c, rest)) == NULL && jbi_sink_key_twice(c->sink) < 0)
        return JB_EEVENT;
    first_tag[1] = GONE;
    return 0;
}

/* Of n whole Extras, those of which a later one has the key are to go. */
static int drop_extras(struct clearing *c, size_t n)
{
    struct jbi_sink *s = c->sink;
    uint64_t *items = jbi_sink_scratch(s, 2 * n * sizeof *items);
    struct jbi_text key;
    struct jbi_part p;
    size_t i = 0;
    int rc = 0;

    if (items == NULL)
        return JB_ENOMEM;
    for (jbi_wire in = content(c); jbi_part_next(&in, &p);) {
        if (whole_extra(c, &p, &key))
            items[i++] = (jbi_sink_key_hash(key.data, key.len_bytes) & ~(uint64_t)UINT32_MAX) |
                         place(c, p.begin);
    }
    assert(i == n);
    jbi_sort(items, n, items + n, comes_before, s);
    for (i = 1; i < n && rc == 0; i++) {
        if (compare_items(items[i - 1], items[i], s) == 0)
            rc = drop_item(c, items[i - 1]);
    }
    return rc;
}

/* Whether a part was written before a field's key came for the last time. */
static bool is_before_mark(const struct clearing *c, const struct jbi_part *p,
                           const struct jbi_field_info *f)
{
    return f != NULL && place(c, p->begin) < c->marked[f->idx];
}

/* Whether a part is to go. */
static bool is_gone(const struct clearing *c, const struct jbi_part *p)
{
    const struct jbi_field_info *f, *group = NULL;
    jbi_wire in = p->content;
    struct jbi_text key;

    if (p->number == NUMBER_MARK)
        return true;
    if (p->number == JBI_NUMBER_EXTRAS && c->has_extras) {
        if (*in.pos == GONE)
            return true;
        key = extra_key(&in);
        group = group_field(c, in);
        f = key_field(c, key, group);
    } else {
        /* A type and its name come by one key. */
        bool is_name = c->message->is_event && p->number == NUMBER_TYPE_NAME;

        f = jbi_field_by_number(c->message, is_name ? NUMBER_TYPE : p->number);
        if (f != NULL && f->group != 0)
            group = &c->message->fields[f->group];
    }
    return is_before_mark(c, p, f) || is_before_mark(c, p, group);
}

int jbi_sink_clear_twice(struct jbi_sink *s)
{
    struct jbi_frame *top = jbi_sink_top(s);
    const struct jbi_message *message = s->dialect->messages[top->message->place];
    const struct jbi_field_info *extras = jbi_field_by_number(message, JBI_NUMBER_EXTRAS);
    struct clearing c = {.sink = s,
                         .message = message,
                         .start = top->start,
                         .has_extras = extras != NULL && (extras->flags & JBI_FIELD_EXTRAS) != 0};
    size_t n_extras = read_marks(&c);
    int rc = n_extras > 1 ? drop_extras(&c, n_extras) : 0;
    uint8_t *to = s->out + top->start;
    struct jbi_part p;

    for (jbi_wire in = content(&c); rc == 0 && jbi_part_next(&in, &p);) {
        size_t n = (size_t)(in.pos - p.begin);

        if (is_gone(&c, &p))
            continue;
        memmove(to, p.begin, n);
        to += n;
    }
    if (rc == 0)
        s->len = place(&c, to);
    top->has_twice = false;
    return rc;
}
