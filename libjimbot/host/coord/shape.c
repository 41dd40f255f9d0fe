/*
 * shape: see shape.h.
 */
#include "host/coord/shape.h"

#include "host/text/msgfield.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { NESTED_MAX = 8 };

static const char *refuse(char problem[128], const char *name, const char *what)
{
    snprintf(problem, 128, "%.60s %.60s", name, what);
    return problem;
}

const char *jbi_shape_word(const jbi_shape_words *w, uint64_t value)
{
    return value < w->n ? w->words[value] : "";
}

/* --- from JSON */

/* Digits and nothing else. */
static bool read_digits(const char *text, uint64_t *ret)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

static bool read_number(const json_t *value, uint64_t most, uint64_t *ret)
{
    if (json_is_string(value)) {
        if (strlen(json_string_value(value)) != json_string_length(value) ||
            !read_digits(json_string_value(value), ret))
            return false;
    } else if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret = (uint64_t)json_integer_value(value);
    } else {
        return false;
    }
    return *ret <= most;
}

/* "LEASE_CLASS_HIGH", "HIGH", "high" or 3. */
static bool read_enum(const jbi_shape_words *w, const json_t *value, uint64_t *ret)
{
    const char *text = json_string_value(value);

    if (!text)
        return read_number(value, INT32_MAX, ret);
    if (!strncmp(text, w->prefix, strlen(w->prefix)))
        text += strlen(w->prefix);
    for (uint32_t i = 0; i < w->n; i++) {
        if (!strcasecmp(text, w->words[i])) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static const char *read_message(const jbi_shape *shape, const json_t *object, jbi_htext *out,
                                char problem[128], int depth);

static const char *read_one(const jbi_shape_field *f, const json_t *value, jbi_htext *out,
                            char problem[128], int depth)
{
    uint64_t number = 0;
    size_t mark;

    switch (f->type) {
    case JBI_SHAPE_TEXT:
        if (!json_is_string(value))
            return refuse(problem, f->name, "is a string");
        jbi_msg_put_bytes(out, f->number,
                          (jbi_slice){json_string_value(value), json_string_length(value)});
        return NULL;
    case JBI_SHAPE_MESSAGE:
        if (!json_is_object(value) || depth == NESTED_MAX)
            return refuse(problem, f->name, "is an object");
        mark = jbi_msg_open(out, f->number);
        if (read_message(f->message, value, out, problem, depth + 1))
            return problem;
        jbi_msg_close(out, mark);
        return NULL;
    case JBI_SHAPE_BOOL:
        if (!json_is_boolean(value))
            return refuse(problem, f->name, "is true or false");
        number = json_is_true(value);
        break;
    case JBI_SHAPE_ENUM:
        if (!read_enum(f->words, value, &number))
            return refuse(problem, f->name, "has no such value");
        break;
    default:
        if (!read_number(value, f->type == JBI_SHAPE_NUMBER ? UINT32_MAX : UINT64_MAX, &number))
            return refuse(problem, f->name, "is a whole number, not negative");
        break;
    }
    jbi_msg_put_value(out, f->number, number);
    return NULL;
}

static const char *read_field(const jbi_shape_field *f, const json_t *value, jbi_htext *out,
                              char problem[128], int depth)
{
    const char *wrong = NULL;

    if (json_is_null(value))
        return NULL;
    if (!f->is_list)
        return read_one(f, value, out, problem, depth);
    if (!json_is_array(value))
        return refuse(problem, f->name, "is a list");
    for (size_t i = 0; i < json_array_size(value) && !wrong; i++)
        wrong = read_one(f, json_array_get(value, i), out, problem, depth);
    return wrong;
}

static const jbi_shape_field *find(const jbi_shape *shape, const char *name)
{
    for (uint32_t i = 0; i < shape->n; i++) {
        if (!strcmp(shape->fields[i].name, name))
            return &shape->fields[i];
    }
    return NULL;
}

static const char *read_message(const jbi_shape *shape, const json_t *object, jbi_htext *out,
                                char problem[128], int depth)
{
    const char *wrong = NULL;
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const jbi_shape_field *f = find(shape, key);

        wrong = f ? read_field(f, value, out, problem, depth)
                  : refuse(problem, key, "is no field of this request");
        if (wrong)
            break;
    }
    return wrong;
}

const char *jbi_shape_read(const jbi_shape *shape, const json_t *object, jbi_htext *out,
                           char problem[128])
{
    if (!json_is_object(object))
        return refuse(problem, "the body", "is a JSON object");
    return read_message(shape, object, out, problem, 0);
}

const char *jbi_shape_read_text(const jbi_shape_field *f, const char *text, jbi_htext *out,
                                char problem[128])
{
    json_t *value = json_string(text);
    const char *wrong =
        value ? read_one(f, value, out, problem, 0) : refuse(problem, f->name, "is UTF-8");

    json_decref(value);
    return wrong;
}

/* --- to JSON */

static void write_value(const jbi_shape_field *f, const jbi_msg_field *m, jbi_htext *json)
{
    if (f->type == JBI_SHAPE_MESSAGE) {
        jbi_shape_write(f->message, m->bytes, json);
    } else if (f->type == JBI_SHAPE_TEXT) {
        jbi_htext_json(json, m->bytes.data ? m->bytes.data : "", m->bytes.len);
    } else if (f->type == JBI_SHAPE_BOOL) {
        jbi_htext_str(json, m->value ? "true" : "false");
    } else if (f->type == JBI_SHAPE_ENUM && m->value < f->words->n) {
        jbi_htext_printf(json, "\"%s%s\"", f->words->prefix, f->words->words[m->value]);
    } else if (f->type == JBI_SHAPE_LONG) {
        jbi_htext_printf(json, "\"%llu\"", (unsigned long long)m->value);
    } else {
        jbi_htext_u64(json, m->value);
    }
}

static bool is_of(const jbi_shape_field *f, const jbi_msg_field *m)
{
    return f->type == JBI_SHAPE_TEXT || f->type == JBI_SHAPE_MESSAGE
               ? jbi_msg_is_bytes(m, f->number)
               : jbi_msg_is_value(m, f->number);
}

/* Every one of a list; of another field, the last. */
static void write_field(const jbi_shape_field *f, jbi_slice message, jbi_htext *json,
                        bool *is_first)
{
    jbi_wire in = jbi_wire_of(message.data, message.len);
    jbi_msg_field last = {.number = 0};
    jbi_msg_field m;
    uint32_t n = 0;

    while (jbi_msg_next(&in, &m) > 0) {
        if (!is_of(f, &m))
            continue;
        last = m;
        if (n++ == 0) {
            jbi_htext_str(json, *is_first ? "\"" : ",\"");
            jbi_htext_str(json, f->name);
            jbi_htext_str(json, f->is_list ? "\":[" : "\":");
            *is_first = false;
        } else if (f->is_list) {
            jbi_htext_str(json, ",");
        }
        if (f->is_list)
            write_value(f, &m, json);
    }
    if (n && f->is_list)
        jbi_htext_str(json, "]");
    else if (n)
        write_value(f, &last, json);
}

void jbi_shape_write(const jbi_shape *shape, jbi_slice message, jbi_htext *json)
{
    bool is_first = true;

    jbi_htext_str(json, "{");
    for (uint32_t i = 0; i < shape->n; i++)
        write_field(&shape->fields[i], message, json, &is_first);
    jbi_htext_str(json, "}");
}
