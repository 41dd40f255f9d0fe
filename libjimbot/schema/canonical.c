/*
 * See canonical.h for what the form is.
 *
 * A message is taken apart into items, one a field, which are sorted and written. An item is a
 * number and a place in the bytes that are read, packed into 64 bits so that most sorting compares
 * numbers. Nested messages do the same above it on one stack. Invariant: each field is taken apart
 * once, where its message is written; so cost is n log n at worst, and n where the order is right
 * already.
 */
#include "schema/canonical.h"

#include "base/alloc.h"
#include "base/error.h"
#include "schema/canonical_map.h"
#include "schema/extra.h"

enum { FIRST_BYTES = 4096, FIRST_ITEMS = 256 };

/* In the place of a field number, so that it comes after all that are known. */
enum { UNKNOWN = 1 << 30 };

static void put_fields(struct jbi_canonical *c, const struct jbi_message *message, size_t first);

uint8_t *jbi_canonical_room(struct jbi_canonical *c, size_t n_bytes)
{
    size_t cap = c->cap_bytes != 0 ? c->cap_bytes : FIRST_BYTES;
    uint8_t *out = c->out;

    while (cap - c->out_bytes < n_bytes)
        cap *= 2;
    if (cap != c->cap_bytes && !c->is_failed) {
        out = c->alloc->realloc(c->out, c->cap_bytes, cap, c->alloc->ctx);
        c->is_failed = out == NULL;
    }
    if (c->is_failed)
        return NULL;
    c->out = out;
    c->cap_bytes = cap;
    c->out_bytes += n_bytes;
    return out + c->out_bytes - n_bytes;
}

void jbi_canonical_put(struct jbi_canonical *c, const void *data, size_t len_bytes)
{
    uint8_t *to = jbi_canonical_room(c, len_bytes);

    if (to != NULL && len_bytes != 0)
        memcpy(to, data, len_bytes);
}

/* Make sure of room for n items above those that are there. */
static bool items_room(struct jbi_canonical *c, size_t n)
{
    size_t cap = c->cap_items != 0 ? c->cap_items : FIRST_ITEMS;
    uint64_t *items;

    while (cap - c->n_items < n)
        cap *= 2;
    if (cap == c->cap_items || c->is_failed)
        return !c->is_failed;
    items = c->alloc->realloc(c->items, c->cap_items * sizeof *items, cap * sizeof *items,
                              c->alloc->ctx);
    c->is_failed = items == NULL;
    if (items == NULL)
        return false;
    c->items = items;
    c->cap_items = cap;
    return true;
}

void jbi_canonical_push(struct jbi_canonical *c, uint64_t item)
{
    if (items_room(c, 1))
        c->items[c->n_items++] = item;
}

bool jbi_canonical_sort(struct jbi_canonical *c, size_t first, jbi_sort_before before)
{
    size_t n = c->n_items - first;

    if (!items_room(c, n))
        return false;
    jbi_sort(c->items + first, n, c->items + c->n_items, before, c);
    return true;
}

static void put_varint(struct jbi_canonical *c, uint64_t value)
{
    uint8_t *to = jbi_canonical_room(c, jbi_wire_varint_bytes(value));

    if (to != NULL)
        jbi_wire_put_varint(to, value);
}

static void put_tag(struct jbi_canonical *c, uint32_t number, uint32_t wire)
{
    put_varint(c, (uint64_t)number << 3 | wire);
}

void jbi_canonical_text(struct jbi_canonical *c, jbi_wire text)
{
    put_varint(c, jbi_wire_left(&text));
    jbi_canonical_put(c, text.pos, jbi_wire_left(&text));
}

size_t jbi_canonical_length_open(struct jbi_canonical *c, size_t guess)
{
    put_varint(c, guess);
    return c->out_bytes;
}

