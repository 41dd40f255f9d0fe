/*
 * An event's fields, read where they lie: jimbot/view.h.
 *
 * A step reads a tag, finds the field in the schema's tables and the value behind the tag. What a
 * packed list is made of becomes a value each, so that a reader knows one kind of list; the view
 * then stands inside the list, whose end is remembered. Invariant: nothing is read outside
 * [pos, end), and a view moves only past what was sound.
 */
#include "jimbot/view.h"

#include <assert.h>

#include "base/error.h"
#include "jimbot/schema.h"
#include "schema/envelope.h"
#include "schema/utf8.h"

static_assert(JB_FIELD_BOOL == (int)JBI_KIND_BOOL && JB_FIELD_INT == (int)JBI_KIND_INT &&
                  JB_FIELD_DOUBLE == (int)JBI_KIND_DOUBLE &&
                  JB_FIELD_STRING == (int)JBI_KIND_STRING && JB_FIELD_ENUM == (int)JBI_KIND_ENUM &&
                  JB_FIELD_MESSAGE == (int)JBI_KIND_MESSAGE && JB_FIELD_JSON == (int)JBI_KIND_JSON,
              "a kind has one number, inside and outside");

/* What can be wrong with a field; the messages of jb_view_next(). */
static const char bad_tag[] = "a tag is malformed";
static const char bad_wire[] = "a field has another wire type than the schema says";
static const char bad_cut[] = "a value is cut off";
static const char bad_text[] = "a string is not UTF-8";

int jb_view_open(const void *data, size_t len_bytes, jb_view *ret_view)
{
    jbi_wire in = jbi_wire_of(data, len_bytes);

    if (ret_view == NULL || (data == NULL && len_bytes != 0))
        return JB_EINVAL;
    if (len_bytes > JB_EVENT_MAX_BYTES)
        return JB_ETOOBIG;
    *ret_view = (jb_view){
        .pos = in.pos, .end = in.end, .event = in.pos, .type = &jbi_message_Event, .depth = 1};
    return 0;
}

/* The value of a field after its tag, as one value of the field's kind; NULL, or what is wrong. */
static inline const char *read_value(jbi_wire *in, const struct jbi_field_info *f, uint32_t wire,
                                     jb_value *ret)
{
    uint64_t bits;

    switch (wire) {
    case JBI_WIRE_VARINT:
        if (!jbi_wire_varint(in, &bits))
            return bad_cut;
        if (f->kind == JBI_KIND_INT)
            ret->integer = (f->flags & JBI_FIELD_UINT32) != 0 ? (uint32_t)bits : (int64_t)bits;
        else
            ret->integer = f->kind == JBI_KIND_BOOL ? bits != 0 : (int32_t)bits;
        return NULL;
    case JBI_WIRE_FIXED64:
        return jbi_wire_double(in, &ret->real) ? NULL : bad_cut;
    default:
        if (!jbi_wire_varint(in, &bits) || bits > jbi_wire_left(in))
            return bad_cut;
        ret->text = (const char *)in->pos;
        ret->len_bytes = (uint32_t)bits;
        in->pos += bits;
        return f->kind == JBI_KIND_MESSAGE || jbi_utf8_valid(ret->text, ret->len_bytes) ? NULL
                                                                                        : bad_text;
    }
}

static inline void describe(jb_value *value, const struct jbi_field_info *f)
{
    value->name = f->name;
    value->type = f->kind == JBI_KIND_ENUM ? (const void *)f->enumeration : f->message;
    value->key = NULL;
    value->number = f->number;
    value->kind = f->kind;
}

/* A field of a newer schema: its bytes as they lie there. */
static const char *read_unknown(jbi_wire *in, uint32_t number, uint32_t wire, jb_value *ret)
{
    const uint8_t *begin = in->pos;

    if (!jbi_wire_skip(in, wire))
        return bad_cut;
    *ret = (jb_value){.text = (const char *)begin,
                      .len_bytes = (uint32_t)(in->pos - begin),
                      .number = number,
                      .kind = JB_FIELD_UNKNOWN};
    return NULL;
}

/* An entry of a map, {1: key, 2: value}; what is absent is empty or zero. Of either the last
 * counts. */
static const char *read_entry(jbi_wire *in, const struct jbi_field_info *f, jb_value *ret)
{
    jb_value key = {0}, value = {0};
    const struct jbi_field_info key_field = {.kind = JBI_KIND_STRING};
    const char *wrong = NULL;
    uint32_t number, wire;
    jbi_wire entry;

    if (!jbi_wire_bytes(in, &entry))
        return bad_cut;
    key.text = value.text = (const char *)entry.end;
    while (wrong == NULL && !jbi_wire_done(&entry)) {
        if (!jbi_wire_tag(&entry, &number, &wire))
            wrong = bad_tag;
        else if (number > 2)
            wrong = jbi_wire_skip(&entry, wire) ? NULL : bad_cut;
        else if (wire != (number == 1 ? JBI_WIRE_BYTES : jbi_wire_of_kind(f->kind)))
            wrong = bad_wire;
        else if (number == 1)
            wrong = read_value(&entry, &key_field, wire, &key);
        else
            wrong = read_value(&entry, f, wire, &value);
    }
    if (wrong != NULL)
        return wrong;
    *ret = value;
    describe(ret, f);
    ret->key = key.text;
    ret->key_bytes = key.len_bytes;
    return NULL;
}

