/*
 * See json_write.h. Strings are copied in runs: eight bytes at a time are looked at for the three
 * kinds that need care (control bytes, quote and backslash, bytes beyond ASCII). Invariant: what
 * comes out is valid JSON in valid UTF-8, or the call says false.
 */
#include "schema/json_write.h"

#include "schema/json_valid.h"
#include "schema/number.h"
#include "schema/utf8.h"

/* Whether a byte may stand in a JSON string as it is. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Whether any of eight bytes is not plain; may say so of a plain byte above one that is not. */
static bool word_needs_care(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t quote = word ^ (ones * '"');
    uint64_t backslash = word ^ (ones * '\\');

    /* x - ones sets the high bit of a zero byte of x; word - 0x20… that of a control byte. */
    return ((word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & high) != 0;
}

/* How many bytes from pos can be copied as they are. */
static size_t plain_run(const char *pos, size_t left)
{
    size_t n = 0;
    uint64_t word;

    for (; left - n >= 8; n += 8) {
        memcpy(&word, pos + n, 8);
        if (word_needs_care(word))
            break;
    }
    while (n < left && is_plain((unsigned char)pos[n]))
        n++;
    return n;
}

/* A byte that JSON does not let stand. */
static void put_escape(jbi_json_out *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[] = "btn\0fr"; /* of 8 .. 13 */
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    if (c == '"' || c == '\\')
        text[1] = (char)c;
    else if (c >= 8 && c <= 13 && shorts[c - 8] != '\0')
        text[1] = shorts[c - 8];
    jbi_json_put(out, text, text[1] == 'u' ? 6 : 2);
}

/* Length of the run of valid bytes beyond ASCII that pos begins with. */
static size_t foreign_run(const char *pos, size_t left)
{
    size_t n = 1;

    while (n < left && ((unsigned char)pos[n] & 0x80) != 0)
        n++;
    return jbi_utf8_valid(pos, n) ? n : 0;
}

bool jbi_json_put_string(jbi_json_out *out, const char *text, size_t len_bytes)
{
    size_t i = 0;

    jbi_json_put_char(out, '"');
    while (i < len_bytes) {
        size_t n = plain_run(text + i, len_bytes - i);

        if (n == 0 && ((unsigned char)text[i] & 0x80) != 0) {
            n = foreign_run(text + i, len_bytes - i);
            if (n == 0)
                return false;
        }
        if (n != 0)
            jbi_json_put(out, text + i, n);
        else
            put_escape(out, (unsigned char)text[i++]);
        i += n;
    }
    jbi_json_put_char(out, '"');
    return true;
}

/* The text of a number, or of one that is not finite, is short. */
static void put_short(jbi_json_out *out, const char *text, size_t len_bytes)
{
    if (jbi_json_has_room(out, len_bytes))
        jbi_short_copy(out->buf + out->len_bytes, text, len_bytes);
    out->len_bytes += len_bytes;
}

void jbi_json_put_int(jbi_json_out *out, int64_t value)
{
    char text[JBI_NUMBER_MAX_BYTES];

    put_short(out, text, jbi_number_print_int(value, text));
}

void jbi_json_put_double(jbi_json_out *out, double value)
{
    char text[JBI_NUMBER_MAX_BYTES];
    size_t n = jbi_number_print_double(value, text);
    bool finite = value - value == 0;

    if (!finite)
        jbi_json_put_char(out, '"');
    put_short(out, text, n);
    if (!finite)
        jbi_json_put_char(out, '"');
}

/* Copy a valid JSON text without the white space between its tokens. */
static void put_minified(jbi_json_out *out, const char *text, size_t len_bytes)
{
    bool in_string = false;

    for (size_t i = 0; i < len_bytes; i++) {
        char c = text[i];

        if (!in_string && (c == ' ' || c == '\n' || c == '\t' || c == '\r'))
            continue;
        jbi_json_put_char(out, c);
        if (c == '"')
            in_string = !in_string;
        else if (c == '\\') /* in a string; what follows cannot end it */
            jbi_json_put_char(out, text[++i]);
    }
}

bool jbi_json_put_value(jbi_json_out *out, const char *text, size_t len_bytes)
{
    bool has_space;

    if (!jbi_json_valid(text, len_bytes, JBI_EXTRA_DEPTH_MAX, &has_space))
        return jbi_json_put_string(out, text, len_bytes);
    if (has_space)
        put_minified(out, text, len_bytes);
    else
        jbi_json_put(out, text, len_bytes);
    return true;
}
