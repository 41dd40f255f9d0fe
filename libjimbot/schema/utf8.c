/*
 * UTF-8 by the table of RFC 3629 section 4: the lead byte decides how many bytes follow and between
 * which bounds the first of them lies; the others lie between 0x80 and 0xBF. Invariant: nothing is
 * read at or past text + len_bytes.
 */
#include "schema/utf8.h"

#include <string.h>

/* What must follow a lead byte. */
struct tail {
    uint8_t n;  /* continuation bytes; 0 when this is no lead byte */
    uint8_t lo; /* bounds of the first of them */
    uint8_t hi;
};

static struct tail tail_of(uint8_t lead)
{
    if (lead < 0xc2 || lead > 0xf4)
        return (struct tail){0, 0, 0};
    if (lead < 0xe0)
        return (struct tail){1, 0x80, 0xbf};
    if (lead < 0xf0)
        return (struct tail){2, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf};
    return (struct tail){3, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf};
}

/* How many bytes of the multi-byte sequence at text are as they should be, the lead byte among
 * them; *ret_whole says whether that is all of it. 0 when the first byte cannot lead. */
static size_t sequence(const uint8_t *text, size_t len_bytes, bool *ret_whole)
{
    struct tail tail = tail_of(text[0]);
    size_t i = 1;

    *ret_whole = false;
    if (tail.n == 0)
        return 0;
    for (; i <= tail.n && i < len_bytes; i++) {
        if (text[i] < tail.lo || text[i] > tail.hi)
            return i;
        tail.lo = 0x80;
        tail.hi = 0xbf;
    }
    *ret_whole = i > tail.n;
    return i;
}

size_t jbi_utf8_prefix(const char *text, size_t len_bytes)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t i = 0;

    while (i < len_bytes) {
        uint64_t word;
        bool whole;
        size_t n;

        /* Almost everything is ASCII: eight bytes at a time. */
        while (len_bytes - i >= 8) {
            memcpy(&word, bytes + i, 8);
            if ((word & 0x8080808080808080u) != 0)
                break;
            i += 8;
        }
        if (i == len_bytes)
            break;
        if (bytes[i] < 0x80) {
            i++;
            continue;
        }
        n = sequence(bytes + i, len_bytes - i, &whole);
        if (!whole)
            return i;
        i += n;
    }
    return i;
}

size_t jbi_utf8_bad_bytes(const char *text, size_t len_bytes)
{
    bool whole;
    size_t n = sequence((const uint8_t *)text, len_bytes, &whole);

    return n == 0 ? 1 : n;
}

size_t jbi_utf8_put(uint32_t code_point, char buf[4])
{
    if (code_point < 0x80) {
        buf[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        buf[0] = (char)(0xc0 | code_point >> 6);
        buf[1] = (char)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        buf[0] = (char)(0xe0 | code_point >> 12);
        buf[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
        buf[2] = (char)(0x80 | (code_point & 0x3f));
        return 3;
    }
    buf[0] = (char)(0xf0 | code_point >> 18);
    buf[1] = (char)(0x80 | (code_point >> 12 & 0x3f));
    buf[2] = (char)(0x80 | (code_point >> 6 & 0x3f));
    buf[3] = (char)(0x80 | (code_point & 0x3f));
    return 4;
}
