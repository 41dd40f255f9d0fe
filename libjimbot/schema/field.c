/*
 * Paths to one scalar of an event, and columns of them.
 *
 * All knowledge of the schema is used when a path is compiled; reading an event follows field
 * numbers through the bytes and looks nothing up. In numbers[], all but the last lead into
 * messages; the last is the scalar, or a repeated field whose elements are counted (COUNT bits). Of
 * a field that occurs more than once the last occurrence counts. Invariant: a compiled field is
 * safe to use on any bytes, and an event whose type cannot hold it is skipped without a look at its
 * payload.
 */
#include "jimbot/schema.h"

#include "base/error.h"
#include "schema/envelope.h"

enum {
    N_NUMBERS = 12,
    NUMBER_MASK = 0x1fffffff, /* protobuf field numbers have 29 bits */
    COUNT_SHIFT = 29          /* what is counted, above the number */
};

/* What `.length` counts; 0 is not a count. */
enum count_of {
    COUNT_NOTHING = 0,
    COUNT_RECORDS = 1, /* strings, messages, map entries: one record each */
    COUNT_VARINTS = 2, /* bools, ints, enums: packed or one by one */
    COUNT_DOUBLES = 3
};

/* What was found at the end of a path. */
struct leaf {
    uint64_t bits; /* of a number; a count */
    jbi_wire text; /* of a string */
};

/* Cut the next part off a path "a.b.c"; false at the end. */
static bool next_part(const char **path, const char *end, const char **ret_part, size_t *ret_len)
{
    const char *dot;

    if (*path > end)
        return false;
    dot = memchr(*path, '.', (size_t)(end - *path));
    if (dot == NULL)
        dot = end;
    *ret_part = *path;
    *ret_len = (size_t)(dot - *path);
    *path = dot + 1; /* one past `end` after the last part */
    return true;
}

static bool is_length(const char *part, size_t len_bytes)
{
    return len_bytes == 6 && memcmp(part, "length", 6) == 0;
}

static enum count_of count_of(const struct jbi_field_info *f)
{
    if (f->label == JBI_LABEL_MAP || jbi_wire_of_kind(f->kind) == JBI_WIRE_BYTES)
        return COUNT_RECORDS;
    return f->kind == JBI_KIND_DOUBLE ? COUNT_DOUBLES : COUNT_VARINTS;
}

static uint16_t kind_of(const struct jbi_field_info *f)
{
    switch (f->kind) {
    case JBI_KIND_BOOL:
        return JB_FIELD_BOOL;
    case JBI_KIND_INT:
        return JB_FIELD_INT;
    case JBI_KIND_DOUBLE:
        return JB_FIELD_DOUBLE;
    case JBI_KIND_ENUM:
        return JB_FIELD_ENUM;
    default:
        return JB_FIELD_STRING;
    }
}

/* Which event types can hold the field that begins with this member of the event. */
static void set_mask(jb_field *field, const struct jbi_field_info *first)
{
    uint64_t mask = UINT64_MAX;

    if ((first->flags & JBI_FIELD_PAYLOAD) != 0) {
        mask = 0;
        for (uint32_t i = 1; i < jbi_n_event_types; i++) {
            if (jbi_event_types[i].payload == first)
                mask |= (uint64_t)1 << i;
        }
    }
    field->type_mask_lo = (uint32_t)mask;
    field->type_mask_hi = (uint32_t)(mask >> 32);
}

/* A path that is being compiled. */
struct compiler {
    const char *path;
    const char *pos; /* of the next part */
    const char *end;
    const struct jbi_message *message; /* that the next part is looked up in */
    jb_error *err;
};

static int refuse(const struct compiler *c, int code, const char *part, size_t len_bytes,
                  const char *why)
{
    int shown = len_bytes > 64 ? 64 : (int)len_bytes;

    return jbi_error_at(c->err, code, (uint64_t)(part - c->path), "\"%.*s\" %s", shown, part, why);
}

