/*
 * Values of fields as JSON text: scalars, lists, maps.
 *
 * A list may lie in pieces with other fields between them; it is written from its first occurrence
 * to its last, in step with the overrides of its elements. Invariant: one value of JSON is written,
 * or the place of a fault is known.
 */
#include "schema/number.h"
#include "schema/to_json.h"

/* A text that is a number is written as one: ids that arrived as numbers are kept by their text. */
static bool write_id(struct jbi_writer *w, struct jbi_text text)
{
    if (text.len_bytes != 0 && jbi_number_scan(text.data, text.len_bytes) == text.len_bytes) {
        jbi_json_put(&w->out, text.data, text.len_bytes);
        return true;
    }
    return jbi_json_put_string(&w->out, text.data, text.len_bytes);
}

static void write_enum(struct jbi_writer *w, const struct jbi_enum *e, int32_t number)
{
    const struct jbi_enum_spelling *spelling = e->is_number ? NULL : jbi_enum_by_number(e, number);

    if (spelling != NULL) {
        jbi_json_put_char(&w->out, '"');
        jbi_json_put(&w->out, spelling->text, spelling->text_bytes);
        jbi_json_put_char(&w->out, '"');
    } else if (e->number_prefix != NULL && !e->is_number) {
        jbi_json_put_char(&w->out, '"');
        jbi_json_put(&w->out, e->number_prefix, e->number_prefix_bytes);
        jbi_json_put_int(&w->out, number);
        jbi_json_put_char(&w->out, '"');
    } else {
        jbi_json_put_int(&w->out, number);
    }
}

static void write_int(struct jbi_writer *w, const struct jbi_field_info *f, uint64_t value)
{
    bool is_quoted = (f->flags & JBI_FIELD_QUOTED) != 0;

    if (is_quoted)
        jbi_json_put_char(&w->out, '"');
    jbi_json_put_int(&w->out,
                     (f->flags & JBI_FIELD_UINT32) != 0 ? (uint32_t)value : (int64_t)value);
    if (is_quoted)
        jbi_json_put_char(&w->out, '"');
}

static bool write_varint(struct jbi_writer *w, const struct jbi_field_info *f, jbi_wire *in)
{
    uint64_t value;

    if (!jbi_wire_varint(in, &value))
        return false;
    if (f->kind == JBI_KIND_BOOL)
        jbi_json_put(&w->out, value != 0 ? "true" : "false", value != 0 ? 4 : 5);
    else if (f->kind == JBI_KIND_ENUM)
        write_enum(w, f->enumeration, (int32_t)value);
    else
        write_int(w, f, value);
    return true;
}

static bool write_bytes(struct jbi_writer *w, const struct jbi_field_info *f, jbi_wire bytes)
{
    struct jbi_text text = jbi_text_of(bytes);

    if (f->kind == JBI_KIND_MESSAGE)
        return jbi_write_message(w, f->message, bytes);
    if (f->kind == JBI_KIND_JSON)
        return jbi_json_put_value(&w->out, text.data, text.len_bytes);
    if ((f->flags & JBI_FIELD_ID) != 0)
        return write_id(w, text);
    return jbi_json_put_string(&w->out, text.data, text.len_bytes);
}

bool jbi_write_value(struct jbi_writer *w, const struct jbi_field_info *f, jbi_wire *in)
{
    const uint8_t *pos = in->pos;
    jbi_wire bytes;
    double value;
    bool ok;

    switch (f->kind) {
    case JBI_KIND_BOOL:
    case JBI_KIND_INT:
    case JBI_KIND_ENUM:
        ok = write_varint(w, f, in);
        break;
    case JBI_KIND_DOUBLE:
        ok = jbi_wire_double(in, &value);
        if (ok)
            jbi_json_put_double(&w->out, value);
        break;
    default:
        ok = jbi_wire_bytes(in, &bytes) && write_bytes(w, f, bytes);
    }
    /* The innermost failure is the one to name. */
    return ok || (w->fail != NULL ? false : jbi_fail_at(w, pos));
}

bool jbi_write_override(struct jbi_writer *w, const jbi_extra *extra)
{
    if (jbi_json_put_value(&w->out, extra->json.data, extra->json.len_bytes))
        return true;
    return jbi_fail_at(w, (const uint8_t *)extra->json.data);
}

/* What a value of a map is when its entry has none. */
static bool write_default(struct jbi_writer *w, const struct jbi_field_info *f)
{
    static const uint8_t zeros[8];
    jbi_wire in = jbi_wire_of(zeros, f->kind == JBI_KIND_DOUBLE ? 8 : 1);

    return jbi_write_value(w, f, &in);
}

