/*
 * JSON text without spaces, with the members of each object by key, the last of equals.
 *
 * An object is written as it comes; when it closes, its members are put in order where they are
 * not. Strings and numbers keep their spelling. Invariant: the text was found valid, so nothing is
 * checked here; nesting goes no deeper than jbi_json_valid() was told.
 */
#include "schema/canonical.h"

#include "schema/json_valid.h"

static const char *value(struct jbi_canonical *c, const char *p);

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Over space inside a container, which ends in a bracket. */
static const char *space(const char *p)
{
    while (is_space(*p))
        p++;
    return p;
}

/* After the string that begins at p. */
static const char *string_end(const char *p)
{
    for (p++; *p != '"'; p++) {
        if (*p == '\\')
            p++;
    }
    return p + 1;
}

/* Two keys in quotes, by their bytes; the quote that ends one comes before everything. */
static int compare_keys(const char *a, const char *b)
{
    bool is_escaped = false;

    for (a++, b++; *a == *b; a++, b++) {
        if (*a == '"' && !is_escaped)
            return 0;
        is_escaped = *a == '\\' && !is_escaped;
    }
    if (!is_escaped && (*a == '"' || *b == '"'))
        return *a == '"' ? -1 : 1;
    return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

/* A member: where it begins in out, and its length. */
static const char *member_at(const struct jbi_canonical *c, uint64_t item)
{
    return (const char *)c->out + (item >> 32);
}

static bool comes_before(uint64_t a, uint64_t b, const void *canonical)
{
    return compare_keys(member_at(canonical, a), member_at(canonical, b)) < 0;
}

/* The members from items[first] on fill out from `begin` to its end: put them in order. */
static void order_members(struct jbi_canonical *c, size_t first, size_t begin)
{
    size_t end = c->out_bytes, n;
    uint8_t *to;

    if (!jbi_canonical_sort(c, first, comes_before))
        return;
    for (size_t i = first; i < c->n_items; i++) {
        bool is_last = i + 1 == c->n_items ||
                       compare_keys(member_at(c, c->items[i]), member_at(c, c->items[i + 1])) != 0;

        if (!is_last) {
            c->n_dropped++;
            continue;
        }
        if (c->out_bytes != end)
            jbi_canonical_put(c, ",", 1);
        n = (uint32_t)c->items[i];
        to = jbi_canonical_room(c, n);
        if (to == NULL)
            return;
        memcpy(to, member_at(c, c->items[i]), n);
    }
    n = c->out_bytes - end;
    memmove(c->out + begin, c->out + end, n);
    c->out_bytes = begin + n;
}

static bool is_in_order(const struct jbi_canonical *c, size_t first)
{
    for (size_t i = first; i + 1 < c->n_items; i++) {
        if (!comes_before(c->items[i], c->items[i + 1], c))
            return false;
    }
    return true;
}

static const char *object(struct jbi_canonical *c, const char *p)
{
    size_t first = c->n_items, begin = c->out_bytes + 1;

    do {
        size_t at;
        const char *key;

        jbi_canonical_put(c, p, 1); /* the brace, or a comma */
        at = c->out_bytes;
        key = space(p + 1);
        if (*key == '}') {
            p = key;
            break;
        }
        p = string_end(key);
        jbi_canonical_put(c, key, (size_t)(p - key));
        jbi_canonical_put(c, ":", 1);
        p = value(c, space(space(p) + 1));
        jbi_canonical_push(c, (uint64_t)at << 32 | (uint32_t)(c->out_bytes - at));
        p = space(p);
    } while (*p == ',');
    if (!c->is_failed && !is_in_order(c, first))
        order_members(c, first, begin);
    if (!c->is_failed)
        c->n_items = first;
    jbi_canonical_put(c, "}", 1);
    return p + 1;
}

static const char *list(struct jbi_canonical *c, const char *p)
{
    do {
        jbi_canonical_put(c, p, 1); /* the bracket, or a comma */
        p = space(p + 1);
        if (*p == ']')
            break;
        p = space(value(c, p));
    } while (*p == ',');
    jbi_canonical_put(c, "]", 1);
    return p + 1;
}

static const char *value(struct jbi_canonical *c, const char *p)
{
    const char *end = p;

    if (*p == '{')
        return object(c, p);
    if (*p == '[')
        return list(c, p);
    if (*p == '"')
        end = string_end(p);
    else
        while (*end != ',' && *end != ']' && *end != '}' && !is_space(*end))
            end++;
    jbi_canonical_put(c, p, (size_t)(end - p));
    return end;
}

void jbi_canonical_json(struct jbi_canonical *c, const char *text, size_t len_bytes)
{
    if (!jbi_json_valid(text, len_bytes, JBI_EXTRA_DEPTH_MAX, NULL)) {
        jbi_canonical_put(c, text, len_bytes);
        return;
    }
    while (is_space(text[len_bytes - 1]))
        len_bytes--;
    while (is_space(*text)) {
        text++;
        len_bytes--;
    }
    if (*text == '{' || *text == '[')
        value(c, text);
    else
        jbi_canonical_put(c, text, len_bytes);
}
