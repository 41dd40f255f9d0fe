/*
 * See canonical_map.h.
 *
 * Invariant: what is compared lies at a place that was looked up once, so a comparison costs no
 * more than the shorter of two keys, whatever else the entries hold.
 */
#include "schema/canonical_map.h"

#include <assert.h>

#include "jimbot/event.h"
#include "schema/extra.h"

enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };

/*
 * Three numbers in an item: the place of the key's length (0: no key), an order among equal keys,
 * and the place of the whole field.
 */
enum { PLACE_BITS = 21, PLACE_MAX = (1 << PLACE_BITS) - 1, ORDER_MAX = (1 << 22) - 1 };

static_assert((int)JB_EVENT_MAX_BYTES <= (int)PLACE_MAX, "a place in an event fits into an item");

static uint64_t item_of(size_t key, uint64_t order, size_t place)
{
    return (uint64_t)key << 43 | order << PLACE_BITS | place;
}

static uint64_t order_of(uint64_t item)
{
    return item >> PLACE_BITS & ORDER_MAX;
}

static uint64_t place_of(uint64_t item)
{
    return item & PLACE_MAX;
}

/* The text whose length stands at a place; 0 is none. */
static jbi_wire text_at(const struct jbi_canonical *c, size_t place)
{
    jbi_wire in = jbi_wire_of(c->data + place, c->data_bytes - place), text = {NULL, NULL};

    if (place != 0)
        jbi_wire_bytes(&in, &text);
    return text;
}

static int compare_texts(jbi_wire a, jbi_wire b)
{
    size_t n = jbi_wire_left(&a) < jbi_wire_left(&b) ? jbi_wire_left(&a) : jbi_wire_left(&b);
    int order = n != 0 ? memcmp(a.pos, b.pos, n) : 0;

    if (order != 0)
        return order;
    return (jbi_wire_left(&a) > jbi_wire_left(&b)) - (jbi_wire_left(&a) < jbi_wire_left(&b));
}

static int compare_keys(const struct jbi_canonical *c, uint64_t a, uint64_t b)
{
    return compare_texts(text_at(c, a >> 43), text_at(c, b >> 43));
}

static bool comes_before(uint64_t a, uint64_t b, const void *canonical)
{
    int order = compare_keys(canonical, a, b);

    return order != 0 ? order < 0 : order_of(a) < order_of(b);
}

static bool by_place(uint64_t a, uint64_t b, const void *unused)
{
    (void)unused;
    return place_of(a) < place_of(b);
}

/* The place of the value of the last field of that number in a message, 0 when it has none. */
static size_t last_value(const struct jbi_canonical *c, jbi_wire in, uint32_t wanted)
{
    uint32_t number, wire;
    size_t found = 0;

    while (!jbi_wire_done(&in) && jbi_wire_tag(&in, &number, &wire)) {
        if (number == wanted)
            found = (size_t)(in.pos - c->data);
        jbi_wire_skip(&in, wire);
    }
    return found;
}

/* Lay the entries of a map by key on the stack; false after a failure. */
static bool order_entries(struct jbi_canonical *c, size_t i, size_t end)
{
    size_t first = c->n_items;

    for (; i < end; i++) {
        size_t key = last_value(c, jbi_canonical_content(c, c->items[i]), ENTRY_KEY);

        jbi_canonical_push(c, item_of(key, 0, (uint32_t)c->items[i]));
    }
    return jbi_canonical_sort(c, first, comes_before);
}

/* Whether no later entry has the same key. */
static bool is_last_of_key(const struct jbi_canonical *c, size_t i, size_t end)
{
    return i + 1 == end || compare_keys(c, c->items[i], c->items[i + 1]) != 0;
}

/* The value of an entry: of a message its pieces, of anything else the last, or what stands for
 * none. */
