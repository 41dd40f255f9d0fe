/*
 * pattern.c: see pattern.h.
 */
#include "topic/pattern.h"

#include "jimbot/event.h"

#include <string.h>

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == ':';
}

static size_t token_bytes(const char *text, size_t len_bytes)
{
    const char *dot = memchr(text, '.', len_bytes);

    return dot ? (size_t)(dot - text) : len_bytes;
}

static bool is_plain_token(const char *token, size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++) {
        if (!is_token_char(token[i]))
            return false;
    }
    return len_bytes > 0;
}

static bool is_legal(const char *text, size_t len_bytes, bool may_have_wildcards)
{
    if (len_bytes == 0 || len_bytes > JB_TOPIC_MAX_BYTES)
        return false;
    for (;;) {
        size_t token = token_bytes(text, len_bytes);
        bool is_last = token == len_bytes;
        bool is_wildcard = token == 1 && (text[0] == '*' || (text[0] == '>' && is_last));

        if (!is_plain_token(text, token) && !(may_have_wildcards && is_wildcard))
            return false;
        if (is_last)
            return true;
        text += token + 1;
        len_bytes -= token + 1;
    }
}

bool jbi_topic_is_name(const char *text, size_t len_bytes)
{
    return is_legal(text, len_bytes, false);
}

bool jbi_topic_is_pattern(const char *text, size_t len_bytes)
{
    return is_legal(text, len_bytes, true);
}

bool jbi_topic_matches(const char *pattern, size_t pattern_bytes, const char *name,
                       size_t name_bytes)
{
    for (;;) {
        size_t want = token_bytes(pattern, pattern_bytes);
        size_t have = token_bytes(name, name_bytes);
        bool is_any = want == 1 && pattern[0] == '*';

        if (want == 1 && pattern[0] == '>')
            return true;
        if (!is_any && (want != have || memcmp(pattern, name, want) != 0))
            return false;
        if (want == pattern_bytes || have == name_bytes)
            return want == pattern_bytes && have == name_bytes;
        pattern += want + 1;
        pattern_bytes -= want + 1;
        name += have + 1;
        name_bytes -= have + 1;
    }
}
