/*
 * Headers of an answer: any bytes are read, passed over or refused, and what is refused changes
 * nothing. A line is a name, a colon and a value.
 */
#include "jimbot/rate.h"
#include "target.h"

#include <string.h>

static void read_line(jb_rate_answer *answer, const char *line, size_t n)
{
    const char *colon = n ? memchr(line, ':', n) : NULL;
    size_t name_bytes = colon ? (size_t)(colon - line) : n;
    size_t value_at = colon ? name_bytes + 1 : n;
    jb_rate_answer before = *answer;
    int rc = jb_rate_answer_read(answer, line, name_bytes, line + value_at, n - value_at,
                                 UINT64_C(1767225600000000000));

    if (rc != 1 && rc != 0 && rc != JB_EPARSE)
        abort();
    if (rc != 1 && memcmp(answer, &before, sizeof before) != 0)
        abort();
    if (rc == 1 && (answer->has & before.has) != before.has)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    jb_rate_answer answer = {.has = 0};

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;

        read_line(&answer, at, (size_t)(line_end - at));
        at = newline ? newline + 1 : end;
    }
    if (answer._reserved != 0 || answer.has >= 2 * JB_ANSWER_RETRY)
        abort();
    return 0;
}