static void put_entry_value(struct jbi_canonical *c, const struct jbi_field_info *f, jbi_wire entry)
{
    static const uint8_t zeros[8];
    uint8_t tag = (uint8_t)(ENTRY_VALUE << 3 | jbi_wire_of_kind(f->kind));
    size_t first = c->n_items, place;
    jbi_wire in = entry;
    uint32_t number, wire;

    jbi_canonical_put(c, &tag, 1);
    if (f->kind != JBI_KIND_MESSAGE) {
        place = last_value(c, entry, ENTRY_VALUE);
        jbi_canonical_value(c, f,
                            place != 0 ? jbi_wire_of(c->data + place, c->data_bytes - place)
                                       : jbi_wire_of(zeros, sizeof zeros));
        return;
    }
    while (!jbi_wire_done(&in) && jbi_wire_tag(&in, &number, &wire)) {
        jbi_wire piece = in;

        jbi_wire_skip(&in, wire);
        if (number == ENTRY_VALUE && jbi_wire_bytes(&piece, &piece))
            jbi_canonical_collect(c, f->message, piece);
    }
    jbi_canonical_message(c, f->message, first, jbi_wire_left(&entry));
}

void jbi_canonical_map(struct jbi_canonical *c, const struct jbi_field_info *f, size_t i,
                       size_t end)
{
    static const uint8_t key_tag = ENTRY_KEY << 3 | JBI_WIRE_BYTES;
    size_t first = c->n_items, top;

    if (!order_entries(c, i, end))
        return;
    top = c->n_items;
    for (i = first; i < top && !c->is_failed; i++) {
        jbi_wire entry = jbi_canonical_content(c, place_of(c->items[i]));
        size_t begin;

        if (!is_last_of_key(c, i, top)) {
            c->n_dropped++;
            continue;
        }
        jbi_canonical_put(c, f->tag, f->tag_bytes);
        begin = jbi_canonical_length_open(c, jbi_wire_left(&entry));
        jbi_canonical_put(c, &key_tag, 1);
        jbi_canonical_text(c, text_at(c, c->items[i] >> 43));
        put_entry_value(c, f, entry);
        jbi_canonical_length_close(c, begin, jbi_wire_left(&entry));
    }
    c->n_items = first;
}

static uint32_t index_at(const struct jbi_canonical *c, size_t place)
{
    jbi_wire in = jbi_wire_of(c->data + place, c->data_bytes - place);
    uint64_t index = 0;

    jbi_wire_varint(&in, &index);
    return (uint32_t)index;
}

/* An Extra as an item; the order is 0 without an index, otherwise the index and 1. */
static uint64_t extra_item(const struct jbi_canonical *c, uint64_t item)
{
    jbi_wire extra = jbi_canonical_content(c, item);
    size_t place = last_value(c, extra, JBI_EXTRA_INDEX);
    uint32_t index = place != 0 ? index_at(c, place) : 0;
    uint64_t order = place == 0 ? 0 : index < ORDER_MAX - 1 ? index + 1 : ORDER_MAX;

    return item_of(last_value(c, extra, JBI_EXTRA_KEY), order, (uint32_t)item);
}

/* The group that an Extra's key lies in, empty when it lies in the message itself. */
static jbi_wire group_at(const struct jbi_canonical *c, uint64_t extra)
{
    return text_at(c, last_value(c, jbi_canonical_content(c, place_of(extra)), JBI_EXTRA_GROUP));
}

static int compare_extra_keys(const struct jbi_canonical *c, uint64_t a, uint64_t b)
{
    int order = compare_keys(c, a, b);

    return order != 0 ? order : compare_texts(group_at(c, a), group_at(c, b));
}

static bool extra_comes_before(uint64_t a, uint64_t b, const void *canonical)
{
    int order = compare_extra_keys(canonical, a, b);

    return order != 0 ? order < 0 : order_of(a) < order_of(b);
}

static bool is_key(jbi_wire text, const struct jbi_field_info *f)
{
    return jbi_wire_left(&text) == f->key_bytes && memcmp(text.pos, f->key, f->key_bytes) == 0;
}

/* Whether a key is that of a field in some dialect: not every event says in which it came. */
static bool is_key_anywhere(jbi_wire text, const struct jbi_message *message,
                            const struct jbi_field_info *f)
{
    for (uint32_t i = 0; i < jbi_n_dialects; i++) {
        const struct jbi_message *spelled = jbi_dialects[i].messages[message->place];

        if (is_key(text, jbi_field_by_number(spelled, f->number)))
            return true;
    }
    return false;
}

