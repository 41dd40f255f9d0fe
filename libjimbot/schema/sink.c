/*
 * The sink's containers: see sink.h.
 *
 * A message frame has its own bytes in out and a length byte before them. A list frame has none
 * (its elements follow each other in the message below), except while a block of packed numbers is
 * open; a map frame has none except while an entry is open. So an Extra about an element is written
 * into the message below as soon as block or entry is closed, which protobuf allows: a field may be
 * interrupted.
 */
#include "schema/sink.h"

#include <assert.h>
#include <stdalign.h>

#include "schema/arena.h"
#include "schema/wire.h"

enum { NUMBER_TYPE = 1, NUMBER_SUBTYPE = 4 };

int jbi_sink_grow(struct jbi_sink *s, size_t n_bytes)
{
    uint8_t *out;

    if (n_bytes > s->max_bytes || s->len + n_bytes > s->max_bytes)
        return JB_ETOOBIG;
    out = jbi_arena_extend(s->arena, s->len, s->len + n_bytes, &s->cap);
    if (out == NULL)
        return JB_ENOMEM;
    s->out = out;
    /* The limit is kept here, so that the check for room is the check for size. */
    if (s->cap > s->max_bytes)
        s->cap = s->max_bytes;
    return 0;
}

void *jbi_sink_scratch(struct jbi_sink *s, size_t n_bytes)
{
    size_t cap_bytes;
    uint8_t *out =
        jbi_arena_extend(s->arena, s->len, s->len + alignof(max_align_t) + n_bytes, &cap_bytes);

    if (out == NULL)
        return NULL;
    s->out = out;
    s->cap = cap_bytes < s->max_bytes ? cap_bytes : s->max_bytes;
    out += s->len;
    return out + (0 - (uintptr_t)out) % alignof(max_align_t);
}

static struct jbi_frame *push(struct jbi_sink *s, enum jbi_frame_kind kind)
{
    struct jbi_frame *top = &s->frames[s->n_frames++];

    *top = (struct jbi_frame){.kind = (uint8_t)kind};
    s->has_key = false;
    return top;
}

int jbi_sink_begin(struct jbi_sink *s)
{
    s->len = 0;
    s->out = jbi_arena_free(s->arena, &s->cap);
    if (s->cap > s->max_bytes)
        s->cap = s->max_bytes;
    s->n_frames = 0;
    s->has_key = s->in_raw = s->is_strict_type = s->has_non_finite = false;
    memset(s->quirks.n, 0, sizeof s->quirks.n);
    s->why = NULL;
    push(s, JBI_FRAME_MESSAGE)->message = s->dialect->event;
    return 0;
}

/* Whether another container fits. */
static int depth_check(struct jbi_sink *s)
{
    if (s->n_frames < s->max_frames && (s->in_raw || s->n_frames < JBI_SINK_TYPED_DEPTH_MAX))
        return 0;
    s->why = "nested too deep";
    return JB_ELIMIT;
}

uint64_t jbi_sink_key_hash(const char *key, size_t len_bytes)
{
    uint64_t h = len_bytes;

    for (size_t i = 0; i < len_bytes; i++)
        h = (h ^ (uint8_t)key[i]) * 0x9E3779B97F4A7C15u;
    return h;
}

/* A key that the message does not have. Whether it came before can only be guessed yet. */
static int unknown_key(struct jbi_sink *s, struct jbi_frame *top, const char *key, size_t len_bytes)
{
    uint64_t bit = (uint64_t)1 << (jbi_sink_key_hash(key, len_bytes) >> 58);
    int rc = 0;

    if ((top->bloom & bit) != 0) {
        top->has_twice = true;
        rc = jbi_sink_clear_early(s);
    }
    top->bloom |= bit;
    s->has_key = true;
    s->field = NULL;
    return rc < 0 ? rc : jbi_sink_extra_open(s, key, len_bytes, -1);
}