void jbi_canonical_length_close(struct jbi_canonical *c, size_t begin, size_t guess)
{
    size_t n = c->out_bytes - begin;
    size_t had = jbi_wire_varint_bytes(guess), want = jbi_wire_varint_bytes(n);

    if (want > had)
        jbi_canonical_room(c, want - had);
    if (c->is_failed)
        return;
    memmove(c->out + begin - had + want, c->out + begin, n);
    jbi_wire_put_varint(c->out + begin - had, n);
    c->out_bytes = begin - had + want + n;
}

/* The value of the field whose tag is at a place. */
static jbi_wire value_at(const struct jbi_canonical *c, uint64_t item, uint32_t *ret_wire)
{
    jbi_wire in = jbi_wire_of(c->data + (uint32_t)item, c->data_bytes - (uint32_t)item);
    uint32_t number;

    *ret_wire = JBI_WIRE_VARINT; /* the tag was read before, so this reads it */
    jbi_wire_tag(&in, &number, ret_wire);
    return in;
}

jbi_wire jbi_canonical_content(const struct jbi_canonical *c, uint64_t item)
{
    uint32_t wire;
    jbi_wire in = value_at(c, item, &wire), content = {in.pos, in.pos};

    jbi_wire_bytes(&in, &content);
    return content;
}

void jbi_canonical_collect(struct jbi_canonical *c, const struct jbi_message *message, jbi_wire in)
{
    const uint8_t *begin = in.pos;
    uint32_t number, wire;

    for (; !jbi_wire_done(&in) && jbi_wire_tag(&in, &number, &wire); begin = in.pos) {
        jbi_wire_skip(&in, wire);
        if (jbi_field_by_number(message, number) == NULL)
            number |= UNKNOWN;
        jbi_canonical_push(c, (uint64_t)number << 32 | (size_t)(begin - c->data));
    }
}

void jbi_canonical_message(struct jbi_canonical *c, const struct jbi_message *message, size_t first,
                           size_t guess)
{
    size_t begin = jbi_canonical_length_open(c, guess);

    put_fields(c, message, first);
    jbi_canonical_length_close(c, begin, guess);
}

/* A message whose pieces are some items, merged. */
static void put_pieces(struct jbi_canonical *c, const struct jbi_message *message, size_t i,
                       size_t end)
{
    size_t first = c->n_items, guess = 0;

    for (; i < end && !c->is_failed; i++) {
        jbi_wire piece = jbi_canonical_content(c, c->items[i]);

        guess += jbi_wire_left(&piece);
        jbi_canonical_collect(c, message, piece);
    }
    jbi_canonical_message(c, message, first, guess);
}

/* One number, as its kind is written. */
static void put_number(struct jbi_canonical *c, const struct jbi_field_info *f, jbi_wire *in)
{
    uint64_t value = 0;

    if (f->kind == JBI_KIND_DOUBLE) {
        jbi_canonical_put(c, in->pos, sizeof value);
        in->pos += sizeof value;
        return;
    }
    jbi_wire_varint(in, &value);
    if (f->kind == JBI_KIND_BOOL)
        value = value != 0;
    else if (f->kind == JBI_KIND_ENUM)
        value = (uint64_t)(int64_t)(int32_t)value;
    else if ((f->flags & JBI_FIELD_UINT32) != 0)
        value = (uint32_t)value;
    put_varint(c, value);
}

static void put_json(struct jbi_canonical *c, jbi_wire text)
{
    size_t begin = jbi_canonical_length_open(c, jbi_wire_left(&text));

    jbi_canonical_json(c, (const char *)text.pos, jbi_wire_left(&text));
    jbi_canonical_length_close(c, begin, jbi_wire_left(&text));
}

void jbi_canonical_value(struct jbi_canonical *c, const struct jbi_field_info *f, jbi_wire in)
{
    jbi_wire text = {in.pos, in.pos};

    if (jbi_wire_of_kind(f->kind) != JBI_WIRE_BYTES) {
        put_number(c, f, &in);
        return;
    }
    jbi_wire_bytes(&in, &text);
    if (f->kind == JBI_KIND_JSON || (c->in_extra && f->number == JBI_EXTRA_JSON))
        put_json(c, text);
    else
        jbi_canonical_text(c, text);
}

