/*
 * Elements of lists and maps: see sink.h.
 *
 * A list has no bytes of its own (its elements follow each other in the message below), except
 * while a block of packed numbers is open; a map has none except while an entry is open. So an
 * Extra about an element is written into the message below as soon as block or entry is closed,
 * which protobuf allows: a field may be interrupted. Invariant: every element has a place of its
 * own, if only that of an empty value.
 */
#include "schema/sink_parts.h"
#include "schema/wire.h"

static bool is_packed(const struct jbi_field_info *f)
{
    return f->kind == JBI_KIND_BOOL || f->kind == JBI_KIND_INT || f->kind == JBI_KIND_DOUBLE ||
           f->kind == JBI_KIND_ENUM;
}

static int block_open(struct jbi_sink *s, struct jbi_frame *list)
{
    int rc;

    if (list->start != 0)
        return 0;
    rc = jbi_sink_put(s, list->field->tag, list->field->tag_bytes);
    return rc == 0 ? jbi_sink_length_open(s, &list->start) : rc;
}

static int block_close(struct jbi_sink *s, struct jbi_frame *list)
{
    uint32_t start = list->start;

    list->start = 0;
    return start != 0 ? jbi_sink_length_close(s, start) : 0;
}

/* The tag of a value of a map; of as many bytes as one of a field's. */
static size_t value_tag(const struct jbi_field_info *f, uint8_t ret_tag[3])
{
    ret_tag[0] = (uint8_t)(2 << 3 | (f->kind == JBI_KIND_DOUBLE ? JBI_WIRE_FIXED64
                                     : is_packed(f)             ? JBI_WIRE_VARINT
                                                                : JBI_WIRE_BYTES));
    return 1;
}

/* Something of the right kind must stand for an element that only its Extra can express, so that
 * the elements keep their places. */
static int put_placeholder(struct jbi_sink *s, const struct jbi_field_info *f)
{
    static const uint8_t zeros[8];

    return jbi_sink_put(s, zeros, f->kind == JBI_KIND_DOUBLE ? 8 : 1);
}

/*
 * Write a scalar, or a placeholder when token is NULL, as the next element of a list or the value
 * of the open entry of a map. Returns an enum jbi_typed or a JB_E code.
 */
static int element_typed(struct jbi_sink *s, struct jbi_frame *top, const struct jbi_token *token)
{
    const struct jbi_field_info *f = top->field;
    const uint8_t *tag = f->tag;
    size_t tag_bytes = f->tag_bytes;
    uint8_t value[3] = {0};
    int rc = 0;

    if (top->kind == JBI_FRAME_MAP) {
        tag_bytes = value_tag(f, value);
        tag = value;
    } else if (is_packed(f)) {
        rc = block_open(s, top);
        tag_bytes = 0;
    }
    if (rc == 0 && token != NULL && f->kind != JBI_KIND_MESSAGE)
        rc = jbi_sink_typed(s, f, tag, tag_bytes, token);
    else if (rc == 0)
        rc = JBI_TYPED_NOT;
    if (rc != JBI_TYPED_NOT)
        return rc;
    rc = jbi_sink_put(s, tag, tag_bytes);
    if (rc == 0)
        rc = put_placeholder(s, f);
    return rc == 0 ? JBI_TYPED_NOT : rc;
}

int jbi_sink_element_done(struct jbi_sink *s, struct jbi_frame *top)
{
    uint32_t start = top->start;

    top->count++;
    s->has_key = false;
    if (top->kind != JBI_FRAME_MAP)
        return 0;
    top->start = 0;
    return jbi_sink_length_close(s, start);
}

/* Make the next element of a list or map a placeholder and begin the Extra that replaces it. */
static int element_replace(struct jbi_sink *s, struct jbi_frame *top)
{
    int rc = element_typed(s, top, NULL);

    if (rc < 0)
        return rc;
    rc = jbi_sink_element_done(s, top);
    if (rc == 0 && top->kind == JBI_FRAME_LIST)
        rc = block_close(s, top);
    if (rc < 0)
        return rc;
    return jbi_sink_extra_open(s, top->field->key, top->field->key_bytes, (int64_t)top->count - 1);
}

int jbi_sink_element_scalar(struct jbi_sink *s, struct jbi_frame *top,
                            const struct jbi_token *token)
{
    int typed = element_typed(s, top, token);
    int rc = typed < 0 ? typed : jbi_sink_element_done(s, top);

    if (rc < 0 || !jbi_sink_is_kept(s, typed))
        return rc;
    if (top->kind == JBI_FRAME_LIST)
        rc = block_close(s, top);
    if (rc < 0)
        return rc;
    return jbi_sink_extra_scalar(s, top->field->key, top->field->key_bytes, (int64_t)top->count - 1,
                                 token);
}

int jbi_sink_element_container(struct jbi_sink *s, struct jbi_frame *top, bool is_list)
{
    const struct jbi_field_info *f = top->field;
    const uint8_t *tag = f->tag;
    size_t tag_bytes = f->tag_bytes;
    uint8_t value[3] = {0};
    int rc;

    if (is_list || f->kind != JBI_KIND_MESSAGE)
        return element_replace(s, top);
    if (top->kind == JBI_FRAME_MAP) {
        tag_bytes = value_tag(f, value);
        tag = value;
    }
    rc = jbi_sink_message_begin(s, f, tag, tag_bytes);
    return rc < 0 ? rc : 1;
}

int jbi_sink_list_close(struct jbi_sink *s, struct jbi_frame *top)
{
    int rc = top->kind == JBI_FRAME_LIST ? block_close(s, top) : 0;

    if (rc < 0 || top->count != 0 || s->dialect->is_normalised)
        return rc;
    return jbi_sink_extra_text(s, top->field->key, top->field->key_bytes,
                               top->kind == JBI_FRAME_LIST ? "[]" : "{}");
}