/* The field that holds the payload, when key is the payload's key for the type of this event. */
static const struct jbi_field_info *payload_field(struct jbi_sink *s, struct jbi_frame *top,
                                                  const char *key, size_t len_bytes)
{
    const struct jbi_event_type *t = &s->dialect->types[top->type];

    if (top->type != 0 && len_bytes == t->payload_key_bytes &&
        memcmp(key, t->payload_key, len_bytes) == 0)
        return t->payload;
    if (top->type == 0 && ((len_bytes == 7 && memcmp(key, "payload", 7) == 0) ||
                           (len_bytes == 4 && memcmp(key, "data", 4) == 0)))
        top->is_late = true;
    return NULL;
}

static int known_key_twice(struct jbi_sink *s, struct jbi_frame *top,
                           const struct jbi_field_info *f)
{
    bool is_type = top->message->is_event && f->number == NUMBER_TYPE;
    int rc;

    if (is_type && s->is_strict_type)
        return 0;
    rc = jbi_sink_key_twice(s);
    /* A type that is none leaves the one before in its place: see jbi_sink_event_named(). */
    if (rc == 0 && is_type)
        top->has_twice = top->has_type_twice = true;
    return rc < 0 || is_type ? rc : jbi_sink_mark(s, f);
}

/* A key of the message, which s->field_key spells. */
static int known_key(struct jbi_sink *s, struct jbi_frame *top, const struct jbi_field_info *f,
                     size_t key_bytes)
{
    uint64_t bit = (uint64_t)1 << (f->idx & 63);

    s->field = f;
    s->field_key_bytes = (uint8_t)key_bytes;
    s->has_key = true;
    if ((top->seen[f->idx >> 6] & bit) != 0)
        return known_key_twice(s, top, f);
    top->seen[f->idx >> 6] |= bit;
    return 0;
}

static int message_key(struct jbi_sink *s, struct jbi_frame *top, const char *key, size_t len_bytes)
{
    const struct jbi_field_info *f = jbi_field_by_key(top->message, key, len_bytes);

    if (f == NULL && top->message->is_event) {
        f = payload_field(s, top, key, len_bytes);
        if (f != NULL)
            s->field_key = s->dialect->types[top->type].payload_key;
    } else if (f != NULL) {
        s->field_key = f->key;
    }
    return f == NULL ? unknown_key(s, top, key, len_bytes) : known_key(s, top, f, len_bytes);
}

int jbi_sink_key_of(struct jbi_sink *s, const struct jbi_field_info *f)
{
    s->field_key = f->key;
    return known_key(s, jbi_sink_top(s), f, f->key_bytes);
}

static int map_key(struct jbi_sink *s, struct jbi_frame *top, const char *key, size_t len_bytes)
{
    static const uint8_t key_tag = 1 << 3 | JBI_WIRE_BYTES;
    int rc = jbi_sink_put(s, top->field->tag, top->field->tag_bytes);

    if (rc == 0)
        rc = jbi_sink_length_open(s, &top->start);
    if (rc == 0)
        rc = jbi_sink_put(s, &key_tag, 1);
    if (rc == 0)
        rc = jbi_sink_put_text(s, key, len_bytes);
    s->has_key = true;
    return rc;
}

int jbi_sink_key(struct jbi_sink *s, const char *key, size_t len_bytes)
{
    struct jbi_frame *top;

    if (s->n_frames == 0 || s->has_key)
        return JB_ESTATE;
    top = jbi_sink_top(s);
    switch (top->kind) {
    case JBI_FRAME_MESSAGE:
        return message_key(s, top, key, len_bytes);
    case JBI_FRAME_MAP:
        return map_key(s, top, key, len_bytes);
    case JBI_FRAME_RAW_OBJECT:
        return jbi_sink_raw_key(s, key, len_bytes);
    default:
        return JB_ESTATE;
    }
}

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

/* An element is complete: close its entry, count it. */
static int element_done(struct jbi_sink *s, struct jbi_frame *top)
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
    rc = element_done(s, top);
    if (rc == 0 && top->kind == JBI_FRAME_LIST)
        rc = block_close(s, top);
    if (rc < 0)
        return rc;
    return jbi_sink_extra_open(s, top->field->key, top->field->key_bytes, (int64_t)top->count - 1);
}