/* All numbers of a list in one block. */
static void put_packed(struct jbi_canonical *c, const struct jbi_field_info *f, size_t i,
                       size_t end)
{
    size_t tag = c->out_bytes, begin;

    jbi_canonical_put(c, f->tag, f->tag_bytes);
    begin = jbi_canonical_length_open(c, 0);
    for (; i < end && !c->is_failed; i++) {
        uint32_t wire;
        jbi_wire in = value_at(c, c->items[i], &wire);

        if (wire != JBI_WIRE_BYTES) {
            put_number(c, f, &in);
            continue;
        }
        jbi_wire_bytes(&in, &in);
        while (!jbi_wire_done(&in))
            put_number(c, f, &in);
    }
    jbi_canonical_length_close(c, begin, 0);
    if (c->out_bytes == begin) /* nothing in it is no field */
        c->out_bytes = tag;
}

/* A value that stands alone under its tag: a scalar, or an element that is no number. */
static void put_one(struct jbi_canonical *c, const struct jbi_field_info *f, size_t i)
{
    uint32_t wire;

    jbi_canonical_put(c, f->tag, f->tag_bytes);
    if (f->kind == JBI_KIND_MESSAGE)
        put_pieces(c, f->message, i, i + 1);
    else if (c->in_extra && f->number == JBI_EXTRA_INDEX)
        put_varint(c, c->index);
    else
        jbi_canonical_value(c, f, value_at(c, c->items[i], &wire));
}

static void put_unknown(struct jbi_canonical *c, uint64_t item)
{
    uint32_t wire;
    jbi_wire in = value_at(c, item, &wire), content = in;
    const uint8_t *begin = in.pos;
    uint64_t value = 0;

    put_tag(c, (uint32_t)(item >> 32) & ~(uint32_t)UNKNOWN, wire);
    if (wire == JBI_WIRE_BYTES) {
        jbi_wire_bytes(&in, &content);
        jbi_canonical_text(c, content);
    } else if (wire == JBI_WIRE_VARINT) {
        jbi_wire_varint(&in, &value);
        put_varint(c, value);
    } else {
        jbi_wire_skip(&in, wire);
        jbi_canonical_put(c, begin, (size_t)(in.pos - begin));
    }
}

/* The occurrences of one known field, items[i] to items[end]; the message has those from
 * `first`. */
static void put_field(struct jbi_canonical *c, const struct jbi_message *message,
                      const struct jbi_field_info *f, size_t first, size_t i, size_t end)
{
    if (f->label == JBI_LABEL_SINGLE && f->kind == JBI_KIND_MESSAGE) {
        jbi_canonical_put(c, f->tag, f->tag_bytes);
        put_pieces(c, f->message, i, end);
    } else if (f->label == JBI_LABEL_SINGLE) {
        put_one(c, f, end - 1);
    } else if (f->label == JBI_LABEL_MAP) {
        jbi_canonical_map(c, f, i, end);
    } else if ((f->flags & JBI_FIELD_EXTRAS) != 0) {
        jbi_canonical_extras(c, message, first, i, end);
    } else if (jbi_wire_of_kind(f->kind) != JBI_WIRE_BYTES) {
        put_packed(c, f, i, end);
    } else {
        for (; i < end && !c->is_failed; i++)
            put_one(c, f, i);
    }
}

static bool by_number(uint64_t a, uint64_t b, const void *unused)
{
    (void)unused;
    return a < b;
}

size_t jbi_canonical_run(const struct jbi_canonical *c, size_t i, size_t end)
{
    size_t at = i;

    while (at < end && c->items[at] >> 32 == c->items[i] >> 32)
        at++;
    return at;
}

static bool is_payload(const struct jbi_message *message, uint64_t item)
{
    const struct jbi_field_info *f = jbi_field_by_number(message, (uint32_t)(item >> 32));

    return f != NULL && (f->flags & JBI_FIELD_PAYLOAD) != 0;
}

/* Of the members of the oneof, the one that came last takes the place of the others: leave out what
 * is not of it, and pieces of it from before another came. */
