/*
 * JSON text inside an event: Extras, fields that hold JSON, custom payloads.
 *
 * Invariant: what stands between the length bytes is valid minified JSON in valid UTF-8 once
 * jbi_sink_raw_done() has run, whatever dialect of JSON it came from.
 */
#include <assert.h>

#include "schema/big_number.h"
#include "schema/sink_parts.h"
#include "schema/wire.h"

enum { TAG_EXTRA = 15 << 3 | JBI_WIRE_BYTES, TAG_KEY = 1 << 3 | JBI_WIRE_BYTES };
enum { TAG_INDEX = 2 << 3 | JBI_WIRE_VARINT, TAG_JSON = 3 << 3 | JBI_WIRE_BYTES };
enum { TAG_GROUP = 4 << 3 | JBI_WIRE_BYTES };

int jbi_sink_put_text(struct jbi_sink *s, const char *text, size_t len_bytes)
{
    int rc = jbi_sink_room(s, len_bytes + JBI_WIRE_TAG_MAX_BYTES);

    if (rc < 0)
        return rc;
    s->len = (size_t)(jbi_wire_put_bytes(s->out + s->len, text, len_bytes) - s->out);
    return 0;
}

int jbi_sink_length_open(struct jbi_sink *s, uint32_t *ret_start)
{
    static const uint8_t zero;
    int rc = jbi_sink_put(s, &zero, 1);

    *ret_start = (uint32_t)s->len;
    return rc;
}

int jbi_sink_length_close(struct jbi_sink *s, uint32_t start)
{
    size_t n = s->len - start, more;
    int rc;

    if (n < 0x80) {
        s->out[start - 1] = (uint8_t)n;
        return 0;
    }
    more = jbi_wire_varint_bytes(n) - 1;
    rc = jbi_sink_room(s, more);
    if (rc < 0)
        return rc;
    memmove(s->out + start + more, s->out + start, n);
    s->len += more;
    jbi_wire_put_varint(s->out + start - 1, n);
    return 0;
}

int jbi_sink_raw_open(struct jbi_sink *s, const void *tag, size_t tag_bytes, uint32_t outer)
{
    int rc = jbi_sink_put(s, tag, tag_bytes);

    if (rc == 0)
        rc = jbi_sink_length_open(s, &s->raw_start);
    s->in_raw = true;
    s->raw_is_list_field = false;
    s->raw_group = NULL;
    s->raw_number = NULL;
    s->raw_frames = s->n_frames;
    s->raw_outer = outer;
    return rc;
}

/* The message, or the group of it, that an Extra about the innermost container belongs to. */
static const struct jbi_message *holder(struct jbi_sink *s)
{
    const struct jbi_frame *top = jbi_sink_top(s);

    return top->kind == JBI_FRAME_MESSAGE ? top->message : top[-1].message;
}

int jbi_sink_extra_open(struct jbi_sink *s, const char *key, size_t key_bytes, int64_t index)
{
    static const uint8_t tag = TAG_EXTRA, key_tag = TAG_KEY, json_tag = TAG_JSON;
    const struct jbi_message *message = holder(s);
    uint32_t outer = 0;
    int rc;

    if (jbi_field_by_number(message, JBI_NUMBER_EXTRAS) == NULL) {
        s->why = "not a member of an Extra";
        return JB_EEVENT;
    }
    rc = jbi_sink_put(s, &tag, 1);

    if (rc == 0)
        rc = jbi_sink_length_open(s, &outer);
    if (rc == 0)
        rc = jbi_sink_put(s, &key_tag, 1);
    if (rc == 0)
        rc = jbi_sink_put_text(s, key, key_bytes);
    if (rc == 0 && index >= 0)
        rc = jbi_sink_room(s, 1 + JBI_WIRE_VARINT_MAX_BYTES);
    if (rc == 0 && index >= 0) {
        s->out[s->len] = TAG_INDEX;
        s->len = (size_t)(jbi_wire_put_varint(s->out + s->len + 1, (uint64_t)index) - s->out);
    }
    if (rc == 0)
        rc = jbi_sink_raw_open(s, &json_tag, 1, outer);
    s->raw_group = message->group != 0 ? message : NULL;
    return rc;
}

/* The name of the group ends an Extra. */
static int put_group(struct jbi_sink *s)
{
    static const uint8_t tag = TAG_GROUP;
    int rc = jbi_sink_put(s, &tag, 1);

    return rc == 0 ? jbi_sink_put_text(s, s->raw_group->name, strlen(s->raw_group->name)) : rc;
}

int jbi_sink_raw_done(struct jbi_sink *s)
{
    const struct jbi_field_info *number = s->raw_number;
    double value = 0;
    int rc;

    if (number != NULL &&
        !jbi_big_number((char *)s->out + s->raw_start, s->len - s->raw_start, &value))
        number = NULL;

    if (s->raw_is_list_field && s->len - s->raw_start == 2 && s->out[s->raw_start] == '{')
        jbi_quirk(&s->quirks, JB_QUIRK_EMPTY_LISTS);
    s->in_raw = s->raw_is_list_field = false;
    rc = jbi_sink_length_close(s, s->raw_start);
    if (rc == 0 && s->raw_group != NULL)
        rc = put_group(s);
    if (rc == 0 && s->raw_outer != 0)
        rc = jbi_sink_length_close(s, s->raw_outer);
    return rc == 0 && number != NULL ? jbi_sink_put_double(s, number, value) : rc;
}

