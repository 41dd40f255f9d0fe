/*
 * JSON tokens: strings, numbers, words.
 *
 * What real clients get wrong is repaired without changing what they meant, quirk by quirk (see
 * quirk.h): control bytes in strings stay what they are, bytes that are not UTF-8 become U+FFFD, a
 * bare inf or nan is the number. Where the quirk is not taken, it is no JSON.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "schema/json_reader.h"
#include "schema/json_scan.h"
#include "schema/utf8.h"

int jbi_json_fail(struct jbi_json *r, int code, const char *at, const char *format, ...)
{
    char what[96];
    char path[80];
    va_list args;
    size_t n;

    if (r->err == NULL)
        return code;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    n = r->sink->n_frames > 0 ? jbi_sink_path(r->sink, path, sizeof path) : 0;
    jb_error_init(r->err);
    r->err->code = code;
    r->err->offset = (uint64_t)(at - r->begin);
    if (r->element >= 0)
        snprintf(r->err->msg, sizeof r->err->msg, "events[%lld]%s%s: %s", (long long)r->element,
                 n != 0 ? "." : "", n != 0 ? path : "", what);
    else
        snprintf(r->err->msg, sizeof r->err->msg, "%s%s%s", n != 0 ? path : "", n != 0 ? ": " : "",
                 what);
    /* A message cut off in the middle of a character is no UTF-8. */
    r->err->msg[jbi_utf8_prefix(r->err->msg, strlen(r->err->msg))] = '\0';
    return code;
}

const char *jbi_json_here(const struct jbi_json *r, char buf[16])
{
    unsigned char c;

    if (r->pos == r->end)
        return "the end";
    c = (unsigned char)*r->pos;
    snprintf(buf, 16, c > 0x20 && c < 0x7f ? "'%c'" : "byte 0x%02x", c);
    return buf;
}

void jbi_json_space_long(struct jbi_json *r)
{
    while (r->pos != r->end &&
           (*r->pos == ' ' || *r->pos == '\n' || *r->pos == '\r' || *r->pos == '\t'))
        r->pos++;
}

void jbi_json_fini(struct jbi_json *r)
{
    if (r->scratch != NULL)
        r->alloc->free(r->scratch, r->scratch_bytes, r->alloc->ctx);
    r->scratch = NULL;
    r->scratch_bytes = 0;
}

