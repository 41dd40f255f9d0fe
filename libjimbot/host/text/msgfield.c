/*
 * msgfield: see msgfield.h.
 */
#include "host/text/msgfield.h"

int jbi_msg_next(jbi_wire *in, jbi_msg_field *ret)
{
    jbi_wire bytes;

    if (jbi_wire_done(in))
        return 0;
    *ret = (jbi_msg_field){0};
    if (!jbi_wire_tag(in, &ret->number, &ret->type))
        return -1;
    switch (ret->type) {
    case JBI_WIRE_VARINT:
        return jbi_wire_varint(in, &ret->value) ? 1 : -1;
    case JBI_WIRE_FIXED64:
        return jbi_wire_fixed64(in, &ret->value) ? 1 : -1;
    case JBI_WIRE_BYTES:
        if (!jbi_wire_bytes(in, &bytes))
            return -1;
        ret->bytes = (jbi_slice){(const char *)bytes.pos, jbi_wire_left(&bytes)};
        return 1;
    default:
        return jbi_wire_skip(in, ret->type) ? 1 : -1;
    }
}

void jbi_msg_put_value(jbi_htext *out, uint32_t number, uint64_t value)
{
    uint8_t bytes[JBI_WIRE_TAG_MAX_BYTES + JBI_WIRE_VARINT_MAX_BYTES];
    uint8_t *end = jbi_wire_put_tag(bytes, number, JBI_WIRE_VARINT);

    end = jbi_wire_put_varint(end, value);
    jbi_htext_add(out, (const char *)bytes, (size_t)(end - bytes));
}

void jbi_msg_put_bytes(jbi_htext *out, uint32_t number, jbi_slice bytes)
{
    uint8_t head[JBI_WIRE_TAG_MAX_BYTES + JBI_WIRE_VARINT_MAX_BYTES];
    uint8_t *end = jbi_wire_put_tag(head, number, JBI_WIRE_BYTES);

    end = jbi_wire_put_varint(end, bytes.len);
    jbi_htext_add(out, (const char *)head, (size_t)(end - head));
    jbi_htext_add(out, bytes.data, bytes.len);
}

void jbi_msg_put_text(jbi_htext *out, uint32_t number, const char *text)
{
    size_t n = strlen(text);

    jbi_msg_put_bytes(out, number, (jbi_slice){text, n});
    for (size_t i = out->len - n; !out->is_broken && i < out->len; i++) {
        if (out->data[i] < 0x20 || out->data[i] > 0x7e)
            out->data[i] = '?';
    }
}

size_t jbi_msg_open(jbi_htext *out, uint32_t number)
{
    uint8_t tag[JBI_WIRE_TAG_MAX_BYTES];
    uint8_t *end = jbi_wire_put_tag(tag, number, JBI_WIRE_BYTES);

    jbi_htext_add(out, (const char *)tag, (size_t)(end - tag));
    return out->len;
}

void jbi_msg_close(jbi_htext *out, size_t mark)
{
    uint8_t head[JBI_WIRE_VARINT_MAX_BYTES];
    size_t n = out->len - mark;
    size_t n_head = (size_t)(jbi_wire_put_varint(head, n) - head);

    if (!jbi_htext_reserve(out, n_head))
        return;
    memmove(out->data + mark + n_head, out->data + mark, n);
    memcpy(out->data + mark, head, n_head);
    out->len += n_head;
}

uint64_t jbi_msg_value(jbi_slice message, uint32_t number, uint64_t otherwise)
{
    jbi_wire in = jbi_wire_of(message.data, message.len);
    jbi_msg_field f;

    while (jbi_msg_next(&in, &f) > 0) {
        if (jbi_msg_is_value(&f, number))
            otherwise = f.value;
    }
    return otherwise;
}

jbi_slice jbi_msg_bytes(jbi_slice message, uint32_t number)
{
    jbi_wire in = jbi_wire_of(message.data, message.len);
    jbi_slice found = {NULL, 0};
    jbi_msg_field f;

    while (jbi_msg_next(&in, &f) > 0) {
        if (jbi_msg_is_bytes(&f, number))
            found = f.bytes;
    }
    return found;
}
