/*
 * Scalars into typed fields: what fits, what can be coerced, what cannot.
 *
 * Invariant: JBI_TYPED_EXACT is returned only when jb_event_to_json() turns the bytes written here
 * back into the very value that came (numbers compare as numbers, strings byte by byte). Everything
 * less is COERCED or NOT, and the caller keeps the value verbatim beside it.
 */
#include <math.h>

#include "schema/sink_parts.h"
#include "schema/wire.h"

static int put_varint(struct jbi_sink *s, const uint8_t *tag, size_t tag_bytes, uint64_t value)
{
    int rc = jbi_sink_room(s, JBI_WIRE_TAG_MAX_BYTES + JBI_WIRE_VARINT_MAX_BYTES);
    uint8_t *at = s->out + s->len;

    if (rc < 0)
        return rc;
    memcpy(at, tag, tag_bytes);
    s->len = (size_t)(jbi_wire_put_varint(at + tag_bytes, value) - s->out);
    return 0;
}

static int put_double(struct jbi_sink *s, const uint8_t *tag, size_t tag_bytes, double value)
{
    int rc = jbi_sink_room(s, JBI_WIRE_TAG_MAX_BYTES + 8);
    uint8_t *at = s->out + s->len;

    if (rc < 0)
        return rc;
    s->has_non_finite |= !isfinite(value);
    memcpy(at, tag, tag_bytes);
    s->len = (size_t)(jbi_wire_put_double(at + tag_bytes, value) - s->out);
    return 0;
}

int jbi_sink_put_double(struct jbi_sink *s, const struct jbi_field_info *f, double value)
{
    return put_double(s, f->tag, f->tag_bytes, value);
}

static int put_string(struct jbi_sink *s, const uint8_t *tag, size_t tag_bytes, const char *text,
                      size_t len_bytes)
{
    int rc = jbi_sink_put(s, tag, tag_bytes);

    return rc == 0 ? jbi_sink_put_text(s, text, len_bytes) : rc;
}

static int result(int rc, enum jbi_typed typed)
{
    return rc < 0 ? rc : (int)typed;
}

/* A value of another JSON type can be understood: whether it is to be. */
static bool coerces(struct jbi_sink *s)
{
    return jbi_quirk(&s->quirks, JB_QUIRK_COERCED);
}

/* A string can be understood as a number, which some dialects say is as good. */
static bool reads_number(struct jbi_sink *s)
{
    return s->dialect->is_normalised || coerces(s);
}

static bool text_is(const struct jbi_token *t, const char *word)
{
    return t->text_bytes == strlen(word) && memcmp(t->text, word, t->text_bytes) == 0;
}

/* The whole text is one JSON number. */
static bool text_number(const struct jbi_token *t, jbi_number *ret)
{
    return t->text_bytes != 0 && jbi_number_parse(t->text, t->text_bytes, ret) == t->text_bytes;
}

/* A non-finite number by name, as Lua, C, Python and the game itself print it. */
static bool text_nonfinite(const struct jbi_token *t, double *ret)
{
    static const struct {
        const char *word;
        double value;
    } words[] = {
        {"Infinity", INFINITY}, {"-Infinity", -INFINITY}, {"NaN", NAN},
        {"inf", INFINITY},      {"-inf", -INFINITY},      {"nan", NAN},
        {"-nan", NAN},          {"naneinf", INFINITY},    {"Inf", INFINITY},
        {"-Inf", -INFINITY},    {"+inf", INFINITY},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (text_is(t, words[i].word)) {
            *ret = words[i].value;
            return true;
        }
    }
    return false;
}

static int typed_bool(struct jbi_sink *s, const uint8_t *tag, size_t tag_bytes,
                      const struct jbi_token *t)
{
    bool is_true = false, is_known = false;

    if (t->type == JBI_TOKEN_BOOL)
        return result(put_varint(s, tag, tag_bytes, t->is_true), JBI_TYPED_EXACT);
    if (t->type == JBI_TOKEN_NUMBER) {
        is_known = t->number.is_int64 && (t->number.integer == 0 || t->number.integer == 1);
        is_true = t->number.integer == 1;
    } else if (t->type == JBI_TOKEN_STRING) {
        is_true = text_is(t, "true") || text_is(t, "1");
        is_known = is_true || text_is(t, "false") || text_is(t, "0");
    }
    if (!is_known || !coerces(s))
        return JBI_TYPED_NOT;
    return result(put_varint(s, tag, tag_bytes, is_true), JBI_TYPED_COERCED);
}