static int element_scalar(struct jbi_sink *s, struct jbi_frame *top, const struct jbi_token *token)
{
    int typed = element_typed(s, top, token);
    int rc = typed < 0 ? typed : element_done(s, top);

    if (rc < 0 || typed == JBI_TYPED_EXACT)
        return rc;
    if (top->kind == JBI_FRAME_LIST)
        rc = block_close(s, top);
    if (rc < 0)
        return rc;
    return jbi_sink_extra_scalar(s, top->field->key, top->field->key_bytes, (int64_t)top->count - 1,
                                 token);
}

/* The custom payload is JSON text inside a message of its own. */
static int custom_open(struct jbi_sink *s, const struct jbi_field_info *f)
{
    uint32_t outer;
    int rc = jbi_sink_put(s, f->tag, f->tag_bytes);

    if (rc == 0)
        rc = jbi_sink_length_open(s, &outer);
    if (rc < 0)
        return rc;
    f = &f->message->fields[0];
    return jbi_sink_raw_open(s, f->tag, f->tag_bytes, outer);
}

/* If the field that waits for its value holds JSON text, begin it. */
static int json_field_open(struct jbi_sink *s)
{
    const struct jbi_field_info *f = s->field;

    if (f->kind == JBI_KIND_JSON)
        return jbi_sink_raw_open(s, f->tag, f->tag_bytes, 0);
    if (f->kind == JBI_KIND_MESSAGE && jbi_message_is_text(f->message))
        return custom_open(s, f);
    return 0;
}

static int field_scalar(struct jbi_sink *s, const struct jbi_token *token)
{
    const struct jbi_field_info *f = s->field;
    struct jbi_frame *top = jbi_sink_top(s);
    bool is_type = top->message->is_event && f->number == NUMBER_TYPE;
    int rc = JBI_TYPED_NOT;

    s->has_key = false;
    if (is_type && token->type == JBI_TOKEN_STRING && token->text_bytes != 0)
        return jbi_sink_event_named(s, token->text, token->text_bytes);
    if (f->label == JBI_LABEL_SINGLE && f->kind != JBI_KIND_MESSAGE && !is_type)
        rc = jbi_sink_typed(s, f, f->tag, f->tag_bytes, token);
    if (rc == JBI_TYPED_COERCED || rc == JBI_TYPED_NOT)
        return jbi_sink_extra_scalar(s, s->field_key, s->field_key_bytes, -1, token);
    if (rc == JBI_TYPED_EXACT && top->pending != 0 && f->number == NUMBER_SUBTYPE)
        return jbi_sink_event_subtyped(s, token->text, token->text_bytes);
    return rc;
}

int jbi_sink_scalar(struct jbi_sink *s, const struct jbi_token *token)
{
    struct jbi_frame *top;
    int rc = 0;

    if (s->n_frames == 0)
        return JB_ESTATE;
    top = jbi_sink_top(s);
    if (top->kind != JBI_FRAME_LIST && top->kind != JBI_FRAME_RAW_LIST && !s->has_key)
        return JB_ESTATE;
    if (!s->in_raw && top->kind == JBI_FRAME_MESSAGE)
        rc = json_field_open(s);
    if (rc < 0)
        return rc;
    if (s->in_raw)
        return jbi_sink_raw_scalar(s, token);
    if (top->kind == JBI_FRAME_MESSAGE)
        return field_scalar(s, token);
    return element_scalar(s, top, token);
}

/* tag: three bytes, of which tag_bytes count. */
static int message_open(struct jbi_sink *s, const struct jbi_field_info *f, const uint8_t *tag,
                        size_t tag_bytes)
{
    struct jbi_frame *top;
    int rc = jbi_sink_room(s, sizeof f->tag + 1);

    if (rc < 0)
        return rc;
    memcpy(s->out + s->len, tag, sizeof f->tag);
    s->len += tag_bytes;
    s->out[s->len++] = 0;
    top = push(s, JBI_FRAME_MESSAGE);
    top->message = f->message;
    top->field = f;
    top->start = (uint32_t)s->len;
    return 0;
}

int jbi_sink_message_open(struct jbi_sink *s, const struct jbi_field_info *f)
{
    int rc = depth_check(s);

    return rc == 0 ? message_open(s, f, f->tag, f->tag_bytes) : rc;
}

/* A container for a field that waits for its value: 1 when it was opened typed, 0 when it must be
 * raw. */
