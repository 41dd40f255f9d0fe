/*
 * Members of a typed message, the usual ones straight away.
 *
 * Clients send the members of an object in the same order again and again, so the key that came
 * after this one last time is compared first; only another one is read as a string and looked up.
 * And most values are spelled so that nothing can go wrong with them: a string of plain bytes for a
 * text or a canonical word, digits alone for a number. Those go from the text into the event here.
 *
 * Invariant: what is written here is what jbi_sink_key() and jbi_sink_scalar() would write for the
 * same member, byte for byte; whatever might differ is left to them. So equal events are equal
 * bytes, whatever way each of their members went.
 */
#include "schema/json_reader.h"
#include "schema/json_scan.h"
#include "schema/short.h"
#include "schema/wire.h"

enum { COPY_BYTES = 16 };

static const uint64_t SPREAD = 0x9E3779B97F4A7C15u;

static struct jbi_expect *expect_slot(struct jbi_json *r, const void *after)
{
    uint64_t hash = (uint64_t)(uintptr_t)after * SPREAD;

    return &r->expect[hash >> (64 - JBI_EXPECT_BITS)];
}

/* Whether `"key":` of this field stands at pos; then pos is after it. */
static inline bool take_key(struct jbi_json *r, const struct jbi_field_info *f)
{
    size_t n = f->key_bytes;
    const char *p = r->pos;

    if ((size_t)(r->end - p) < n + 4 || p[0] != '"' || p[n + 1] != '"' || p[n + 2] != ':' ||
        !jbi_short_same(p + 1, f->key, n))
        return false;
    r->pos = p + n + 3;
    return true;
}

int jbi_json_member_key(struct jbi_json *r, const struct jbi_message *message, const void *after,
                        struct jbi_member *ret)
{
    struct jbi_expect *slot = expect_slot(r, after);
    int rc;

    jbi_json_space(r);
    ret->begin = r->pos;
    if (slot->after == after && take_key(r, slot->field)) {
        ret->field = slot->field;
        jbi_json_space(r);
        return 0;
    }
    rc = jbi_json_key(r, &ret->key, &ret->begin);
    if (rc < 0)
        return rc;
    ret->field = jbi_field_by_key(message, ret->key.data, ret->key.len_bytes);
    if (ret->field != NULL)
        *slot = (struct jbi_expect){after, ret->field};
    return 0;
}

/* A string without escapes and foreign bytes at pos; then pos is after it. */
static inline bool take_text(struct jbi_json *r, struct jbi_text *ret)
{
    const char *begin = r->pos + 1;
    const char *end;

    if (r->pos == r->end || *r->pos != '"')
        return false;
    end = jbi_scan_plain(begin, r->end);
    if (end == r->end || *end != '"')
        return false;
    *ret = (struct jbi_text){begin, (size_t)(end - begin)};
    r->pos = end + 1;
    return true;
}

