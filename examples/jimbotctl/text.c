/*
 * text.c: untrusted bytes to text that cannot steer a terminal, and figures to short words.
 *
 * Invariant: a byte above 0x7e is copied only as part of valid UTF-8 that the terminal reads as
 * UTF-8 and that stands for a character with a width of its own. So neither C1 controls nor marks
 * that turn the writing direction pass.
 */
#include "text.h"

#include "jimbot/jimbot.h"

#include <langinfo.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

enum { REPLACEMENT = 0xfffd };

/* Length of the UTF-8 sequence at text, 0 when it is none. */
static size_t utf8_next(const unsigned char *text, size_t len_bytes, uint32_t *ret_code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = text[0] < 0x80   ? 1
               : text[0] < 0xc2 ? 0
               : text[0] < 0xe0 ? 2
               : text[0] < 0xf0 ? 3
               : text[0] < 0xf5 ? 4
                                : 0;
    uint32_t code = n == 1 ? text[0] : text[0] & (0x7fu >> n);

    if (n == 0 || n > len_bytes)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    *ret_code = code;
    return n;
}

static bool is_shown(uint32_t code)
{
    if (code < 0x7f)
        return code >= 0x20;
    return !strcmp(nl_langinfo(CODESET), "UTF-8") && wcwidth((wchar_t)code) > 0;
}

clean clean_text(const char *text)
{
    size_t len_bytes = strnlen(text, 144);
    clean c = {{0}};
    char *to = c.text;

    for (size_t i = 0; i < len_bytes;) {
        uint32_t code;
        size_t n = utf8_next((const unsigned char *)text + i, len_bytes - i, &code);

        if (n && is_shown(code) && code != '\\') {
            memcpy(to, text + i, n);
            to += n;
            i += n;
        } else {
            to += text[i] == '\\' ? sprintf(to, "\\\\")
                                  : sprintf(to, "\\x%02x", (unsigned char)text[i]);
            i++;
        }
    }
    return c;
}

void put_clean(FILE *out, const char *text)
{
    size_t len_bytes = strlen(text);

    for (size_t i = 0; i < len_bytes;) {
        uint32_t code;
        size_t n = utf8_next((const unsigned char *)text + i, len_bytes - i, &code);

        if (n && is_shown(code))
            fwrite(text + i, 1, n, out);
        else
            fprintf(out, "\\x%02x", (unsigned char)text[i]);
        i += n && is_shown(code) ? n : 1;
    }
}

/* Steps over one character of a clean text; returns its bytes. */
static size_t clean_next(const char *text, size_t len_bytes, size_t *ret_columns)
{
    uint32_t code;
    size_t n = utf8_next((const unsigned char *)text, len_bytes, &code);
    int columns = n > 1 ? wcwidth((wchar_t)code) : 1;

    *ret_columns = columns > 0 ? (size_t)columns : 0;
    return n ? n : 1;
}

size_t text_clip(const char *text, size_t len_bytes, size_t n_columns)
{
    size_t i = 0;

    while (i < len_bytes) {
        size_t columns;
        size_t n = clean_next(text + i, len_bytes - i, &columns);

        if (columns > n_columns)
            break;
        n_columns -= columns;
        i += n;
    }
    return i;
}

size_t text_width(const char *text)
{
    size_t len_bytes = strlen(text);
    size_t width = 0;

    for (size_t i = 0; i < len_bytes;) {
        size_t columns;

        i += clean_next(text + i, len_bytes - i, &columns);
        width += columns;
    }
    return width;
}

static void put_json_code(FILE *out, uint32_t code)
{
    if (code > 0xffff)
        fprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
    else
        fprintf(out, "\\u%04x", code);
}

const char *policy_name(uint32_t policy, uint32_t flags)
{
    switch (policy) {
    case JB_SUB_LOSSLESS:
        return flags & JB_SUB_HIGH_FIRST ? "high-first" : "lossless";
    case JB_SUB_LATEST:
        return "latest";
    case JB_SUB_CONFLATE:
        return "conflate";
    default: /* of a newer library */
        return "?";
    }
}