/* Readers of JSON take "1.0977072081648187e+18" for a double and digits alone for an integer;
 * beyond 2^53 the two are not the same value. */
static bool int_holds(const struct jbi_token *t)
{
    const int64_t max = (int64_t)1 << 53;

    return t->text == NULL || t->number.is_integer ||
           (t->number.integer >= -max && t->number.integer <= max);
}

/* Whether the field is wide enough for the number. */
static bool int_fits(const struct jbi_field_info *f, const jbi_number *n)
{
    return n->is_int64 &&
           ((f->flags & JBI_FIELD_UINT32) == 0 || (n->integer >= 0 && n->integer <= UINT32_MAX));
}

static int typed_int(struct jbi_sink *s, const struct jbi_field_info *f, const uint8_t *tag,
                     size_t tag_bytes, const struct jbi_token *t)
{
    jbi_number n;

    if (t->type == JBI_TOKEN_NUMBER && int_fits(f, &t->number))
        return result(put_varint(s, tag, tag_bytes, (uint64_t)t->number.integer),
                      int_holds(t) ? JBI_TYPED_EXACT : JBI_TYPED_COERCED);
    if (t->type == JBI_TOKEN_NUMBER && t->number.value == 0)
        return result(put_varint(s, tag, tag_bytes, 0), JBI_TYPED_COERCED);
    if (t->type != JBI_TOKEN_STRING || !text_number(t, &n) || !int_fits(f, &n) || !reads_number(s))
        return JBI_TYPED_NOT;
    return result(put_varint(s, tag, tag_bytes, (uint64_t)n.integer), JBI_TYPED_COERCED);
}

/* Whether the text has no digit that the double lost. Below 16 characters it cannot have one. */
static bool double_holds(const struct jbi_token *t)
{
    size_t n_digits = 0;

    if (t->text == NULL)
        return true;
    if (!isfinite(t->number.value))
        return false;
    if (t->text_bytes < 16)
        return true;
    if (t->number.is_integer)
        return t->number.is_exact;
    for (size_t i = 0; i < t->text_bytes && t->text[i] != 'e' && t->text[i] != 'E'; i++)
        n_digits += t->text[i] >= '0' && t->text[i] <= '9' && (n_digits != 0 || t->text[i] != '0');
    return n_digits <= 17;
}

static int typed_double(struct jbi_sink *s, const uint8_t *tag, size_t tag_bytes,
                        const struct jbi_token *t)
{
    double value;
    jbi_number n;

    if (t->type == JBI_TOKEN_NUMBER || t->type == JBI_TOKEN_NONFINITE)
        return result(put_double(s, tag, tag_bytes, t->number.value),
                      t->type == JBI_TOKEN_NONFINITE || double_holds(t) ? JBI_TYPED_EXACT
                                                                        : JBI_TYPED_COERCED);
    if (t->type != JBI_TOKEN_STRING)
        return JBI_TYPED_NOT;
    if (text_number(t, &n))
        value = n.value;
    else if (!text_nonfinite(t, &value))
        return JBI_TYPED_NOT;
    else if (text_is(t, "Infinity") || text_is(t, "-Infinity") || text_is(t, "NaN"))
        return result(put_double(s, tag, tag_bytes, value), JBI_TYPED_EXACT);
    if (!reads_number(s))
        return JBI_TYPED_NOT;
    return result(put_double(s, tag, tag_bytes, value), JBI_TYPED_COERCED);
}

static int typed_string(struct jbi_sink *s, const struct jbi_field_info *f, const uint8_t *tag,
                        size_t tag_bytes, const struct jbi_token *t)
{
    bool is_id = (f->flags & JBI_FIELD_ID) != 0;
    char buf[JBI_NUMBER_MAX_BYTES];
    const char *text = t->text;
    size_t n = t->text_bytes;
    jbi_number number;

    if (t->type == JBI_TOKEN_STRING)
        return result(put_string(s, tag, tag_bytes, text, n),
                      is_id && text_number(t, &number) ? JBI_TYPED_COERCED : JBI_TYPED_EXACT);
    if (t->type == JBI_TOKEN_NULL)
        return JBI_TYPED_NOT;
    if (t->type == JBI_TOKEN_BOOL) {
        n = t->is_true ? 4 : 5;
        text = t->is_true ? "true" : "false";
    } else if (t->type == JBI_TOKEN_NONFINITE || text == NULL) {
        n = t->type == JBI_TOKEN_NUMBER && t->number.is_int64
                ? jbi_number_print_int(t->number.integer, buf)
                : jbi_number_print_double(t->number.value, buf);
        text = buf;
    }
    if (t->type != JBI_TOKEN_BOOL && (is_id || t->type == JBI_TOKEN_NONFINITE))
        return result(put_string(s, tag, tag_bytes, text, n), JBI_TYPED_EXACT);
    if (!coerces(s))
        return JBI_TYPED_NOT;
    return result(put_string(s, tag, tag_bytes, text, n), JBI_TYPED_COERCED);
}

