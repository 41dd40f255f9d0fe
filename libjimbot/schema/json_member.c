/*
 * Members of a typed message, the usual ones in one run.
 *
 * Clients send the members of an object in the same order again and again, so the key that came
 * after this one last time is compared first; only another one is read as a string and looked up.
 * And most values are spelled so that nothing can go wrong with them: a string of plain bytes for a
 * text or a canonical word, up to sixteen digits for a number. Those go from the text into the
 * event here; an object that is a message is entered from here.
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

static const uint64_t ten_to[] = {1,
                                  10,
                                  100,
                                  1000,
                                  10000,
                                  100000,
                                  1000000,
                                  10000000,
                                  100000000,
                                  1000000000,
                                  10000000000,
                                  100000000000,
                                  1000000000000,
                                  10000000000000,
                                  100000000000000,
                                  1000000000000000,
                                  10000000000000000};

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

/* Whether `"key":` of this field stands at p. */
static inline bool is_key(const char *p, const char *end, const struct jbi_field_info *f)
{
    return f != NULL && f->quoted_bytes != 0 && end - p >= JBI_QUOTED_BYTES &&
           jbi_short_begins(p, f->quoted, f->quoted_bytes);
}

int jbi_json_member_key(struct jbi_json *r, const struct jbi_message *message, uint16_t after,
                        struct jbi_member *ret)
{
    const struct jbi_field_info *f = r->expect[after];
    int rc;