/* The last part of a path was a field: what does it give? */
static int finish(const struct compiler *c, const struct jbi_field_info *f, const char *part,
                  size_t len_bytes, jb_field *field)
{
    if (f->label != JBI_LABEL_SINGLE)
        return refuse(c, JB_EINVAL, part, len_bytes, "is repeated; only its .length is a column");
    if (f->kind == JBI_KIND_MESSAGE)
        return refuse(c, JB_EINVAL, part, len_bytes, "is a message, not a scalar");
    field->kind = kind_of(f);
    return 0;
}

/* The part after a repeated field: nothing but `length` will do. */
static int finish_length(struct compiler *c, const struct jbi_field_info *f, jb_field *field)
{
    const char *part = c->end;
    size_t len = 0;

    if (!next_part(&c->pos, c->end, &part, &len) || !is_length(part, len) || c->pos <= c->end)
        return refuse(c, JB_EINVAL, part, len, "does not follow a repeated field; .length does");
    field->kind = JB_FIELD_INT;
    field->numbers[field->n_numbers - 1] |= (uint32_t)count_of(f) << COUNT_SHIFT;
    return 0;
}

/* Compile all parts into *field. */
static int compile(struct compiler *c, jb_field *field)
{
    const char *part;
    size_t len;

    while (next_part(&c->pos, c->end, &part, &len)) {
        const struct jbi_field_info *f = jbi_field_by_name(c->message, part, len);

        if (f == NULL)
            return refuse(c, JB_ENOENT, part, len, "is no field of this message");
        if (field->n_numbers == N_NUMBERS)
            return refuse(c, JB_EINVAL, part, len, "lies too deep for a column");
        if (field->n_numbers == 0)
            set_mask(field, f);
        field->numbers[field->n_numbers++] = f->number;
        if (c->pos > c->end)
            return finish(c, f, part, len, field);
        if (f->label != JBI_LABEL_SINGLE)
            return finish_length(c, f, field);
        if (f->kind != JBI_KIND_MESSAGE)
            return refuse(c, JB_EINVAL, part, len, "is a scalar; nothing lies below it");
        c->message = f->message;
    }
    return refuse(c, JB_EINVAL, c->path, 0, "is no path");
}

int jb_field_parse(const char *path, size_t len_bytes, jb_field *ret_field, jb_error *err)
{
    struct compiler c = {.path = path, .pos = path, .message = &jbi_message_Event, .err = err};
    jb_field field = {.size = sizeof field};
    int rc;

    if (ret_field == NULL || path == NULL || len_bytes == 0)
        return jbi_error_set(err, JB_EINVAL, "an empty path");
    c.end = path + len_bytes;
    rc = compile(&c, &field);
    if (rc == 0)
        *ret_field = field;
    return rc;
}

/* The last occurrence of a message: 1 found, 0 not there. */
static int enter(jbi_wire *in, uint32_t want)
{
    jbi_wire found = {NULL, NULL};
    uint32_t number, wire;
    int rc = 0;

    while (!jbi_wire_done(in)) {
        if (!jbi_wire_tag(in, &number, &wire))
            return JB_EPROTO;
        if (number != want) {
            if (!jbi_wire_skip(in, wire))
                return JB_EPROTO;
            continue;
        }
        if (wire != JBI_WIRE_BYTES || !jbi_wire_bytes(in, &found))
            return JB_EPROTO;
        rc = 1;
    }
    *in = found;
    return rc;
}

/* The last occurrence of a scalar. */
static int read_leaf(jbi_wire in, uint32_t want, uint32_t want_wire, struct leaf *ret)
{
    uint32_t number, wire;
    int rc = 0;

    while (!jbi_wire_done(&in)) {
        bool ok;

        if (!jbi_wire_tag(&in, &number, &wire))
            return JB_EPROTO;
        if (number != want)
            ok = jbi_wire_skip(&in, wire);
        else if (wire != want_wire)
            return JB_EPROTO;
        else if (wire == JBI_WIRE_VARINT)
            ok = jbi_wire_varint(&in, &ret->bits);
        else if (wire == JBI_WIRE_FIXED64)
            ok = jbi_wire_fixed64(&in, &ret->bits);
        else
            ok = jbi_wire_bytes(&in, &ret->text);
        if (!ok)
            return JB_EPROTO;
        rc |= number == want;
    }
    return rc;
}

