/*
 * answer.c: the headers in which a service says what is left of its limits.
 *
 * They come from outside: nothing is read past the bytes given, numbers stop at the end of their
 * range instead of wrapping, and a value that is not wholly what its header wants changes nothing.
 */
#include "jimbot/rate.h"

#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

/* What is left to read. */
struct text {
    const char *at;
    size_t n;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Step over a word, in any case; false: it is not there. */
static bool skip(struct text *text, const char *word)
{
    size_t n = strlen(word);

    if (text->n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (lower(text->at[i]) != lower(word[i]))
            return false;
    }
    text->at += n;
    text->n -= n;
    return true;
}

/* The word and nothing else. */
static bool is(struct text text, const char *word)
{
    return skip(&text, word) && text.n == 0;
}

static bool is_digit(const struct text *text)
{
    return text->n != 0 && *text->at >= '0' && *text->at <= '9';
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;

    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static bool number(struct text *text, uint64_t *ret_number)
{
    uint64_t n = 0;

    if (!is_digit(text))
        return false;
    for (; is_digit(text); text->at++, text->n--)
        n = plus(times(n, 10), (uint64_t)(*text->at - '0'));
    *ret_number = n;
    return true;
}

/* So many digits, not more. */
static bool digits(struct text *text, unsigned n_digits, uint64_t *ret_number)
{
    struct text part = {text->at, n_digits};

    if (text->n < n_digits || !number(&part, ret_number) || part.n != 0)
        return false;
    text->at += n_digits;
    text->n -= n_digits;
    return true;
}

/* A point and digits, or nothing; in nanoseconds, the rest rounded up. */
static bool fraction(struct text *text, uint64_t *ret_ns)
{
    uint64_t unit = SECOND_NS / 10, ns = 0;
    bool has_rest = false;

    *ret_ns = 0;
    if (!skip(text, "."))
        return true;
    if (!is_digit(text))
        return false;
    for (; is_digit(text); text->at++, text->n--, unit /= 10) {
        ns += (uint64_t)(*text->at - '0') * unit;
        has_rest |= unit == 0 && *text->at != '0';
    }
    *ret_ns = ns + has_rest;
    return true;
}

/* A date and a time of day. */
struct moment {
    uint64_t year, month, day, hour, minute, second, ns;
};

static bool is_real(const struct moment *m)
{
    static const unsigned char days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return m->year >= 1970 && m->month >= 1 && m->month <= 12 && m->day >= 1 &&
           m->day <= days[m->month - 1] && m->hour < 24 && m->minute < 60 && m->second <= 60;
}

static uint64_t to_utc_ns(const struct moment *m)
{
    /* Years begin in March, so that the day that is sometimes missing is a year's last. */
    uint64_t year = m->month > 2 ? m->year : m->year - 1;
    uint64_t month = m->month > 2 ? m->month - 3 : m->month + 9;
    uint64_t day = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 +
                   m->day - 1 - 719468;
    uint64_t seconds = ((day * 24 + m->hour) * 60 + m->minute) * 60 + m->second;

    return plus(times(seconds, SECOND_NS), m->ns);
}

static bool time_of_day(struct text *text, struct moment *m)
{
    return digits(text, 2, &m->hour) && skip(text, ":") && digits(text, 2, &m->minute) &&
           skip(text, ":") && digits(text, 2, &m->second);
}

/* What has to be added to a local time to make it UTC may be less than nothing: `ret_minus`. */
static bool offset(struct text *text, uint64_t *ret_plus, uint64_t *ret_minus)
{
    uint64_t hours, minutes;
    bool is_ahead;

    *ret_plus = *ret_minus = 0;
    if (skip(text, "z"))
        return true;
    is_ahead = skip(text, "+");
    if (!is_ahead && !skip(text, "-"))
        return false;
    if (!digits(text, 2, &hours) || !skip(text, ":") || !digits(text, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *(is_ahead ? ret_minus : ret_plus) = (hours * 60 + minutes) * 60 * SECOND_NS;
    return true;
}

/* 2026-01-31T12:00:00.5+01:00 */
static bool rfc3339(struct text text, uint64_t *ret_utc_ns)
{
    uint64_t later, earlier, utc_ns;
    struct moment m;

    if (!digits(&text, 4, &m.year) || !skip(&text, "-") || !digits(&text, 2, &m.month) ||
        !skip(&text, "-") || !digits(&text, 2, &m.day) ||
        (!skip(&text, "t") && !skip(&text, " ")) || !time_of_day(&text, &m) ||
        !fraction(&text, &m.ns) || !offset(&text, &later, &earlier) || text.n != 0 || !is_real(&m))
        return false;
    utc_ns = plus(to_utc_ns(&m), later);
    *ret_utc_ns = utc_ns > earlier ? utc_ns - earlier : 0;
    return true;
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool http_date(struct text text, uint64_t *ret_utc_ns)
{
    static const char months[][4] = {"jan", "feb", "mar", "apr", "may", "jun",
                                     "jul", "aug", "sep", "oct", "nov", "dec"};
    struct moment m = {.ns = 0};

    if (text.n < 5 || text.at[3] != ',')
        return false;
    text.at += 4;
    text.n -= 4;
    if (!skip(&text, " ") || !digits(&text, 2, &m.day) || !skip(&text, " "))
        return false;
    for (m.month = 1; m.month <= 12 && !skip(&text, months[m.month - 1]); m.month++)
        ;
    if (!skip(&text, " ") || !digits(&text, 4, &m.year) || !skip(&text, " ") ||
        !time_of_day(&text, &m) || !skip(&text, " gmt") || text.n != 0 || !is_real(&m))
        return false;
    *ret_utc_ns = to_utc_ns(&m);
    return true;
}

static uint64_t from_now(uint64_t utc_ns, uint64_t utc_now_ns)
{
    return utc_ns > utc_now_ns ? utc_ns - utc_now_ns : 0;
}

static int read_retry(jb_rate_answer *answer, struct text value, uint64_t utc_now_ns)
{
    uint64_t seconds, ns, utc_ns;

    if (is_digit(&value)) {
        if (!number(&value, &seconds) || !fraction(&value, &ns) || value.n != 0)
            return JB_EPARSE;
        answer->retry_after_ns = plus(times(seconds, SECOND_NS), ns);
    } else {
        if (!http_date(value, &utc_ns))
            return JB_EPARSE;
        answer->retry_after_ns = from_now(utc_ns, utc_now_ns);
    }
    answer->has |= JB_ANSWER_RETRY;
    return 1;
}

static int read_subject(jb_rate_answer *answer, unsigned subject, struct text what,
                        struct text value, uint64_t utc_now_ns)
{
    uint64_t n;

    if (is(what, "reset")) {
        if (!rfc3339(value, &n))
            return JB_EPARSE;
        answer->reset_after_ns[subject] = from_now(n, utc_now_ns);
        answer->has |= (uint32_t)JB_ANSWER_RESET << subject;
        return 1;
    }
    if (is(what, "limit")) {
        if (!number(&value, &n) || value.n != 0)
            return JB_EPARSE;
        answer->limit[subject] = n;
        answer->has |= (uint32_t)JB_ANSWER_LIMIT << subject;
        return 1;
    }
    if (is(what, "remaining")) {
        if (!number(&value, &n) || value.n != 0)
            return JB_EPARSE;
        answer->remaining[subject] = n;
        answer->has |= (uint32_t)JB_ANSWER_REMAINING << subject;
        return 1;
    }
    return 0;
}

static struct text trimmed(const char *at, size_t n)
{
    while (n != 0 && (*at == ' ' || *at == '\t'))
        at++, n--;
    while (n != 0 && (at[n - 1] == ' ' || at[n - 1] == '\t'))
        n--;
    return (struct text){at, n};
}

int jb_rate_answer_read(jb_rate_answer *answer, const char *name, size_t name_bytes,
                        const char *value, size_t value_bytes, uint64_t utc_now_ns)
{
    static const char *const subjects[] = {
        [JB_RATE_REQUESTS] = "requests-",
        [JB_RATE_TOKENS] = "tokens-",
        [JB_RATE_INPUT_TOKENS] = "input-tokens-",
        [JB_RATE_OUTPUT_TOKENS] = "output-tokens-",
    };
    struct text left = {name, name_bytes}, content;

    if (!answer || (!name && name_bytes != 0) || (!value && value_bytes != 0))
        return JB_EINVAL;
    content = trimmed(value, value_bytes);
    if (is(left, "retry-after"))
        return read_retry(answer, content, utc_now_ns);
    if (!skip(&left, "anthropic-ratelimit-"))
        return 0;
    for (unsigned i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        if (skip(&left, subjects[i]))
            return read_subject(answer, i, left, content, utc_now_ns);
    }
    return 0;
}