    jbi_json_space(r);
    ret->begin = r->pos;
    if (is_key(r->pos, r->end, f)) {
        ret->field = f;
        r->pos += f->quoted_bytes;
        jbi_json_space(r);
        return 0;
    }
    rc = jbi_json_key(r, &ret->key, &ret->begin);
    if (rc < 0)
        return rc;
    ret->field = jbi_field_by_key(message, ret->key.data, ret->key.len_bytes);
    if (ret->field != NULL)
        r->expect[after] = ret->field;
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
                                                    uint16_t after)
{
    const struct jbi_field_info *f = r->expect[after];
    const char *quote;

    if (is_key(u->pos, u->end, f)) {
        u->pos += f->quoted_bytes;
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
    r->expect[after] = f;
    u->pos = quote + 2;
    return f;
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

/* Up to sixteen digits at p, of which as many can be read; how many there are. */
static inline size_t take_run(const char *p, uint64_t *ret)
{
    uint64_t word = jbi_short_eight(p), first;
    size_t n = digits_of(word), m;

    *ret = n != 0 ? value_of(word << (64 - 8 * n)) : 0;
    if (n != 8)
        return n;
    first = *ret;
    word = jbi_short_eight(p + 8);
    m = digits_of(word);
    if (m != 0)
        *ret = first * ten_to[m] + value_of(word << (64 - 8 * m));
    return 8 + m;
}

/* A number of up to sixteen digits, without exponent. */
struct usual_number {
    uint64_t digits; /* with those of the fraction */
    size_t n_fraction;
    size_t n_bytes;
    bool is_negative;
};

enum { NUMBER_BYTES = 40 }; /* of the text, looked at for a number of at most 16 digits */

/* The number at pos, which stays; false when it is not spelled in the usual way. */
static inline bool look_at_number(const struct run *u, struct usual_number *ret)
{
    const char *p = u->pos;
    uint64_t fraction = 0;
    size_t n, m = 0;

    if (u->end - p < NUMBER_BYTES)
        return false;
    n = take_run(p, &ret->digits);
    ret->is_negative = n == 0 && *p == '-';
    if (ret->is_negative)
        n = take_run(++p, &ret->digits);
    if (n == 0 || (*p == '0' && n != 1))
        return false;
    p += n;
    if (*p == '.') {
        m = take_run(++p, &fraction);
        if (m == 0 || n + m > 16)
            return false;
        ret->digits = ret->digits * ten_to[m] + fraction;
        p += m;
    }
    ret->n_fraction = m;
    ret->n_bytes = (size_t)(p - u->pos);
    return is_number_end(*p);
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

/* The double next to a number: one division of two that are exact is rounded as the number is, in
 * the rounding mode that C begins with. */
static inline bool put_number(struct run *u, const struct jbi_field_info *f,
                              const struct usual_number *number)
{
    double value = (double)number->digits;

    if (number->digits > (uint64_t)1 << 53)
        return false;
    if (number->n_fraction != 0)
        value /= (double)ten_to[number->n_fraction];
    return put_double(u, f, number->is_negative ? -value : value);
}

static inline bool put_integer(struct run *u, const struct jbi_field_info *f,
                               const struct usual_number *number)
{
    if (number->n_fraction != 0 || (number->is_negative && number->digits == 0))
        return false;
    if ((f->flags & JBI_FIELD_UINT32) !=
        0) /* there are few, and their range is the sink's matter */
        return false;
    return put_varint(u, f, number->is_negative ? 0 - number->digits : number->digits);
}

static inline __attribute__((always_inline)) bool take_number(struct run *u,
                                                              const struct jbi_field_info *f)
{
    const char *text = u->pos;
    struct usual_number number;

    if (!look_at_number(u, &number))
        return false;
    u->pos += number.n_bytes;
    if (f->kind == JBI_KIND_STRING)
        return put_text(u, f, text, number.n_bytes);
    return f->kind == JBI_KIND_INT ? put_integer(u, f, &number) : put_number(u, f, &number);
}

/* Whether a text, plain and not empty, may be that of a number. */
static inline bool may_be_number(const char *text, const char *end)
{
    while (text != end && ((*text >= '+' && *text <= '9') || (*text | 0x20) == 'e'))
        text++;
    return text == end;
}

static inline bool take_text(struct run *u, const struct jbi_field_info *f)
{
    const char *text = u->pos + 1;
    const char *quote;

    quote = text_end(text, u->end);
    if (quote == NULL ||
        ((f->flags & JBI_FIELD_ID) != 0 && quote != text && may_be_number(text, quote)))
        return false;
    u->pos = quote + 1;
    return put_text(u, f, text, (size_t)(quote - text));
}

static inline bool take_word(struct jbi_json *r, struct run *u, const struct jbi_field_info *f)
{
    const struct jbi_enum *e = f->enumeration;
    const char *text = u->pos + 1;
    const char *quote;
    int32_t number;
    size_t n;

    quote = *u->pos == '"' && !e->is_number ? text_end(text, u->end) : NULL;
    if (quote == NULL)
        return false;
    n = (size_t)(quote - text);
    if (n - 1 < 8 && u->end - text >= 8)
        number = jbi_word_number(r->words, e, jbi_short_eight(text) << (64 - 8 * n), text, n);
    else
        number = jbi_word_look_up(e, text, n);
    u->pos = quote + 1;
    return number != 0 && put_varint(u, f, (uint64_t)number);
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
    if (f->label != JBI_LABEL_SINGLE)
        return false;
    switch (f->kind) {
    case JBI_KIND_STRING:
        if (*u->pos == '"')
            return take_text(u, f);
        return (f->flags & JBI_FIELD_ID) != 0 && take_number(u, f);
    case JBI_KIND_ENUM:
        return take_word(r, u, f);
    case JBI_KIND_INT:
    case JBI_KIND_DOUBLE:
        return take_number(u, f);
    case JBI_KIND_BOOL:
        return take_bool(u, f);
    default:
        return false;
    }
}

/* Whether the type of the event hangs on the field's value. */
static inline bool decides_type(const struct jbi_frame *top, const struct jbi_field_info *f)
{
    return top->message->is_event &&
           (f->number == JBI_EVENT_TYPE || (f->number == JBI_EVENT_SUBTYPE && top->pending != 0));
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

static inline struct run run_begin(const struct jbi_json *r)
{
    const struct jbi_sink *s = r->sink;

    return (struct run){r->pos, r->end, s->out + s->len, s->out + s->cap};
}

static inline void run_end(struct jbi_json *r, const struct run *u)
{
    r->pos = u->pos;
    r->sink->len = (size_t)(u->out - r->sink->out);
}

/* After a member that stays, whatever follows: 1 when another does, 0 when none does, or a code. */
static int member_end(struct jbi_json *r, struct run *u)
{
    bool is_closed;
    int rc;

    if (take_end(u, &is_closed))
        return !is_closed;
    r->pos = u->pos;
    rc = jbi_json_member_next(r);
    u->pos = r->pos;
    return rc;
}

/* A member is left to the long way, with nothing of it written. */
enum { UNUSUAL = 2 };

/* Read an object that is a message, and what follows. Returns as member_end(). */
static int take_message(struct jbi_json *r, struct run *u, const struct jbi_field_info *f)
{
    int rc;

    u->pos++;
    run_end(r, u);
    rc = jbi_json_message(r, f);
    if (rc < 0)
        return rc;
    *u = run_begin(r);
    return member_end(r, u);
}

/* Read the type of the event, which the sink must see, and what follows. Returns as member_end(),
 * or UNUSUAL. */
static int take_type(struct jbi_json *r, struct run *u, const struct jbi_field_info *f)
{
    const char *text = u->pos + 1;
    const char *quote = *u->pos == '"' ? text_end(text, u->end) : NULL;
    int rc;

    if (f->number != JBI_EVENT_TYPE || quote == NULL || quote == text)
        return UNUSUAL;
    run_end(r, u);
    rc = jbi_sink_event_named(r->sink, text, (size_t)(quote - text));
    if (rc < 0)
        return jbi_json_sink_failed(r, rc, text - 1);
    *u = run_begin(r);
    u->pos = quote + 1;
    return member_end(r, u);
}

/* Read a value and what follows: 1, 0, a code, or UNUSUAL. */
static inline int take_member(struct jbi_json *r, struct run *u, const struct jbi_frame *top,
                              const struct jbi_field_info *f)
{
    bool is_closed;

    if (f->kind >= JBI_KIND_MESSAGE)
        return *u->pos == '{' && jbi_json_is_message(f) ? take_message(r, u, f) : UNUSUAL;
    if (top->message->is_event && decides_type(top, f))
        return take_type(r, u, f);
    return take_value(r, u, f) && take_end(u, &is_closed) ? !is_closed : UNUSUAL;
}

int jbi_json_members_usual(struct jbi_json *r, uint16_t *after)
{
    struct jbi_frame *top = jbi_sink_top(r->sink);
    struct run u = run_begin(r);
    uint16_t last = *after;
    int rc = 1;

    while (rc > 0) {
        const char *pos = u.pos;
        uint8_t *out = u.out;
        const struct jbi_field_info *f = take_key(r, &u, top->message, last);
        uint64_t *seen, bit;

        if (f == NULL)
            break;
        seen = &top->seen[f->idx >> 6];
        bit = (uint64_t)1 << (f->idx & 63);
        rc = (*seen & bit) == 0 ? take_member(r, &u, top, f) : UNUSUAL;
        if (rc < 0)
            return rc;
        if (rc == UNUSUAL) {
            u.pos = pos;
            u.out = out;
            break;
        }
        *seen |= bit;
        last = f->id;
    }
    *after = last;
    run_end(r, &u);
    return rc != 0;
}
