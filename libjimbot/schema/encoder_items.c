/*
 * Many values in one call: jimbot/items.h.
 *
 * The key that came after this one last time is compared first, as when text is read, and a word is
 * known by its bytes. So most members of a message are found in a few steps, and those whose value
 * the field holds as it is are written here.
 *
 * Invariant: what is written here is what the single calls would write for the same item, byte for
 * byte; whatever might differ is left to them.
 */
#include "jimbot/items.h"

#include <math.h>

#include "schema/encoder.h"
#include "schema/envelope.h"
#include "schema/utf8.h"

/* The field of a key: the one that followed last time on the one before, or looked up. */
static inline const struct jbi_field_info *field_of(struct jb_encoder *e, struct jbi_frame *top,
                                                    const jb_item *item)
{
    const struct jbi_field_info **expected =
        &e->json.expect[top->after != 0 ? top->after - 1 : top->message->id];
    const struct jbi_field_info *f = *expected;

    if (f == NULL || f->key_bytes != item->key_bytes ||
        !jbi_short_same(f->key, item->key, item->key_bytes)) {
        f = jbi_field_by_key(top->message, item->key, item->key_bytes);
        if (f == NULL)
            return NULL;
        *expected = f;
    }
    top->after = (uint16_t)(f->id + 1);
    return f;
}

/* The number of the word that the enum writes back as it is, or 0. */
static inline int32_t word_of(struct jb_encoder *e, const struct jbi_enum *words,
                              const jb_item *item)
{
    size_t n = item->text_bytes;
    char bytes[JBI_WORD_BYTES] = {0};

    if (words->is_number)
        return 0;
    if (n == 0 || n > sizeof bytes || memchr(item->text, 0, n) != NULL)
        return jbi_word_look_up(words, item->text, n);
    jbi_short_copy(bytes + sizeof bytes - n, item->text, n);
    return jbi_word_number(e->json.words, words, jbi_short_eight(bytes), item->text, n);
}

/* Whether an item is an integer that a double holds. */
static inline bool whole_number(const jb_item *item, int64_t *ret)
{
    const int64_t max = (int64_t)1 << 53;

    if (item->kind == JB_ITEM_DOUBLE) {
        if (!(fabs(item->number) <= (double)max))
            return false;
        *ret = (int64_t)item->number;
        return (double)*ret == item->number && (*ret != 0 || !signbit(item->number));
    }
    *ret = item->integer;
    return item->kind == JB_ITEM_INT && *ret >= -max && *ret <= max;
}

static inline uint8_t *put_text(uint8_t *out, const char *text, size_t n)
{
    out = jbi_wire_put_varint(out, n);
    jbi_copy((char *)out, text, n);
    return out + n;
}

/* An integer as text, which has fewer than 128 bytes. */
static inline uint8_t *put_digits(uint8_t *out, int64_t whole)
{
    size_t n = jbi_number_print_int(whole, (char *)out + 1);

    *out = (uint8_t)n;
    return out + 1 + n;
}

/* The value of a text field; NULL when it is not usual. An id may be a number, so a text that
 * begins like one is not. */
static inline uint8_t *put_string(uint8_t *out, const struct jbi_field_info *f, const jb_item *item)
{
    bool is_id = (f->flags & JBI_FIELD_ID) != 0;
    int64_t whole;

    if (item->kind != JB_ITEM_STRING)
        return is_id && whole_number(item, &whole) ? put_digits(out, whole) : NULL;
    if (item->text == NULL || !jbi_utf8_valid(item->text, item->text_bytes))
        return NULL;
    if (is_id && (item->text_bytes == 0 || (uint8_t)(*item->text - '-') <= '9' - '-'))
        return NULL;
    return put_text(out, item->text, item->text_bytes);
}