/* The escape of a byte that may not stand in a JSON string; returns its length. */
static size_t escape(unsigned char c, char buf[6])
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    const char *at = c != 0 ? strchr(from, c) : NULL;

    buf[0] = '\\';
    if (at != NULL) {
        buf[1] = to[at - from];
        return 2;
    }
    memcpy(buf + 1, "u00", 3);
    buf[4] = hex[c >> 4];
    buf[5] = hex[c & 15];
    return 6;
}

static int put_string(struct jbi_sink *s, const char *text, size_t len_bytes)
{
    size_t begin = 0;
    char buf[6];
    int rc = jbi_sink_put(s, "\"", 1);

    for (size_t i = 0; i < len_bytes && rc == 0; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        rc = jbi_sink_put(s, text + begin, i - begin);
        if (rc == 0)
            rc = jbi_sink_put(s, buf, escape(c, buf));
        begin = i + 1;
    }
    if (rc == 0)
        rc = jbi_sink_put(s, text + begin, len_bytes - begin);
    return rc == 0 ? jbi_sink_put(s, "\"", 1) : rc;
}

/* What precedes a value: a comma in a list; in an object the key brought its own. */
int jbi_sink_raw_begin_value(struct jbi_sink *s, const char *bracket)
{
    int rc = 0;

    if (s->n_frames > s->raw_frames && jbi_sink_top(s)->kind == JBI_FRAME_RAW_LIST &&
        jbi_sink_top(s)->count++ != 0)
        rc = jbi_sink_put(s, ",", 1);
    if (rc == 0 && bracket != NULL)
        rc = jbi_sink_put(s, bracket, 1);
    s->has_key = false;
    return rc;
}

int jbi_sink_raw_key(struct jbi_sink *s, const char *key, size_t len_bytes)
{
    struct jbi_frame *top = jbi_sink_top(s);
    int rc = top->count++ != 0 ? jbi_sink_put(s, ",", 1) : 0;

    jbi_sink_note_key(s, top, key, len_bytes);

    if (rc == 0)
        rc = put_string(s, key, len_bytes);
    s->has_key = true;
    return rc == 0 ? jbi_sink_put(s, ":", 1) : rc;
}

int jbi_sink_raw_close(struct jbi_sink *s)
{
    int rc = jbi_sink_put(s, jbi_sink_top(s)->kind == JBI_FRAME_RAW_LIST ? "]" : "}", 1);

    s->n_frames--;
    return rc == 0 && s->n_frames == s->raw_frames ? jbi_sink_raw_done(s) : rc;
}

static int put_number(struct jbi_sink *s, const struct jbi_token *token)
{
    char buf[JBI_NUMBER_MAX_BYTES + 2];
    size_t n;

    if (token->text != NULL)
        return jbi_sink_put(s, token->text, token->text_bytes);
    if (token->type == JBI_TOKEN_NONFINITE) {
        n = jbi_number_print_double(token->number.value, buf + 1);
        buf[0] = buf[n + 1] = '"';
        return jbi_sink_put(s, buf, n + 2);
    }
    n = token->number.is_int64 ? jbi_number_print_int(token->number.integer, buf)
                               : jbi_number_print_double(token->number.value, buf);
    return jbi_sink_put(s, buf, n);
}

int jbi_sink_raw_scalar(struct jbi_sink *s, const struct jbi_token *token)
{
    int rc = jbi_sink_raw_begin_value(s, NULL);

    if (rc < 0)
        return rc;
    switch (token->type) {
    case JBI_TOKEN_NULL:
        rc = jbi_sink_put(s, "null", 4);
        break;
    case JBI_TOKEN_BOOL:
        rc = token->is_true ? jbi_sink_put(s, "true", 4) : jbi_sink_put(s, "false", 5);
        break;
    case JBI_TOKEN_STRING:
        rc = put_string(s, token->text, token->text_bytes);
        break;
    default:
        rc = put_number(s, token);
        break;
    }
    return rc == 0 && s->n_frames == s->raw_frames ? jbi_sink_raw_done(s) : rc;
}

int jbi_sink_extra_scalar(struct jbi_sink *s, const char *key, size_t key_bytes, int64_t index,
                          const struct jbi_token *token)
{
    int rc = jbi_sink_extra_open(s, key, key_bytes, index);

    return rc == 0 ? jbi_sink_raw_scalar(s, token) : rc;
}

int jbi_sink_extra_text(struct jbi_sink *s, const char *key, size_t key_bytes, const char *json)
{
    int rc = jbi_sink_extra_open(s, key, key_bytes, -1);

    if (rc == 0)
        rc = jbi_sink_put(s, json, strlen(json));
    return rc == 0 ? jbi_sink_raw_done(s) : rc;
}
