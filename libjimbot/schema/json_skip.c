/*
 * Over a JSON value without building anything: jbi_json_skip() checks, jbi_json_leap() hurries.
 *
 * Neither recurses, so depth costs a bit each and no stack.
 */
#include "schema/json_reader.h"

#include <string.h>

#include "schema/json_scan.h"

/* Members and elements of the containers that are open; bit n of `lists` tells the kind of the
 * nth. */
struct skip {
    uint64_t lists[JBI_JSON_SKIP_DEPTH / 64];
    uint32_t depth;
};

static bool is_list(const struct skip *k)
{
    return (k->lists[(k->depth - 1) / 64] >> ((k->depth - 1) % 64) & 1) != 0;
}

static int skip_open(struct jbi_json *r, struct skip *k, bool list)
{
    uint64_t bit = (uint64_t)1 << (k->depth % 64);

    if (k->depth == JBI_JSON_SKIP_DEPTH)
        return jbi_json_fail(r, JB_EPARSE, r->pos, "nested deeper than %d", JBI_JSON_SKIP_DEPTH);
    k->lists[k->depth / 64] = list ? k->lists[k->depth / 64] | bit : k->lists[k->depth / 64] & ~bit;
    k->depth++;
    r->pos++;
    jbi_json_space(r);
    return 0;
}

static int skip_key(struct jbi_json *r)
{
    struct jbi_text key;
    const char *begin;

    return jbi_json_key(r, &key, &begin);
}

/* After a value: close what ends here, go on to the next value. 1 when there is one, 0 at the
 * end. */
static int skip_next(struct jbi_json *r, struct skip *k)
{
    char here[16];

    while (k->depth != 0) {
        char close = is_list(k) ? ']' : '}';

        jbi_json_space(r);
        if (r->pos != r->end && *r->pos == close) {
            r->pos++;
            k->depth--;
            continue;
        }
        if (r->pos == r->end || *r->pos != ',')
            return jbi_json_fail(r, JB_EPARSE, r->pos, "expected ',' or '%c', found %s", close,
                                 jbi_json_here(r, here));
        r->pos++;
        jbi_json_space(r);
        if (!is_list(k) && skip_key(r) < 0)
            return JB_EPARSE;
        return 1;
    }
    return 0;
}

/* One value or the beginning of one. 1 when it opened something that is not empty. */
static int skip_value(struct jbi_json *r, struct skip *k)
{
    struct jbi_token token;
    int rc;

    if (r->pos == r->end || (*r->pos != '{' && *r->pos != '['))
        return jbi_json_scalar(r, &token);
    rc = skip_open(r, k, *r->pos == '[');
    if (rc < 0)
        return rc;
    if (r->pos != r->end && *r->pos == (is_list(k) ? ']' : '}')) {
        r->pos++;
        k->depth--;
        return 0;
    }
    rc = is_list(k) ? 0 : skip_key(r);
    return rc < 0 ? rc : 1;
}

int jbi_json_skip(struct jbi_json *r)
{
    struct skip k = {.depth = 0};
    int rc;

    jbi_json_space(r);
    do {
        rc = skip_value(r, &k);
        if (rc == 0)
            rc = skip_next(r, &k);
    } while (rc > 0);
    return rc;
}

/* After the string whose first byte is at p; end when it does not end. */
static const char *leap_string(const char *p, const char *end)
{
    p = jbi_scan_plain(p, end);
    if (p != end && *p == '"')
        return p + 1;
    while (p != end) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        const char *back;

        if (quote == NULL)
            return end;
        /* An odd number of backslashes escapes it. */
        for (back = quote; back != p && back[-1] == '\\'; back--)
            ;
        p = quote + 1;
        if ((quote - back) % 2 == 0)
            return p;
    }
    return end;
}

/* After the object or list at p, NULL when it does not end. Who looks at a body first leaps over
 * the payload that its reader leaps over next: the longest leap is remembered. */
static const char *leap_container(struct jbi_json *r, const char *p)
{
    const char *end;

    if (p == r->leap_begin)
        return r->leap_end;
    end = jbi_scan_container(p, r->end);
    if (end != NULL && end - p > r->leap_end - r->leap_begin) {
        r->leap_begin = p;
        r->leap_end = end;
    }
    return end;
}

bool jbi_json_leap(struct jbi_json *r)
{
    const char *p;

    jbi_json_space(r);
    p = r->pos;
    if (p == r->end)
        return true;
    if (*p == '{' || *p == '[') {
        p = leap_container(r, p);
        if (p == NULL)
            return false;
    } else if (*p == '"') {
        p = leap_string(p + 1, r->end);
    } else {
        while (p != r->end && *p != ',' && *p != '}' && *p != ']')
            p++;
    }
    r->pos = p;
    return true;
}