/* Eight bytes as they stand in a text, the first in the lowest. */
static inline uint64_t eight_at(const char *p)
{
    uint64_t word;

    memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* How many digits a word of eight bytes begins with. */
static inline size_t digits_of(uint64_t word)
{
    /* A digit's upper half is 3 and stays 3 when 6 is added. */
    uint64_t upper = 0xF0F0F0F0F0F0F0F0u, three = 0x3030303030303030u;
    uint64_t other = ((word & upper) ^ three) | (((word + 0x0606060606060606u) & upper) ^ three);

    return other == 0 ? 8 : (size_t)__builtin_ctzll(other) / 8;
}

/* The number that eight digits spell, the first in the lowest byte. */
static inline uint64_t value_of(uint64_t digits)
{
    digits &= 0x0F0F0F0F0F0F0F0Fu;
    digits = (digits * 10 + (digits >> 8)) & 0x00FF00FF00FF00FFu;
    digits = (digits * 100 + (digits >> 16)) & 0x0000FFFF0000FFFFu;
    return (digits * 10000 + (digits >> 32)) & 0xFFFFFFFFu;
}

/* Whether what ends at p is a number that goes on no further. */
static inline bool is_number_end(char c)
{
    return c == ',' || c == '}';
}

/* One to eight digits alone, without a zero before others, at pos; how many, or 0. pos stays. */
static inline size_t look_at_digits(const struct jbi_json *r, uint64_t *ret)
{
    uint64_t word;
    size_t n;

    if (r->end - r->pos < 9)
        return 0;
    word = eight_at(r->pos);
    n = digits_of(word);
    if (n == 0 || !is_number_end(r->pos[n]) || (*r->pos == '0' && n != 1))
        return 0;
    *ret = value_of(word << (64 - 8 * n));
    return n;
}

/* A field's tag and room for n bytes after it; *ret_at is where they go. */
static inline int put_tag(struct jbi_sink *s, const struct jbi_field_info *f, size_t n_bytes,
                          uint8_t **ret_at)
{
    int rc = jbi_sink_room(s, sizeof f->tag + n_bytes);

    if (rc < 0)
        return rc;
    memcpy(s->out + s->len, f->tag, sizeof f->tag);
    *ret_at = s->out + s->len + f->tag_bytes;
    return 1;
}

static int put_varint(struct jbi_sink *s, const struct jbi_field_info *f, uint64_t value)
{
    uint8_t *at;
    int rc = put_tag(s, f, JBI_WIRE_VARINT_MAX_BYTES, &at);

    if (rc > 0)
        s->len = (size_t)(jbi_wire_put_varint(at, value) - s->out);
    return rc;
}

static int put_double(struct jbi_sink *s, const struct jbi_field_info *f, double value)
{
    uint8_t *at;
    int rc = put_tag(s, f, 8, &at);

    if (rc > 0)
        s->len = (size_t)(jbi_wire_put_double(at, value) - s->out);
    return rc;
}

/* The text lies in the reader's. */
static int put_text(struct jbi_json *r, const struct jbi_field_info *f, const char *text, size_t n)
{
    struct jbi_sink *s = r->sink;
    uint8_t *at;
    int rc = put_tag(s, f, JBI_WIRE_TAG_MAX_BYTES + n, &at);

    if (rc < 0)
        return rc;
    at = jbi_wire_put_varint(at, n);
    /* A copy of fixed size does not depend on the length, which no processor can foresee. */
    if (n <= COPY_BYTES && r->end - text >= COPY_BYTES &&
        s->cap - (size_t)(at - s->out) >= COPY_BYTES)
        memcpy(at, text, COPY_BYTES);
    else
        jbi_copy((char *)at, text, n);
    s->len = (size_t)(at + n - s->out);
    return rc;
}

static int digits_member(struct jbi_json *r, const struct jbi_field_info *f)
{
    const char *begin = r->pos;
    uint64_t value;
    size_t n = look_at_digits(r, &value);

    if (n == 0)
        return 0;
    if (f->kind == JBI_KIND_STRING && (f->flags & JBI_FIELD_ID) == 0)
        return 0;
    r->pos += n;
    if (f->kind == JBI_KIND_STRING)
        return put_text(r, f, begin, n);
    return f->kind == JBI_KIND_INT ? put_varint(r->sink, f, value)
                                   : put_double(r->sink, f, (double)value);
}

static int text_member(struct jbi_json *r, const struct jbi_field_info *f)
{
    const char *begin = r->pos;
    struct jbi_text text;

    if (!take_text(r, &text))
        return digits_member(r, f);
    /* The text of an id may be that of a number. */
    if ((f->flags & JBI_FIELD_ID) == 0 || text.len_bytes == 0 || text.data[0] > '9')
        return put_text(r, f, text.data, text.len_bytes);
    r->pos = begin;
    return 0;
}

/* The spelling of a word, from memory when it has at most eight bytes. */
static inline const struct jbi_enum_spelling *word_of(struct jbi_json *r, const struct jbi_enum *e,
                                                      struct jbi_text text)
{
    struct jbi_word *slot;
    uint64_t bytes;

    if (text.len_bytes > 8 || text.len_bytes == 0 || r->end - text.data < 8)
        return jbi_enum_by_text(e, text.data, text.len_bytes);
    /* No byte of a plain text is 0, so the bytes tell the length too. */
    bytes = eight_at(text.data) << (64 - 8 * text.len_bytes);
    slot = &r->words[(bytes ^ (uintptr_t)e) * SPREAD >> (64 - JBI_WORD_BITS)];
    if (slot->bytes != bytes || slot->enumeration != e)
        *slot = (struct jbi_word){e, bytes, jbi_enum_by_text(e, text.data, text.len_bytes)};
    return slot->spelling;
}

static int word_member(struct jbi_json *r, const struct jbi_field_info *f)
{
    const struct jbi_enum *e = f->enumeration;
    const char *begin = r->pos;
    const struct jbi_enum_spelling *word;
    struct jbi_text text;

    if (e->is_number || !take_text(r, &text))
        return 0;
    word = word_of(r, e, text);
    if (word != NULL && word->is_canonical && word->number != 0)
        return put_varint(r->sink, f, (uint64_t)word->number);
    r->pos = begin;
    return 0;
}

static int bool_member(struct jbi_json *r, const struct jbi_field_info *f)
{
    size_t left = (size_t)(r->end - r->pos);

    if (left > 4 && jbi_short_same(r->pos, "true", 4)) {
        r->pos += 4;
        return put_varint(r->sink, f, 1);
    }
    if (left > 5 && jbi_short_same(r->pos, "false", 5)) {
        r->pos += 5;
        return put_varint(r->sink, f, 0);
    }
    return 0;
}

int jbi_json_member_plain(struct jbi_json *r, const struct jbi_field_info *f)
{
    if (f->label != JBI_LABEL_SINGLE)
        return 0;
    switch (f->kind) {
    case JBI_KIND_STRING:
        return text_member(r, f);
    case JBI_KIND_ENUM:
        return word_member(r, f);
    case JBI_KIND_INT:
    case JBI_KIND_DOUBLE:
        return digits_member(r, f);
    case JBI_KIND_BOOL:
        return bool_member(r, f);
    default:
        return 0;
    }
}