static int scratch_room(struct jbi_json *r, size_t n_bytes)
{
    size_t cap = r->scratch_bytes < 256 ? 256 : r->scratch_bytes;
    char *p;

    while (cap < n_bytes)
        cap *= 2;
    if (cap == r->scratch_bytes)
        return 0;
    p = r->alloc->realloc(r->scratch, r->scratch_bytes, cap, r->alloc->ctx);
    if (p == NULL)
        return jbi_json_fail(r, JB_ENOMEM, r->pos, "no memory for a string");
    r->scratch = p;
    r->scratch_bytes = cap;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hex digits at p, or -1. */
static int32_t hex4(const struct jbi_json *r, const char *p)
{
    int32_t value = 0;

    if (r->end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(p[i]);

        if (d < 0)
            return -1;
        value = value << 4 | d;
    }
    return value;
}

/* \uXXXX and surrogate pairs; pos is after the `u`. */
static int unescape_unicode(struct jbi_json *r, uint32_t *ret)
{
    int32_t high = hex4(r, r->pos), low;

    if (high < 0)
        return jbi_json_fail(r, JB_EPARSE, r->pos, "expected four hex digits after \\u");
    r->pos += 4;
    *ret = (uint32_t)high;
    if (high < 0xD800 || high > 0xDFFF)
        return 0;
    if (high < 0xDC00 && r->end - r->pos >= 6 && r->pos[0] == '\\' && r->pos[1] == 'u') {
        low = hex4(r, r->pos + 2);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            r->pos += 6;
            *ret = 0x10000 + (((uint32_t)high - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
            return 0;
        }
    }
    if (!jbi_quirk(&r->sink->quirks, JB_QUIRK_HALF_SURROGATES))
        return jbi_json_fail(r, JB_EPARSE, r->pos - 6, "half a surrogate pair");
    *ret = 0xFFFD;
    return 0;
}

/* One escape; pos is after the backslash. */
static int unescape(struct jbi_json *r, char *to, size_t *ret_bytes)
{
    static const char from[] = "\"\\/bfnrt";
    static const char as[] = "\"\\/\b\f\n\r\t";
    const char *at;
    uint32_t code_point = 0;
    int rc;

    *ret_bytes = 1;
    if (r->pos == r->end)
        return jbi_json_fail(r, JB_EPARSE, r->pos, "a string has no end");
    if (*r->pos == 'u') {
        r->pos++;
        rc = unescape_unicode(r, &code_point);
        if (rc == 0)
            *ret_bytes = jbi_utf8_put(code_point, to);
        return rc;
    }
    at = *r->pos != '\0' ? strchr(from, *r->pos) : NULL;
    if (at == NULL)
        return jbi_json_fail(r, JB_EPARSE, r->pos - 1, "no such escape in a string");
    r->pos++;
    *to = as[at - from];
    return 0;
}

/* Copy a run that has neither escapes nor quotes, making it valid UTF-8; returns bytes written. */
static int copy_run(struct jbi_json *r, const char *run, size_t len_bytes, char *to,
                    size_t *ret_bytes)
{
    size_t n = 0;

    while (len_bytes != 0) {
        size_t good = jbi_utf8_prefix(run, len_bytes);

        memcpy(to + n, run, good);
        n += good;
        run += good;
        len_bytes -= good;
        if (len_bytes == 0)
            break;
        if (!jbi_quirk(&r->sink->quirks, JB_QUIRK_BAD_UTF8))
            return jbi_json_fail(r, JB_EPARSE, run, "a string is not UTF-8");
        good = jbi_utf8_bad_bytes(run, len_bytes);
        run += good;
        len_bytes -= good;
        memcpy(to + n, "\xEF\xBF\xBD", 3);
        n += 3;
    }
    *ret_bytes = n;
    return 0;
}

int jbi_json_repair(struct jbi_json *r, const char *text, size_t len_bytes, struct jbi_text *ret)
{
    size_t n = 0;
    int rc = scratch_room(r, 3 * len_bytes);

    if (rc == 0)
        rc = copy_run(r, text, len_bytes, r->scratch, &n);
    *ret = (struct jbi_text){r->scratch, n};
    return rc;
}

/* Step over the bytes of a string until a quote or backslash; whether any is not ASCII. */
static int string_run(struct jbi_json *r, bool *ret_is_wide)
{
    struct jbi_quirks *quirks = &r->sink->quirks;
    const char *p = jbi_scan_plain(r->pos, r->end);

    for (; p != r->end && *p != '"' && *p != '\\'; p = jbi_scan_plain(p + 1, r->end)) {
        if ((signed char)*p < 0) {
            *ret_is_wide = true;
            continue;
        }
        if (!jbi_quirk(quirks, JB_QUIRK_CONTROL_BYTES))
            return jbi_json_fail(r, JB_EPARSE, p, "a control byte in a string");
    }
    r->pos = p;
    return p != r->end ? 0 : jbi_json_fail(r, JB_EPARSE, p, "a string has no end");
}

/* A string whose text differs from its spelling: build it in scratch. pos is at its first byte. */
static int string_built(struct jbi_json *r, struct jbi_text *ret)
{
    size_t n = 0, more;
    bool is_wide = false;

    for (;;) {
        const char *run = r->pos;
        int rc = string_run(r, &is_wide);

        /* A bad byte grows to three, an escape takes at most four. */
        if (rc == 0)
            rc = scratch_room(r, n + 3 * (size_t)(r->pos - run) + 8);
        if (rc == 0)
            rc = copy_run(r, run, (size_t)(r->pos - run), r->scratch + n, &more);
        if (rc < 0)
            return rc;
        n += more;
        if (*r->pos++ == '"')
            break;
        rc = unescape(r, r->scratch + n, &more);
        if (rc < 0)
            return rc;
        n += more;
    }
    *ret = (struct jbi_text){r->scratch, n};
    return 0;
}

int jbi_json_string_long(struct jbi_json *r, struct jbi_text *ret)
{
    const char *begin = ++r->pos;
    struct jbi_quirks before = r->sink->quirks;
    bool is_wide = false;
    int rc = string_run(r, &is_wide);

    if (rc < 0)
        return rc;
    if (*r->pos == '"' && (!is_wide || jbi_utf8_valid(begin, (size_t)(r->pos - begin)))) {
        *ret = (struct jbi_text){begin, (size_t)(r->pos - begin)};
        r->pos++;
        return 0;
    }
    r->pos = begin;
    r->sink->quirks = before; /* they are met once more */
    return string_built(r, ret);
}

static bool word_at(struct jbi_json *r, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(r->end - r->pos) < n || memcmp(r->pos, word, n) != 0)
        return false;
    r->pos += n;
    return true;
}

/* inf, -inf, nan: what Lua's tostring() makes of numbers that JSON does not have. */
static int nonfinite(struct jbi_json *r, struct jbi_token *ret)
{
    static const char *const infinite[] = {"Infinity", "infinity", "inf", "Inf", "INF"};
    static const char *const nan[] = {"NaN", "nan", "NAN"};
    const char *begin = r->pos;
    double sign = *r->pos == '-' ? -1 : 1;
    bool is_taken = jbi_quirk(&r->sink->quirks, JB_QUIRK_NON_FINITE);
    char here[16];

    if (*r->pos == '-')
        r->pos++;
    *ret = (struct jbi_token){.type = JBI_TOKEN_NONFINITE};
    for (size_t i = 0; is_taken && i < sizeof infinite / sizeof infinite[0]; i++) {
        if (word_at(r, infinite[i])) {
            ret->number.value = sign * INFINITY;
            return 0;
        }
    }
    for (size_t i = 0; is_taken && i < sizeof nan / sizeof nan[0]; i++) {
        if (word_at(r, nan[i])) {
            ret->number.value = NAN;
            return 0;
        }
    }
    r->pos = begin;
    return jbi_json_fail(r, JB_EPARSE, begin, "expected a value, found %s", jbi_json_here(r, here));
}

int jbi_json_scalar(struct jbi_json *r, struct jbi_token *ret)
{
    struct jbi_text text;
    size_t n;
    int rc;

    ret->text = NULL;
    if (r->pos == r->end)
        return jbi_json_fail(r, JB_EPARSE, r->pos, "expected a value, found the end");
    if (*r->pos == '"') {
        rc = jbi_json_string(r, &text);
        if (rc < 0)
            return rc;
        ret->type = JBI_TOKEN_STRING;
        ret->text = text.data;
        ret->text_bytes = text.len_bytes;
        return 0;
    }
    n = jbi_number_parse(r->pos, (size_t)(r->end - r->pos), &ret->number);
    if (n != 0) {
        ret->type = JBI_TOKEN_NUMBER;
        ret->text = r->pos;
        ret->text_bytes = n;
        r->pos += n;
        return 0;
    }
    if ((*r->pos >= '0' && *r->pos <= '9') ||
        (*r->pos == '-' && r->end - r->pos > 1 && r->pos[1] >= '0' && r->pos[1] <= '9'))
        return jbi_json_fail(r, JB_EPARSE, r->pos, "a number is malformed");
    ret->is_true = *r->pos == 't';
    ret->type = *r->pos == 'n' ? JBI_TOKEN_NULL : JBI_TOKEN_BOOL;
    if (word_at(r, "true") || word_at(r, "false") || word_at(r, "null"))
        return 0;
    return nonfinite(r, ret);
}