static void leave_payloads(struct jbi_canonical *c, const struct jbi_message *message, size_t first)
{
    uint64_t last = 0, floor = 0;
    size_t to = first;

    for (size_t i = first; i < c->n_items; i++) {
        if (is_payload(message, c->items[i]) && (uint32_t)c->items[i] >= (uint32_t)last)
            last = c->items[i];
    }
    for (size_t i = first; i < c->n_items; i++) {
        if (is_payload(message, c->items[i]) && c->items[i] >> 32 != last >> 32 &&
            (uint32_t)c->items[i] > floor)
            floor = (uint32_t)c->items[i];
    }
    for (size_t i = first; i < c->n_items; i++) {
        uint64_t item = c->items[i];

        if (!is_payload(message, item) ||
            (item >> 32 == last >> 32 && (uint32_t)item >= (uint32_t)floor))
            c->items[to++] = item;
    }
    c->n_items = to;
}

/* The fields whose items lie from `first` on, in order; then they are gone. */
static void put_fields(struct jbi_canonical *c, const struct jbi_message *message, size_t first)
{
    size_t end, next;

    if (!jbi_canonical_sort(c, first, by_number))
        return;
    if (message->is_event)
        leave_payloads(c, message, first);
    end = c->n_items;
    for (size_t i = first; i < end && !c->is_failed; i = next) {
        uint32_t number = (uint32_t)(c->items[i] >> 32);

        next = jbi_canonical_run(c, i, end);
        if (number < UNKNOWN) {
            put_field(c, message, jbi_field_by_number(message, number), first, i, next);
            continue;
        }
        for (; i < next && !c->is_failed; i++)
            put_unknown(c, c->items[i]);
    }
    if (!c->is_failed)
        c->n_items = first;
}

/* Keys in Extras are those of the dialect that the event came in. */
static const struct jbi_message *event_message(jbi_wire event)
{
    struct jbi_text name = jbi_wire_find_text(event, JBI_EVENT_DIALECT);
    int dialect = name.data != NULL ? jb_dialect_find(name.data, name.len_bytes) : 0;

    return jbi_dialects[dialect > 0 ? dialect : 0].event;
}

int jbi_canonical_make(struct jbi_canonical *c, const void *data, size_t len_bytes)
{
    const struct jbi_message *event;

    c->data = data;
    c->data_bytes = len_bytes;
    c->out_bytes = c->n_items = c->n_dropped = 0;
    c->is_failed = c->in_extra = false;
    event = event_message(jbi_wire_of(data, len_bytes));
    jbi_canonical_collect(c, event, jbi_wire_of(data, len_bytes));
    put_fields(c, event, 0);
    return c->is_failed ? JB_ENOMEM : 0;
}

void jbi_canonical_fini(struct jbi_canonical *c)
{
    if (c->out != NULL)
        c->alloc->free(c->out, c->cap_bytes, c->alloc->ctx);
    if (c->items != NULL)
        c->alloc->free(c->items, c->cap_items * sizeof *c->items, c->alloc->ctx);
}

int64_t jb_event_canonical(const void *data, size_t len_bytes, uint8_t *buf, size_t cap_bytes,
                           jb_error *err)
{
    jb_alloc alloc = jbi_alloc_or_default(NULL);
    struct jbi_canonical c = {.alloc = &alloc};
    jb_encoded seen;
    int64_t rc;

    if (buf == NULL && cap_bytes != 0)
        return jbi_error_set(err, JB_EINVAL, "NULL with a length that is not 0");
    rc = jb_event_inspect(data, len_bytes, &seen, err);
    if (rc < 0)
        return rc;
    rc = jbi_canonical_make(&c, data, len_bytes);
    if (rc < 0)
        jbi_error_set(err, JB_ENOMEM, "no memory to sort the event in");
    else
        rc = (int64_t)c.out_bytes;
    if (rc > 0 && c.out_bytes <= cap_bytes)
        memcpy(buf, c.out, c.out_bytes);
    jbi_canonical_fini(&c);
    return rc;
}