/* What stands for a character that is not to be shown. Between the values of a JSON text white
 * space is the only one there can be, and it must stay white space. */
static void put_hidden(FILE *out, uint32_t code, bool is_between)
{
    if (is_between && (code == '\t' || code == '\n' || code == '\r'))
        putc(' ', out);
    else
        put_json_code(out, code);
}

static void put_shown(FILE *out, const char *text, size_t len_bytes, bool is_between)
{
    size_t from = 0;

    for (size_t i = 0; i < len_bytes;) {
        uint32_t code = REPLACEMENT;
        size_t n;

        /* Nearly all of it is this. */
        if (text[i] >= 0x20 && text[i] < 0x7f) {
            i++;
            continue;
        }
        n = utf8_next((const unsigned char *)text + i, len_bytes - i, &code);
        if (!n || !is_shown(code)) {
            fwrite(text + from, 1, i - from, out);
            put_hidden(out, code, is_between);
            from = i + (n ? n : 1);
        }
        i += n ? n : 1;
    }
    fwrite(text + from, 1, len_bytes - from, out);
}

void put_json(FILE *out, const char *text, size_t len_bytes)
{
    put_shown(out, text, len_bytes, true);
}

void put_json_string(FILE *out, const char *text)
{
    putc('"', out);
    while (*text) {
        size_t len_bytes = strcspn(text, "\"\\");

        put_shown(out, text, len_bytes, false);
        text += len_bytes;
        if (*text)
            fprintf(out, "\\%c", *text++);
    }
    putc('"', out);
}

label human_bytes(double n_bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    int unit = 0;
    label l;

    while (n_bytes >= 1023.95 && unit < 6) {
        n_bytes /= 1024;
        unit++;
    }
    snprintf(l.text, sizeof(l.text), unit && n_bytes < 99.95 ? "%.1f %s" : "%.0f %s", n_bytes,
             units[unit]);
    return l;
}

label human_count(double n)
{
    static const char units[] = " kMGTPE";
    int unit = 0;
    label l;

    if (n < 99999.5) {
        snprintf(l.text, sizeof(l.text), "%.0f", n);
        return l;
    }
    while (n >= 999.5 && unit < 6) {
        n /= 1000;
        unit++;
    }
    snprintf(l.text, sizeof(l.text),
             n < 9.995   ? "%.2f%c"
             : n < 99.95 ? "%.1f%c"
                         : "%.0f%c",
             n, units[unit]);
    return l;
}

label human_age(uint64_t ns)
{
    unsigned long long s = ns / UINT64_C(1000000000);
    label l;

    if (s < 60)
        snprintf(l.text, sizeof(l.text), "%llus", s);
    else if (s < 3600)
        snprintf(l.text, sizeof(l.text), "%llum %llus", s / 60, s % 60);
    else if (s < 86400)
        snprintf(l.text, sizeof(l.text), "%lluh %llum", s / 3600, s % 3600 / 60);
    else
        snprintf(l.text, sizeof(l.text), "%llud %lluh", s / 86400, s % 86400 / 3600);
    return l;
}

label human_percent(uint64_t part, uint64_t whole)
{
    double percent = whole ? 100.0 * (double)part / (double)whole : 0;
    label l;

    if (percent > 0 && percent < 0.05)
        snprintf(l.text, sizeof(l.text), "<0.1 %%");
    else
        snprintf(l.text, sizeof(l.text), percent > 0 && percent < 9.95 ? "%.1f %%" : "%.0f %%",
                 percent);
    return l;
}

label clock_time(uint64_t utc_ns)
{
    time_t s = (time_t)(utc_ns / UINT64_C(1000000000));
    struct tm tm = {0};
    label l;

    localtime_r(&s, &tm);
    snprintf(l.text, sizeof(l.text), "%02u:%02u:%02u.%06u", (unsigned)tm.tm_hour % 100,
             (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100,
             (unsigned)(utc_ns % UINT64_C(1000000000) / 1000));
    return l;
}