/* Take an entry of a map apart; the value's cursor begins after its tag, `pos` NULL when absent. */
static bool read_entry(jbi_wire in, const struct jbi_field_info *f, struct jbi_text *ret_key,
                       jbi_wire *ret_value)
{
    struct jbi_field_info one = *f;
    uint32_t number, wire;
    jbi_wire bytes;

    one.label = JBI_LABEL_SINGLE;
    *ret_key = (struct jbi_text){"", 0};
    *ret_value = (jbi_wire){NULL, NULL};
    while (!jbi_wire_done(&in)) {
        if (!jbi_wire_tag(&in, &number, &wire))
            return false;
        if (number == 1) {
            if (wire != JBI_WIRE_BYTES || !jbi_wire_bytes(&in, &bytes))
                return false;
            *ret_key = jbi_text_of(bytes);
            continue;
        }
        if (number == 2) {
            if (!jbi_wire_fits(&one, wire))
                return false;
            *ret_value = in;
        }
        if (!jbi_wire_skip(&in, wire))
            return false;
    }
    return true;
}

static bool write_entry(struct jbi_writer *w, const struct jbi_field_info *f, jbi_wire entry,
                        const jbi_extra *override)
{
    struct jbi_text key;
    jbi_wire value;

    if (!read_entry(entry, f, &key, &value) ||
        !jbi_json_put_string(&w->out, key.data, key.len_bytes))
        return jbi_fail_at(w, entry.pos);
    jbi_json_put_char(&w->out, ':');
    if (override != NULL)
        return jbi_write_override(w, override);
    return value.pos != NULL ? jbi_write_value(w, f, &value) : write_default(w, f);
}

/* A list or map that is being written. */
struct list {
    const struct jbi_field_info *field;
    uint32_t n;
    bool has_overrides;
    jbi_overrides overrides;
};

/* One element; the cursor stands before its value. */
static bool write_element(struct jbi_writer *w, struct list *list, jbi_wire *in)
{
    const struct jbi_field_info *f = list->field;
    const jbi_extra *override =
        list->has_overrides ? jbi_overrides_at(&list->overrides, list->n) : NULL;
    const uint8_t *pos = in->pos;
    jbi_wire entry;

    if (list->n++ != 0)
        jbi_json_put_char(&w->out, ',');
    if (f->label == JBI_LABEL_MAP)
        return jbi_wire_bytes(in, &entry) ? write_entry(w, f, entry, override)
                                          : jbi_fail_at(w, pos);
    if (override == NULL)
        return jbi_write_value(w, f, in);
    if (!jbi_wire_skip(in, jbi_wire_of_kind(f->kind)))
        return jbi_fail_at(w, pos);
    return jbi_write_override(w, override);
}

/* One occurrence of a list: an element, or several of them packed. */
static bool write_occurrence(struct jbi_writer *w, struct list *list, jbi_wire *in, uint32_t wire)
{
    bool packed = wire == JBI_WIRE_BYTES && list->field->label == JBI_LABEL_REPEATED &&
                  jbi_wire_of_kind(list->field->kind) != JBI_WIRE_BYTES;
    const uint8_t *pos = in->pos;
    jbi_wire bytes;

    if (!packed)
        return write_element(w, list, in);
    if (!jbi_wire_bytes(in, &bytes))
        return jbi_fail_at(w, pos);
    while (!jbi_wire_done(&bytes)) {
        if (!write_element(w, list, &bytes))
            return false;
    }
    return true;
}

bool jbi_write_list(struct jbi_writer *w, const struct jbi_scan *s, const struct jbi_field_info *f)
{
    jbi_wire in = {s->bytes.pos + s->first[f->idx] - 1, s->bytes.end};
    const uint8_t *last = s->bytes.pos + s->last[f->idx] - 1;
    struct list list = {.field = f, .has_overrides = jbi_has_bit(s->element, f->idx)};
    bool map = f->label == JBI_LABEL_MAP;

    if (list.has_overrides)
        jbi_overrides_init(&list.overrides, s->bytes, s->message, f);
    jbi_json_put_char(&w->out, map ? '{' : '[');
    while (in.pos <= last && !jbi_wire_done(&in)) {
        uint32_t number, wire;
        const uint8_t *pos = in.pos;

        if (!jbi_wire_tag(&in, &number, &wire))
            return jbi_fail_at(w, pos);
        if (number != f->number) {
            if (!jbi_wire_skip(&in, wire))
                return jbi_fail_at(w, pos);
        } else if (!write_occurrence(w, &list, &in, wire)) {
            return false;
        }
    }
    jbi_json_put_char(&w->out, map ? '}' : ']');
    return true;
}