/* Elements in one record of a repeated field; -1 when it is malformed. */
static int64_t count_record(jbi_wire *in, uint32_t wire, enum count_of what)
{
    jbi_wire bytes;
    int64_t n = 0;

    if (wire != JBI_WIRE_BYTES || what == COUNT_RECORDS) {
        uint32_t want = what == COUNT_RECORDS   ? JBI_WIRE_BYTES
                        : what == COUNT_DOUBLES ? JBI_WIRE_FIXED64
                                                : JBI_WIRE_VARINT;

        return wire == want && jbi_wire_skip(in, wire) ? 1 : -1;
    }
    if (!jbi_wire_bytes(in, &bytes))
        return -1;
    if (what == COUNT_DOUBLES)
        return jbi_wire_left(&bytes) % 8 == 0 ? (int64_t)(jbi_wire_left(&bytes) / 8) : -1;
    for (; !jbi_wire_done(&bytes); n++) {
        if (!jbi_wire_skip(&bytes, JBI_WIRE_VARINT))
            return -1;
    }
    return n;
}

/* Count the elements of a repeated field; a message that is there and has none has 0. */
static int read_count(jbi_wire in, uint32_t want, enum count_of what, struct leaf *ret)
{
    uint32_t number, wire;
    uint64_t total = 0;

    while (!jbi_wire_done(&in)) {
        int64_t n = 0;

        if (!jbi_wire_tag(&in, &number, &wire))
            return JB_EPROTO;
        if (number != want) {
            if (!jbi_wire_skip(&in, wire))
                return JB_EPROTO;
            continue;
        }
        n = count_record(&in, wire, what);
        if (n < 0)
            return JB_EPROTO;
        total += (uint64_t)n;
    }
    ret->bits = total;
    return 1;
}

static uint32_t wire_of(uint16_t kind)
{
    if (kind == JB_FIELD_DOUBLE)
        return JBI_WIRE_FIXED64;
    return kind == JB_FIELD_STRING ? JBI_WIRE_BYTES : JBI_WIRE_VARINT;
}

/* Follow a path to its end: 1 found, 0 not there, JB_EPROTO. */
static int find_leaf(const jb_field *field, const void *data, size_t len_bytes, struct leaf *ret)
{
    jbi_wire in = jbi_wire_of(data, len_bytes);
    uint32_t last = field->numbers[field->n_numbers - 1];

    for (uint32_t i = 0; i + 1 < field->n_numbers; i++) {
        int rc = enter(&in, field->numbers[i]);

        if (rc <= 0)
            return rc;
    }
    if (last > NUMBER_MASK)
        return read_count(in, last & NUMBER_MASK, (enum count_of)(last >> COUNT_SHIFT), ret);
    return read_leaf(in, last, wire_of(field->kind), ret);
}

static bool is_field(const jb_field *field)
{
    return field != NULL && field->size == sizeof *field && field->n_numbers >= 1 &&
           field->n_numbers <= N_NUMBERS;
}