/* The value of a field after its tag; NULL when it is not usual. */
static inline uint8_t *put_value(struct jb_encoder *e, uint8_t *out, const struct jbi_field_info *f,
                                 const jb_item *item)
{
    int32_t word;
    int64_t whole;

    switch (f->kind) {
    case JBI_KIND_STRING:
        return put_string(out, f, item);
    case JBI_KIND_ENUM:
        word = item->kind == JB_ITEM_STRING && item->text != NULL ? word_of(e, f->enumeration, item)
                                                                  : 0;
        return word != 0 ? jbi_wire_put_varint(out, (uint64_t)word) : NULL;
    case JBI_KIND_INT:
        return (f->flags & (JBI_FIELD_QUOTED | JBI_FIELD_UINT32)) == 0 && whole_number(item, &whole)
                   ? jbi_wire_put_varint(out, (uint64_t)whole)
                   : NULL;
    case JBI_KIND_DOUBLE:
        if (item->kind == JB_ITEM_DOUBLE && isfinite(item->number))
            return jbi_wire_put_double(out, item->number);
        return whole_number(item, &whole) ? jbi_wire_put_double(out, (double)whole) : NULL;
    case JBI_KIND_BOOL:
        return item->kind == JB_ITEM_BOOL ? jbi_wire_put_varint(out, item->integer != 0) : NULL;
    default:
        return NULL;
    }
}

/* Write one member of a message; false when it is not usual, with nothing written. */
static inline bool put_member(struct jb_encoder *e, struct jbi_frame *top, const jb_item *item)
{
    struct jbi_sink *s = &e->sink;
    const struct jbi_field_info *f;
    size_t n_bytes = item->kind == JB_ITEM_STRING ? item->text_bytes : JBI_NUMBER_MAX_BYTES;
    uint64_t bit;
    uint8_t *out;

    if (item->key == NULL || item->key_bytes == 0)
        return false;
    f = field_of(e, top, item);
    if (f == NULL || f->label != JBI_LABEL_SINGLE || f->group != 0)
        return false;
    bit = (uint64_t)1 << (f->idx & 63);
    if ((top->seen[f->idx >> 6] & bit) != 0 ||
        s->cap - s->len < sizeof f->tag + JBI_WIRE_VARINT_MAX_BYTES + n_bytes)
        return false;
    out = s->out + s->len;
    memcpy(out, f->tag, sizeof f->tag);
    out = put_value(e, out + f->tag_bytes, f, item);
    if (out == NULL)
        return false;
    top->seen[f->idx >> 6] |= bit;
    s->len = (size_t)(out - s->out);
    return true;
}

/* Write members as long as they are usual; how many were. */
static size_t put_members(struct jb_encoder *e, const jb_item *items, size_t n)
{
    struct jbi_frame *top = jbi_sink_top(&e->sink);
    size_t i = 0;

    if (top->kind != JBI_FRAME_MESSAGE || top->message->is_event || top->message->group != 0 ||
        e->sink.has_key)
        return 0;
    while (i < n && put_member(e, top, &items[i]))
        i++;
    return i;
}

/* One item by the single calls. */
static int put_any(struct jb_encoder *e, const jb_item *item)
{
    int rc = item->key != NULL ? jb_encoder_key(e, item->key, item->key_bytes) : 0;

    if (rc < 0)
        return rc;
    switch (item->kind) {
    case JB_ITEM_NULL:
        return jb_encoder_null(e);
    case JB_ITEM_BOOL:
        return jb_encoder_bool(e, item->integer != 0);
    case JB_ITEM_INT:
        return jb_encoder_int(e, item->integer);
    case JB_ITEM_DOUBLE:
        return jb_encoder_double(e, item->number);
    case JB_ITEM_STRING:
        return jb_encoder_string(e, item->text, item->text_bytes);
    case JB_ITEM_OBJECT:
        return jb_encoder_object_open(e);
    case JB_ITEM_LIST:
        return jb_encoder_list_open(e);
    case JB_ITEM_CLOSE:
        return jb_encoder_close(e);
    default:
        return jbi_encoder_outcome(e, JB_EINVAL);
    }
}

int jb_encoder_items(jb_encoder *e, const jb_item *items, size_t n)
{
    int rc = jbi_encoder_ready(e);

    if (rc == 0 && items == NULL && n != 0)
        rc = jbi_encoder_outcome(e, JB_EINVAL);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n && rc == 0; i++) {
        i += put_members(e, items + i, n - i);
        if (i < n)
            rc = put_any(e, &items[i]);
    }
    return rc;
}