/* The number after an enum's prefix, 0 when there is none that fits. */
static int32_t prefixed_number(const struct jbi_enum *e, const struct jbi_token *t)
{
    size_t at = e->number_prefix_bytes;
    int32_t n = 0;

    if (e->number_prefix == NULL || t->text_bytes <= at || t->text_bytes > at + 9 ||
        memcmp(t->text, e->number_prefix, at) != 0)
        return 0;
    for (; at < t->text_bytes; at++) {
        if (t->text[at] < '0' || t->text[at] > '9')
            return 0;
        n = n * 10 + (t->text[at] - '0');
    }
    return n;
}

static int enum_string(struct jbi_sink *s, const struct jbi_enum *e, const uint8_t *tag,
                       size_t tag_bytes, const struct jbi_token *t)
{
    const struct jbi_enum_spelling *word = jbi_enum_by_text(e, t->text, t->text_bytes);
    bool is_exact = word != NULL && word->is_canonical && !e->is_number;
    int32_t n = word != NULL ? word->number : prefixed_number(e, t);

    if (word == NULL && n == 0)
        return JBI_TYPED_NOT;
    /* A number that has no name is written back with the prefix, unless zeros led it. */
    if (word == NULL)
        is_exact = jbi_enum_by_number(e, n) == NULL && t->text[e->number_prefix_bytes] != '0';
    if (!is_exact && !jbi_quirk(&s->quirks, JB_QUIRK_SPELLINGS))
        return JBI_TYPED_NOT;
    return result(put_varint(s, tag, tag_bytes, (uint64_t)n),
                  is_exact ? JBI_TYPED_EXACT : JBI_TYPED_COERCED);
}

static int enum_number(struct jbi_sink *s, const struct jbi_enum *e, const uint8_t *tag,
                       size_t tag_bytes, const struct jbi_token *t)
{
    const struct jbi_enum_spelling *word = NULL;
    char buf[JBI_NUMBER_MAX_BYTES];

    if (!t->number.is_int64)
        return JBI_TYPED_NOT;
    if (e->is_open && t->number.integer >= INT32_MIN && t->number.integer <= INT32_MAX)
        return result(put_varint(s, tag, tag_bytes, (uint64_t)t->number.integer), JBI_TYPED_EXACT);
    if (e->is_number || e->number_prefix != NULL)
        word = jbi_enum_by_number(e, t->number.integer);
    else
        word = jbi_enum_by_text(e, buf, jbi_number_print_int(t->number.integer, buf));
    if (word == NULL)
        return JBI_TYPED_NOT;
    if (e->is_number)
        return result(put_varint(s, tag, tag_bytes, (uint64_t)word->number), JBI_TYPED_EXACT);
    if (!jbi_quirk(&s->quirks, JB_QUIRK_SPELLINGS))
        return JBI_TYPED_NOT;
    return result(put_varint(s, tag, tag_bytes, (uint64_t)word->number), JBI_TYPED_COERCED);
}

int jbi_sink_typed(struct jbi_sink *s, const struct jbi_field_info *f, const uint8_t *tag,
                   size_t tag_bytes, const struct jbi_token *token)
{
    switch (f->kind) {
    case JBI_KIND_BOOL:
        return typed_bool(s, tag, tag_bytes, token);
    case JBI_KIND_INT:
        return typed_int(s, f, tag, tag_bytes, token);
    case JBI_KIND_DOUBLE:
        return typed_double(s, tag, tag_bytes, token);
    case JBI_KIND_STRING:
        return typed_string(s, f, tag, tag_bytes, token);
    case JBI_KIND_ENUM:
        if (token->type == JBI_TOKEN_STRING)
            return enum_string(s, f->enumeration, tag, tag_bytes, token);
        if (token->type == JBI_TOKEN_NUMBER)
            return enum_number(s, f->enumeration, tag, tag_bytes, token);
        return JBI_TYPED_NOT;
    default:
        return JBI_TYPED_NOT;
    }
}
