/*
 * query: see query.h.
 */
#include "host/http/query.h"

void jbi_query_begin(jbi_query *q, const char *text, size_t n, char *room)
{
    *q = (jbi_query){.pos = n ? text : "", .room = room};
    q->end = q->pos + n;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode up to one of the stops, or the end. */
static bool decode(jbi_query *q, char stop, jbi_slice *ret)
{
    char *to = q->room;

    for (; q->pos != q->end && *q->pos != stop && *q->pos != '&'; q->pos++) {
        int high = 0, low = 0;

        if (*q->pos != '%') {
            *to++ = *q->pos == '+' ? ' ' : *q->pos;
            continue;
        }
        if (q->end - q->pos < 3 || (high = hex(q->pos[1])) < 0 || (low = hex(q->pos[2])) < 0)
            return false;
        *to++ = (char)(high << 4 | low);
        q->pos += 2;
    }
    *ret = (jbi_slice){q->room, (size_t)(to - q->room)};
    q->room = to;
    return true;
}

int jbi_query_next(jbi_query *q, jbi_slice *ret_name, jbi_slice *ret_value)
{
    while (q->pos != q->end && *q->pos == '&')
        q->pos++;
    if (q->pos == q->end)
        return 0;
    if (!decode(q, '=', ret_name))
        return -1;
    *ret_value = (jbi_slice){"", 0};
    if (q->pos == q->end || *q->pos == '&')
        return 1;
    q->pos++;
    return decode(q, '&', ret_value) ? 1 : -1;
}