static int field_container(struct jbi_sink *s, bool is_list)
{
    const struct jbi_field_info *f = s->field;
    int rc = json_field_open(s);

    if (rc < 0 || s->in_raw)
        return rc;
    if (!is_list && f->label == JBI_LABEL_SINGLE && f->kind == JBI_KIND_MESSAGE)
        rc = message_open(s, f, f->tag, f->tag_bytes);
    else if (is_list && f->label == JBI_LABEL_REPEATED)
        push(s, JBI_FRAME_LIST)->field = f;
    else if (!is_list && f->label == JBI_LABEL_MAP)
        push(s, JBI_FRAME_MAP)->field = f;
    else
        return jbi_sink_extra_open(s, s->field_key, s->field_key_bytes, -1);
    return rc < 0 ? rc : 1;
}

/* The same for the next element of a list or map. */
static int element_container(struct jbi_sink *s, struct jbi_frame *top, bool is_list)
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
    rc = message_open(s, f, tag, tag_bytes);
    return rc < 0 ? rc : 1;
}

static int container_open(struct jbi_sink *s, bool is_list)
{
    struct jbi_frame *top;
    bool is_list_field = false;
    int rc = 0;

    if (s->n_frames == 0)
        return JB_ESTATE;
    top = jbi_sink_top(s);
    if (top->kind != JBI_FRAME_LIST && top->kind != JBI_FRAME_RAW_LIST && !s->has_key)
        return JB_ESTATE;
    rc = depth_check(s);
    if (rc == 0 && !s->in_raw && top->kind == JBI_FRAME_MESSAGE) {
        is_list_field = s->field->label == JBI_LABEL_REPEATED;
        rc = field_container(s, is_list);
    } else if (rc == 0 && !s->in_raw) {
        rc = element_container(s, top, is_list);
    }
    if (rc != 0)
        return rc < 0 ? rc : 0;
    s->has_key = false;
    if (s->n_frames == s->raw_frames)
        s->raw_is_list_field = is_list_field;
    rc = jbi_sink_raw_begin_value(s, is_list ? "[" : "{");
    if (rc == 0)
        push(s, is_list ? JBI_FRAME_RAW_LIST : JBI_FRAME_RAW_OBJECT);
    return rc;
}

int jbi_sink_object_open(struct jbi_sink *s)
{
    return container_open(s, false);
}

int jbi_sink_list_open(struct jbi_sink *s)
{
    return container_open(s, true);
}

/* An empty list or map has no presence in protobuf: say so in an Extra. */
static int empty_close(struct jbi_sink *s, struct jbi_frame *top)
{
    int rc = top->kind == JBI_FRAME_LIST ? block_close(s, top) : 0;

    if (rc < 0 || top->count != 0)
        return rc;
    return jbi_sink_extra_text(s, top->field->key, top->field->key_bytes,
                               top->kind == JBI_FRAME_LIST ? "[]" : "{}");
}

static int message_close(struct jbi_sink *s, struct jbi_frame *top)
{
    int rc = top->message->is_event ? jbi_sink_event_settle(s) : 0;

    if (rc == 0 && top->has_twice)
        rc = jbi_sink_clear_twice(s);
    if (rc == 0 && s->has_non_finite)
        rc = jbi_sink_mark_non_finite(s);
    if (rc == 0 && s->n_frames > 1)
        rc = jbi_sink_length_close(s, top->start);
    s->n_frames--;
    if (rc < 0 || s->n_frames == 0)
        return rc;
    top = jbi_sink_top(s);
    if (top->kind != JBI_FRAME_MESSAGE)
        return element_done(s, top);
    return 0;
}

int jbi_sink_close(struct jbi_sink *s)
{
    struct jbi_frame *top;
    int rc;

    if (s->n_frames == 0 || s->has_key)
        return JB_ESTATE;
    top = jbi_sink_top(s);
    switch (top->kind) {
    case JBI_FRAME_MESSAGE:
        return message_close(s, top);
    case JBI_FRAME_LIST:
    case JBI_FRAME_MAP:
        s->n_frames--;
        rc = empty_close(s, top);
        return rc;
    default:
        return jbi_sink_raw_close(s);
    }
}