/* Whether an Extra stands for one element of that list or map. */
static bool is_override(const struct jbi_canonical *c, const struct jbi_message *message,
                        uint64_t extra, const struct jbi_field_info *f)
{
    jbi_wire group;

    if (order_of(extra) == 0 || !is_key_anywhere(text_at(c, extra >> 43), message, f))
        return false;
    group = group_at(c, extra);
    return f->group == 0 ? jbi_wire_left(&group) == 0 : is_key(group, &message->fields[f->group]);
}

/* On top of the stack, for each entry of a map in the order in which they came: its place after
 * sorting and 1, or 0 when it is left out. False after a failure. */
static bool rank_entries(struct jbi_canonical *c, size_t i, size_t end)
{
    size_t first = c->n_items, top;
    uint64_t rank = 0;

    if (!order_entries(c, i, end))
        return false;
    top = c->n_items;
    for (size_t at = first; at < top; at++) {
        bool is_kept = is_last_of_key(c, at, top);

        rank += is_kept;
        /* Keys are not compared after this one, so what is before it may change. */
        c->items[at] = item_of(0, is_kept ? rank : 0, place_of(c->items[at]));
    }
    return jbi_canonical_sort(c, first, by_place);
}

/* Let the overrides among the Extras from items[i] to the top follow the entries of a map to their
 * new places; those of entries that are left out go. */
static void follow_entries(struct jbi_canonical *c, const struct jbi_message *message,
                           const struct jbi_field_info *f, size_t entries, size_t entries_end,
                           size_t i)
{
    size_t top = c->n_items, to = i;
    bool is_ranked = false;

    for (; i < top && !c->is_failed; i++) {
        uint64_t extra = c->items[i], order = order_of(extra);

        if (is_override(c, message, extra, f) && order <= entries_end - entries) {
            is_ranked = is_ranked || rank_entries(c, entries, entries_end);
            order = is_ranked ? order_of(c->items[top + order - 1]) : 0;
            extra = item_of(extra >> 43, order, place_of(extra));
            if (order == 0)
                continue;
        }
        c->items[to++] = extra;
    }
    c->n_items = to;
}

/* One Extra, with the index that its item says. */
static void put_extra(struct jbi_canonical *c, const struct jbi_field_info *f, uint64_t extra)
{
    jbi_wire content = jbi_canonical_content(c, place_of(extra));
    size_t first = c->n_items;
    uint64_t order = order_of(extra);

    c->index = order != ORDER_MAX ? (uint32_t)order - 1
                                  : index_at(c, last_value(c, content, JBI_EXTRA_INDEX));
    c->in_extra = true;
    jbi_canonical_put(c, f->tag, f->tag_bytes);
    jbi_canonical_collect(c, f->message, content);
    jbi_canonical_message(c, f->message, first, jbi_wire_left(&content));
    c->in_extra = false;
}

/* Whether a later Extra says the same thing. */
static bool is_replaced(const struct jbi_canonical *c, size_t i, size_t end)
{
    uint64_t order = order_of(c->items[i]);

    return i + 1 != end && order != ORDER_MAX && order == order_of(c->items[i + 1]) &&
           compare_extra_keys(c, c->items[i], c->items[i + 1]) == 0;
}

void jbi_canonical_extras(struct jbi_canonical *c, const struct jbi_message *message, size_t first,
                          size_t i, size_t end)
{
    size_t extras = c->n_items, next;

    for (size_t at = i; at < end; at++)
        jbi_canonical_push(c, extra_item(c, c->items[at]));
    for (size_t at = first; at < extras && !c->is_failed; at = next) {
        const struct jbi_field_info *f =
            jbi_field_by_number(message, (uint32_t)(c->items[at] >> 32));

        next = jbi_canonical_run(c, at, extras);
        if (f != NULL && f->label == JBI_LABEL_MAP)
            follow_entries(c, message, f, at, next, extras);
    }
    if (!jbi_canonical_sort(c, extras, extra_comes_before))
        return;
    end = c->n_items;
    for (size_t at = extras; at < end && !c->is_failed; at++) {
        if (!is_replaced(c, at, end))
            put_extra(c, jbi_field_by_number(message, JBI_NUMBER_EXTRAS), c->items[at]);
    }
    c->n_items = extras;
}