/* Whether a record of the field is several numbers in a row. */
static inline bool is_packed(const struct jbi_field_info *f, uint32_t wire)
{
    return wire == JBI_WIRE_BYTES && jbi_wire_of_kind(f->kind) != JBI_WIRE_BYTES &&
           f->label == JBI_LABEL_REPEATED;
}

static int fail(const jb_view *view, const char *what, jb_error *err)
{
    const struct jbi_message *message = view->type;
    uint64_t offset = (uint64_t)(view->pos - view->event);

    return jbi_error_at(err, JB_EPROTO, offset, "%s at byte %llu, in a message %s", what,
                        (unsigned long long)offset, message->name);
}

/* Step into a packed list. */
static const char *enter_list(jb_view *view, jbi_wire in, const struct jbi_field_info *f)
{
    jbi_wire bytes;

    if (!jbi_wire_bytes(&in, &bytes))
        return bad_cut;
    view->pos = bytes.pos;
    view->list = f;
    view->list_end = bytes.end;
    return NULL;
}

/* The next number of a packed list; 0 at its end. */
static int next_in_list(jb_view *view, jb_value *ret, jb_error *err)
{
    const struct jbi_field_info *f = view->list;
    jbi_wire in = {view->pos, view->list_end};
    const char *wrong;

    if (jbi_wire_done(&in)) {
        view->list = NULL;
        return 0;
    }
    wrong = read_value(&in, f, jbi_wire_of_kind(f->kind), ret);
    if (wrong != NULL)
        return fail(view, wrong, err);
    describe(ret, f);
    view->pos = in.pos;
    return 1;
}

/* The next field; 0 when it is a packed list, which was entered. */
static inline int next_field(jb_view *view, jb_value *ret, jb_error *err)
{
    jbi_wire in = {view->pos, view->end};
    const struct jbi_field_info *f;
    const char *wrong;
    uint32_t number, wire;

    if (!jbi_wire_tag(&in, &number, &wire))
        return fail(view, bad_tag, err);
    f = jbi_field_by_number(view->type, number);
    if (f == NULL) {
        wrong = read_unknown(&in, number, wire, ret);
    } else if (!jbi_wire_fits(f, wire)) {
        wrong = bad_wire;
    } else if (f->label == JBI_LABEL_MAP) {
        wrong = read_entry(&in, f, ret);
    } else if (is_packed(f, wire)) {
        wrong = enter_list(view, in, f);
        return wrong != NULL ? fail(view, wrong, err) : 0;
    } else {
        wrong = read_value(&in, f, wire, ret);
        describe(ret, f);
    }
    if (wrong != NULL)
        return fail(view, wrong, err);
    view->pos = in.pos;
    return 1;
}

int jb_view_next(jb_view *view, jb_value *ret_value, jb_error *err)
{
    int rc = 0;

    if (view == NULL || ret_value == NULL)
        return jbi_error_set(err, JB_EINVAL, "NULL where a view or a value belongs");
    while (rc == 0 && view->pos != view->end)
        rc = view->list != NULL ? next_in_list(view, ret_value, err)
                                : next_field(view, ret_value, err);
    return rc;
}

int jb_view_enter(const jb_view *view, const jb_value *value, jb_view *ret_inner)
{
    const uint8_t *begin;

    if (view == NULL || value == NULL || ret_inner == NULL || value->kind != JB_FIELD_MESSAGE)
        return JB_EINVAL;
    begin = (const uint8_t *)value->text;
    if (begin < view->event || begin > view->end || value->len_bytes > (size_t)(view->end - begin))
        return JB_EINVAL;
    if (view->depth >= JBI_MESSAGE_DEPTH_MAX)
        return JB_EPROTO;
    *ret_inner = (jb_view){.pos = begin,
                           .end = begin + value->len_bytes,
                           .event = view->event,
                           .type = value->type,
                           .depth = view->depth + 1};
    return 0;
}

/* The last value of that field; of any payload for the number 0. */
static int find_last(jb_view view, uint32_t number, jb_value *ret, jb_error *err)
{
    bool is_found = false;
    jb_value value;
    int rc;

    while ((rc = jb_view_next(&view, &value, err)) == 1) {
        const struct jbi_field_info *f = jbi_field_by_number(view.type, value.number);

        if (value.number != number &&
            (number != 0 || f == NULL || (f->flags & JBI_FIELD_PAYLOAD) == 0))
            continue;
        *ret = value;
        is_found = true;
    }
    return rc < 0 ? rc : is_found;
}

int jb_view_find(const jb_view *view, uint32_t number, jb_value *ret_value, jb_error *err)
{
    if (view == NULL || ret_value == NULL || number == 0)
        return jbi_error_set(err, JB_EINVAL, "NULL where a view or a value belongs, or number 0");
    return find_last(*view, number, ret_value, err);
}

int jb_view_payload(const jb_view *event, jb_value *ret_value, jb_error *err)
{
    if (event == NULL || ret_value == NULL)
        return jbi_error_set(err, JB_EINVAL, "NULL where a view or a value belongs");
    return find_last(*event, 0, ret_value, err);
}

const char *jb_value_enum_name(const jb_value *value)
{
    const struct jbi_enum_spelling *spelling;
    const struct jbi_enum *e;

    if (value == NULL || value->kind != JB_FIELD_ENUM)
        return NULL;
    e = value->type;
    /* What clients call the types of events stands in a table of its own. */
    if (e->values == NULL)
        return value->integer == (int64_t)(uint32_t)value->integer
                   ? jb_event_type_name((uint32_t)value->integer)
                   : NULL;
    spelling = jbi_enum_by_number(e, value->integer);
    return spelling != NULL ? spelling->text : NULL;
}
