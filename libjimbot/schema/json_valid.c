/*
 * A JSON recogniser. Nesting is one bit a level (object or list) in a fixed array, so hostile depth
 * costs neither stack nor memory. Invariant: `pos` only grows and never passes `end`.
 */
#include "schema/json_valid.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "schema/number.h"
#include "schema/utf8.h"

struct checker {
    const char *pos;
    const char *end;
    uint32_t depth;
    uint32_t max_depth;                          /* at most JBI_JSON_DEPTH_MAX */
    uint64_t is_object[JBI_JSON_DEPTH_MAX / 64]; /* bit n: level n is an object */
    bool has_space;
};

static bool at(const struct checker *c, char want)
{
    return c->pos != c->end && *c->pos == want;
}

static bool take(struct checker *c, char want)
{
    if (!at(c, want))
        return false;
    c->pos++;
    return true;
}

static void space(struct checker *c)
{
    for (; c->pos != c->end; c->pos++) {
        if (*c->pos != ' ' && *c->pos != '\n' && *c->pos != '\t' && *c->pos != '\r')
            return;
        c->has_space = true;
    }
}

static bool literal(struct checker *c, const char *text, size_t len_bytes)
{
    if ((size_t)(c->end - c->pos) < len_bytes || memcmp(c->pos, text, len_bytes) != 0)
        return false;
    c->pos += len_bytes;
    return true;
}

static bool is_hex(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
}

/* What follows a backslash. */
static bool escape(struct checker *c)
{
    static const char letters[] = {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'};

    if (c->pos == c->end)
        return false;
    if (*c->pos != 'u')
        return memchr(letters, *c->pos++, sizeof letters) != NULL;
    c->pos++;
    for (int i = 0; i < 4; i++, c->pos++) {
        if (c->pos == c->end || !is_hex(*c->pos))
            return false;
    }
    return true;
}

static bool string(struct checker *c)
{
    const char *start;

    if (!take(c, '"'))
        return false;
    start = c->pos;
    while (c->pos != c->end && *c->pos != '"') {
        if ((unsigned char)*c->pos < 0x20)
            return false;
        if (*c->pos++ == '\\' && !escape(c))
            return false;
    }
    return c->pos != c->end && jbi_utf8_valid(start, (size_t)(c->pos++ - start));
}

static bool number(struct checker *c)
{
    size_t n = jbi_number_scan(c->pos, (size_t)(c->end - c->pos));

    c->pos += n;
    return n != 0;
}

static bool scalar(struct checker *c)
{
    switch (c->pos == c->end ? '\0' : *c->pos) {
    case '"':
        return string(c);
    case 't':
        return literal(c, "true", 4);
    case 'f':
        return literal(c, "false", 5);
    case 'n':
        return literal(c, "null", 4);
    default:
        return number(c);
    }
}

static bool in_object(const struct checker *c)
{
    uint32_t level = c->depth - 1;

    return (c->is_object[level / 64] >> level % 64 & 1) != 0;
}

static bool open_level(struct checker *c, bool object)
{
    uint64_t bit = (uint64_t)1 << c->depth % 64;
    uint64_t *word =
        &c->is_object[c->depth / 64 % (JBI_JSON_DEPTH_MAX / 64)]; /* used below the limit only */

    if (c->depth >= c->max_depth)
        return false;
    *word = object ? *word | bit : *word & ~bit;
    c->depth++;
    c->pos++;
    return true;
}

/* A member's name and its colon. */
static bool name(struct checker *c)
{
    space(c);
    if (!string(c))
        return false;
    space(c);
    return take(c, ':');
}

/* From before a value to after it, or to before the first value inside it. False when the text is
 * wrong; *ret_opened when it went inside. */
static bool value(struct checker *c, bool *ret_opened)
{
    bool object;

    *ret_opened = false;
    space(c);
    if (!at(c, '{') && !at(c, '['))
        return scalar(c);
    object = at(c, '{');
    if (!open_level(c, object))
        return false;
    space(c);
    if (take(c, object ? '}' : ']')) {
        c->depth--;
        return true;
    }
    *ret_opened = true;
    return !object || name(c);
}

/* After a value: close what ends here. False when the text is wrong; c->depth is 0 at the end of
 * the outermost value, otherwise another value follows. */
static bool after_value(struct checker *c)
{
    while (c->depth > 0) {
        bool object = in_object(c);

        space(c);
        if (take(c, ','))
            return !object || name(c);
        if (!take(c, object ? '}' : ']'))
            return false;
        c->depth--;
    }
    return true;
}

bool jbi_json_valid(const char *text, size_t len_bytes, uint32_t max_depth, bool *ret_has_space)
{
    assert(max_depth <= JBI_JSON_DEPTH_MAX);
    struct checker c = {
        .max_depth = max_depth, .pos = text, .end = len_bytes != 0 ? text + len_bytes : text};

    do {
        bool opened = true;

        while (opened) {
            if (!value(&c, &opened))
                return false;
        }
        if (!after_value(&c))
            return false;
    } while (c.depth > 0);
    space(&c);
    if (ret_has_space != NULL)
        *ret_has_space = c.has_space;
    return c.pos == c.end;
}
