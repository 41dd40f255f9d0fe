/*
 * Members of a typed message, the usual ones in one run.
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
#include "schema/envelope.h"
#include "schema/json_reader.h"
#include "schema/json_scan.h"
#include "schema/short.h"
#include "schema/wire.h"

enum { COPY_BYTES = 16 };

static const uint64_t SPREAD = 0x9E3779B97F4A7C15u;

/*
 * A run through members. It lives in registers: the reader's and the sink's own cursors lie in
 * memory, where each step would wait for the one before. Invariant: between two members pos is at
 * the quote of a key and out is after a whole field.
 */
struct run {
    const char *pos;
    const char *end;
    uint8_t *out;
    uint8_t *out_end;
};

static struct jbi_expect *expect_slot(struct jbi_json *r, const void *after)
{
    uint64_t hash = (uint64_t)(uintptr_t)after * SPREAD;

    return &r->expect[hash >> (64 - JBI_EXPECT_BITS)];
}

/* Whether `"key":` of this field stands at p. */
static inline bool is_key(const char *p, const char *end, const struct jbi_field_info *f)
{
    size_t n = f->key_bytes;

    return (size_t)(end - p) > n + 3 && p[0] == '"' && p[n + 1] == '"' && p[n + 2] == ':' &&
           jbi_short_same(p + 1, f->key, n);
}

int jbi_json_member_key(struct jbi_json *r, const struct jbi_message *message, const void *after,
                        struct jbi_member *ret)
{
    struct jbi_expect *slot = expect_slot(r, after);
    int rc;

