/*
 * See big_number.h. Invariant: the text is read from its begin to its end once, and whatever is not
 * spelled exactly so is no such number.
 */
#include "schema/big_number.h"

#include <math.h>
#include <string.h>

#include "schema/number.h"

struct cursor {
    const char *pos;
    const char *end;
};

static bool take(struct cursor *c, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(c->end - c->pos) < n || memcmp(c->pos, word, n) != 0)
        return false;
    c->pos += n;
    return true;
}

static bool take_number(struct cursor *c, double *ret)
{
    jbi_number number;
    size_t n = jbi_number_parse(c->pos, (size_t)(c->end - c->pos), &number);

    c->pos += n;
    *ret = number.value;
    return n != 0;
}

/* `[a,b,…]`: a to the height of b; what follows makes it larger than any double. */
static bool take_array(struct cursor *c, double *ret)
{
    double height = 0, more;

    if (!take(c, "[") || !take_number(c, ret))
        return false;
    if (take(c, ",") && !take_number(c, &height))
        return false;
    for (; height >= 1 && isfinite(*ret); height--)
        *ret = pow(10, *ret);
    while (take(c, ",")) {
        if (!take_number(c, &more))
            return false;
        *ret = more > 0 ? INFINITY : *ret;
    }
    return take(c, "]");
}

bool jbi_big_number(const char *json, size_t len_bytes, double *ret)
{
    struct cursor c = {json, json + len_bytes};
    double value, sign = 1;

    if (!take(&c, "{"))
        return false;
    if (take(&c, "\"sign\":") && !(take_number(&c, &sign) && take(&c, ",")))
        return false;
    if (!take(&c, "\"array\":") || !take_array(&c, &value))
        return false;
    if (take(&c, ",\"sign\":") && !take_number(&c, &sign))
        return false;
    if (!take(&c, "}") || c.pos != c.end)
        return false;
    *ret = sign < 0 ? -value : value;
    return true;
}