static double bits_to_double(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Toward zero, clamped; NaN is 0. */
static int64_t double_to_int(double value)
{
    if (value >= 9223372036854775808.0)
        return INT64_MAX;
    if (value <= -9223372036854775808.0)
        return INT64_MIN;
    return value == value ? (int64_t)value : 0;
}

static int64_t leaf_int(uint16_t kind, const struct leaf *leaf)
{
    switch (kind) {
    case JB_FIELD_BOOL:
        return leaf->bits != 0;
    case JB_FIELD_ENUM:
        return (int32_t)leaf->bits;
    case JB_FIELD_DOUBLE:
        return double_to_int(bits_to_double(leaf->bits));
    default:
        return (int64_t)leaf->bits;
    }
}

static double leaf_double(uint16_t kind, const struct leaf *leaf)
{
    return kind == JB_FIELD_DOUBLE ? bits_to_double(leaf->bits) : (double)leaf_int(kind, leaf);
}

int jb_field_get_int(const jb_field *field, const void *data, size_t len_bytes, int64_t *ret_value)
{
    struct leaf leaf;
    int rc;

    if (!is_field(field) || field->kind == JB_FIELD_STRING || ret_value == NULL ||
        (data == NULL && len_bytes != 0))
        return JB_EINVAL;
    rc = find_leaf(field, data, len_bytes, &leaf);
    if (rc > 0)
        *ret_value = leaf_int(field->kind, &leaf);
    return rc;
}

int jb_field_get_double(const jb_field *field, const void *data, size_t len_bytes,
                        double *ret_value)
{
    struct leaf leaf;
    int rc;

    if (!is_field(field) || field->kind == JB_FIELD_STRING || ret_value == NULL ||
        (data == NULL && len_bytes != 0))
        return JB_EINVAL;
    rc = find_leaf(field, data, len_bytes, &leaf);
    if (rc > 0)
        *ret_value = leaf_double(field->kind, &leaf);
    return rc;
}

int jb_field_get_string(const jb_field *field, const void *data, size_t len_bytes,
                        const char **ret_value, size_t *ret_bytes)
{
    struct leaf leaf;
    int rc;

    if (!is_field(field) || field->kind != JB_FIELD_STRING || ret_value == NULL ||
        ret_bytes == NULL || (data == NULL && len_bytes != 0))
        return JB_EINVAL;
    rc = find_leaf(field, data, len_bytes, &leaf);
    if (rc > 0) {
        *ret_value = (const char *)leaf.text.pos;
        *ret_bytes = jbi_wire_left(&leaf.text);
    }
    return rc;
}

/* Whether an event of this type can hold the field. The type comes from shared memory: it may be
 * any number. */
static bool may_hold(const jb_field *field, uint16_t type)
{
    uint64_t mask = (uint64_t)field->type_mask_hi << 32 | field->type_mask_lo;

    return type < 64 ? (mask >> type & 1) != 0 : mask == UINT64_MAX;
}

/* The field of one event of a batch. */
static bool find_in_event(const jb_field *field, const jb_event *event, struct leaf *ret)
{
    return may_hold(field, event->type) &&
           find_leaf(field, event->payload, event->len_bytes, ret) > 0;
}

static bool is_column(const jb_field *field, const jb_event *events, size_t n, const void *out)
{
    return is_field(field) && field->kind != JB_FIELD_STRING &&
           (n == 0 || (events != NULL && out != NULL));
}

int64_t jb_field_column_double(const jb_field *field, const jb_event *events, size_t n, double *out,
                               uint8_t *valid)
{
    int64_t present = 0;
    struct leaf leaf;

    if (!is_column(field, events, n, out))
        return JB_EINVAL;
    for (size_t i = 0; i < n; i++) {
        bool found = find_in_event(field, &events[i], &leaf);

        out[i] = found ? leaf_double(field->kind, &leaf) : 0;
        if (valid != NULL)
            valid[i] = found;
        present += found;
    }
    return present;
}

int64_t jb_field_column_int(const jb_field *field, const jb_event *events, size_t n, int64_t *out,
                            uint8_t *valid)
{
    int64_t present = 0;
    struct leaf leaf;

    if (!is_column(field, events, n, out))
        return JB_EINVAL;
    for (size_t i = 0; i < n; i++) {
        bool found = find_in_event(field, &events[i], &leaf);

        out[i] = found ? leaf_int(field->kind, &leaf) : 0;
        if (valid != NULL)
            valid[i] = found;
        present += found;
    }
    return present;
}