    jbi_json_space(r);
    ret->begin = r->pos;
    if (slot->after == after && is_key(r->pos, r->end, slot->field)) {
        ret->field = slot->field;
        r->pos += slot->field->key_bytes + 3;
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

/* The end of the string of plain bytes that begins at p: its closing quote, or NULL. */
static inline const char *text_end(const char *p, const char *end)
{
    const char *quote = jbi_scan_plain(p, end);

    return quote != end && *quote == '"' ? quote : NULL;
}

/* The field whose key stands at pos; pos is at the value then. NULL: not a usual key, pos stays. */
static inline const struct jbi_field_info *take_key(struct jbi_json *r, struct run *u,
                                                    const struct jbi_message *message,
                                                    const void *after)
{
    struct jbi_expect *slot = expect_slot(r, after);
    const struct jbi_field_info *f = slot->field;
    const char *quote;

    if (slot->after == after && is_key(u->pos, u->end, f)) {
        u->pos += f->key_bytes + 3;
        return f;
    }
    if (u->pos == u->end || *u->pos != '"')
        return NULL;
    quote = text_end(u->pos + 1, u->end);
    if (quote == NULL || u->end - quote < 3 || quote[1] != ':')
        return NULL;
    f = jbi_field_by_key(message, u->pos + 1, (size_t)(quote - u->pos) - 1);
    if (f == NULL)
        return NULL;
    *slot = (struct jbi_expect){after, f};
    u->pos = quote + 2;
    return f;
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
static inline size_t look_at_digits(const struct run *u, uint64_t *ret)
{
    uint64_t word;
    size_t n;

    if (u->end - u->pos < 9)
        return 0;
    word = eight_at(u->pos);
    n = digits_of(word);
    if (n == 0 || !is_number_end(u->pos[n]) || (*u->pos == '0' && n != 1))
        return 0;
    *ret = value_of(word << (64 - 8 * n));
    return n;
}

/* A field's tag, if there is room for it and n bytes more. */
static inline bool put_tag(struct run *u, const struct jbi_field_info *f, size_t n_bytes)
{
    if ((size_t)(u->out_end - u->out) < sizeof f->tag + n_bytes)
        return false;
    memcpy(u->out, f->tag, sizeof f->tag);
    u->out += f->tag_bytes;
    return true;
}

static inline bool put_varint(struct run *u, const struct jbi_field_info *f, uint64_t value)
{
    if (!put_tag(u, f, JBI_WIRE_VARINT_MAX_BYTES))
        return false;
    u->out = jbi_wire_put_varint(u->out, value);
    return true;
}

static inline bool put_double(struct run *u, const struct jbi_field_info *f, double value)
{
    if (!put_tag(u, f, 8))
        return false;
    u->out = jbi_wire_put_double(u->out, value);
    return true;
}

/* The text lies in what is read. */
static inline bool put_text(struct run *u, const struct jbi_field_info *f, const char *text,
                            size_t n)
{
    if (!put_tag(u, f, JBI_WIRE_TAG_MAX_BYTES + COPY_BYTES + n))
        return false;
    u->out = jbi_wire_put_varint(u->out, n);
    /* A copy of fixed size does not depend on the length, which no processor can foresee. */
    if (n <= COPY_BYTES && u->end - text >= COPY_BYTES)
        memcpy(u->out, text, COPY_BYTES);
    else
        jbi_copy((char *)u->out, text, n);
    u->out += n;
    return true;
}

static inline bool take_digits(struct run *u, const struct jbi_field_info *f)
{
    const char *text = u->pos;
    uint64_t value;
    size_t n = look_at_digits(u, &value);

    if (n == 0)
        return false;
    u->pos += n;
    if (f->kind == JBI_KIND_STRING)
        return (f->flags & JBI_FIELD_ID) != 0 && put_text(u, f, text, n);
    return f->kind == JBI_KIND_INT ? put_varint(u, f, value) : put_double(u, f, (double)value);
}

static inline bool take_text(struct run *u, const struct jbi_field_info *f)
{
    const char *text = u->pos + 1;
    const char *quote;

    if (*u->pos != '"')
        return take_digits(u, f);
    quote = text_end(text, u->end);
    /* The text of an id may be that of a number. */
    if (quote == NULL || ((f->flags & JBI_FIELD_ID) != 0 && *text <= '9' && quote != text))
        return false;
    u->pos = quote + 1;
    return put_text(u, f, text, (size_t)(quote - text));
}

/* The spelling of a word of at most eight bytes, from memory. */
static inline const struct jbi_enum_spelling *word_of(struct jbi_json *r, const struct jbi_enum *e,
                                                      const char *text, size_t n)
{
    /* No byte of a plain text is 0, so the bytes tell the length too. */
    uint64_t bytes = eight_at(text) << (64 - 8 * n);
    struct jbi_word *slot =
        &r->words[(bytes ^ (uint64_t)(uintptr_t)e) * SPREAD >> (64 - JBI_WORD_BITS)];

    if (slot->bytes != bytes || slot->enumeration != e)
        *slot = (struct jbi_word){e, bytes, jbi_enum_by_text(e, text, n)};
    return slot->spelling;
}

static inline bool take_word(struct jbi_json *r, struct run *u, const struct jbi_field_info *f)
{
    const struct jbi_enum *e = f->enumeration;
    const struct jbi_enum_spelling *word;
    const char *text = u->pos + 1;
    const char *quote;
    size_t n;

    quote = *u->pos == '"' && !e->is_number ? text_end(text, u->end) : NULL;
    if (quote == NULL)
        return false;
    n = (size_t)(quote - text);
    if (n != 0 && n <= 8 && u->end - text >= 8)
        word = word_of(r, e, text, n);
    else
        word = jbi_enum_by_text(e, text, n);
    u->pos = quote + 1;
    return word != NULL && word->is_canonical && word->number != 0 &&
           put_varint(u, f, (uint64_t)word->number);
}

static inline bool take_bool(struct run *u, const struct jbi_field_info *f)
{
    bool is_true = *u->pos == 't';
    size_t n = is_true ? 4 : 5;

    if ((size_t)(u->end - u->pos) <= n || !jbi_short_same(u->pos, is_true ? "true" : "false", n))
        return false;
    u->pos += n;
    return put_varint(u, f, is_true);
}

/* The value at pos and what ends it, if both are usual. */
static inline bool take_value(struct jbi_json *r, struct run *u, const struct jbi_field_info *f)
{
    switch (f->label == JBI_LABEL_SINGLE ? f->kind : 0) {
    case JBI_KIND_STRING:
        return take_text(u, f);
    case JBI_KIND_ENUM:
        return take_word(r, u, f);
    case JBI_KIND_INT:
    case JBI_KIND_DOUBLE:
        return take_digits(u, f);
    case JBI_KIND_BOOL:
        return take_bool(u, f);
    default:
        return false;
    }
}

/* Whether the sink must see the field's value, because the type of the event hangs on it. */
static inline bool decides_type(const struct jbi_message *message, const struct jbi_field_info *f)
{
    return message->is_event && (f->number == JBI_EVENT_TYPE || f->number == JBI_EVENT_SUBTYPE);
}

/* Over the comma before another key, or the brace; false when something else follows. */
static inline bool take_end(struct run *u, bool *ret_is_closed)
{
    if (u->end - u->pos < 2)
        return false;
    *ret_is_closed = u->pos[0] == '}';
    if (!*ret_is_closed && (u->pos[0] != ',' || u->pos[1] != '"'))
        return false;
    u->pos++;
    return true;
}

bool jbi_json_members_usual(struct jbi_json *r, const void **after)
{
    struct jbi_sink *s = r->sink;
    struct jbi_frame *top = jbi_sink_top(s);
    struct run u = {r->pos, r->end, s->out + s->len, s->out + s->cap};
    bool is_closed = false;

    while (!is_closed) {
        struct run next = u;
        const struct jbi_field_info *f = take_key(r, &next, top->message, *after);
        bool closes;
        uint64_t bit;

        if (f == NULL || decides_type(top->message, f))
            break;
        bit = (uint64_t)1 << (f->idx & 63);
        if ((top->seen[f->idx >> 6] & bit) != 0 || !take_value(r, &next, f) ||
            !take_end(&next, &closes))
            break;
        top->seen[f->idx >> 6] |= bit;
        *after = f;
        is_closed = closes;
        u = next;
    }
    r->pos = u.pos;
    s->len = (size_t)(u.out - s->out);
    return is_closed;
}
