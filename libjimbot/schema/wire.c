/*
 * The longer cases of the wire format: see wire.h. Invariant: every loop here ends after a fixed
 * number of steps or at the end of the input.
 */
#include "schema/wire.h"

bool jbi_wire_varint_long(jbi_wire *in, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70 && in->pos != in->end; shift += 7) {
        uint8_t byte = *in->pos++;

        /* The tenth byte has room for bit 63 alone. */
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool skip_bytes(jbi_wire *in, uint64_t n)
{
    if (n > jbi_wire_left(in))
        return false;
    in->pos += n;
    return true;
}

bool jbi_wire_skip(jbi_wire *in, uint32_t type)
{
    uint64_t value;

    switch (type) {
    case JBI_WIRE_VARINT:
        return jbi_wire_varint(in, &value);
    case JBI_WIRE_FIXED64:
        return skip_bytes(in, 8);
    case JBI_WIRE_BYTES:
        return jbi_wire_varint(in, &value) && skip_bytes(in, value);
    case JBI_WIRE_FIXED32:
        return skip_bytes(in, 4);
    default:
        return false;
    }
}

uint8_t *jbi_wire_put_bytes(uint8_t *out, const void *data, size_t len_bytes)
{
    out = jbi_wire_put_varint(out, len_bytes);
    if (len_bytes != 0)
        memcpy(out, data, len_bytes);
    return out + len_bytes;
}
