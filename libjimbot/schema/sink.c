/*
 * The sink's containers: see sink.h.
 *
 * A message frame has its own bytes in out and a length byte before them; that of a group shares
 * those of the message around it. Frames of lists and maps have next to none: see sink_list.c.
 */
#include "schema/sink_parts.h"

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
    s->has_key = s->in_raw = s->is_bare = s->is_strict_type = s->has_non_finite = false;
    memset(s->quirks.n, 0, sizeof s->quirks.n);
    s->may_have_twice = false;
    s->n_objects = 0;
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

    /* Who gives an event value by value need not know what a dialect calls the payload. */
    if (s->is_strict_type && s->dialect != jbi_dialects && len_bytes == 7 &&
        memcmp(key, "payload", 7) == 0)
        return t->payload;
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

    if (is_type && s->is_strict_type && (top->type != 0 || top->pending != 0))
        return 0;
    rc = jbi_sink_key_twice(s);
    /* A type that is none leaves the one before in its place: see jbi_sink_event_named(). */
    if (rc == 0 && is_type)
        top->has_twice = top->has_type_twice = true;
    top->has_subtype_twice |= top->message->is_event && f->number == NUMBER_SUBTYPE;
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

/* The payload comes; what came under its key before its type is not going to be read. */
static int drop_late(struct jbi_sink *s, struct jbi_frame *top, const char *key, size_t len_bytes)
{
    if (jbi_sink_find_extra(s, key, len_bytes).data == NULL)
        return 0;
    if (jbi_sink_key_twice(s) < 0)
        return JB_EEVENT;
    jbi_sink_drop(s, 0, key, len_bytes);
    top->is_late = jbi_sink_find_extra(s, "payload", 7).data != NULL ||
                   jbi_sink_find_extra(s, "data", 4).data != NULL;
    return 0;
}

static int message_key(struct jbi_sink *s, struct jbi_frame *top, const char *key, size_t len_bytes)
{
    const struct jbi_field_info *f = jbi_field_by_key(top->message, key, len_bytes);

    if (f == NULL && (top->message->is_event || top->type != 0)) {
        f = payload_field(s, top, key, len_bytes);
        if (f != NULL)
            s->field_key = s->dialect->types[top->type].payload_key;
        if (f != NULL && top->is_late && drop_late(s, top, key, len_bytes) < 0)
            return JB_EEVENT;
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
    int rc;

    jbi_sink_note_key(s, top, key, len_bytes);
    rc = jbi_sink_put(s, top->field->tag, top->field->tag_bytes);

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
    if (token->type == JBI_TOKEN_NULL && s->dialect->is_normalised) {
        top->seen[f->idx >> 6] &= ~((uint64_t)1 << (f->idx & 63));
        return 0;
    }
    if (is_type && token->type == JBI_TOKEN_STRING && token->text_bytes != 0)
        return jbi_sink_event_named(s, token->text, token->text_bytes);
    if (f->label == JBI_LABEL_SINGLE && f->kind != JBI_KIND_MESSAGE && !is_type)
        rc = jbi_sink_typed(s, f, f->tag, f->tag_bytes, token);
    if (jbi_sink_is_kept(s, rc))
        return jbi_sink_extra_scalar(s, s->field_key, s->field_key_bytes, -1, token);
    if (rc >= 0 && top->pending != 0 && f->number == NUMBER_SUBTYPE)
        return jbi_sink_event_subtyped(s, token->text, token->text_bytes);
    return rc < 0 ? rc : 0;
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
    return jbi_sink_element_scalar(s, top, token);
}

int jbi_sink_message_begin(struct jbi_sink *s, const struct jbi_field_info *f, const uint8_t *tag,
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

/* Members of the message go on, by other keys. */
static int group_open(struct jbi_sink *s, const struct jbi_field_info *f)
{
    const struct jbi_frame *around = jbi_sink_top(s);
    struct jbi_frame *top = push(s, JBI_FRAME_MESSAGE);

    top->message = f->message;
    top->field = f;
    top->start = around->start;
    top->cleared_bytes = around->cleared_bytes;
    return 0;
}

static int object_open(struct jbi_sink *s, const struct jbi_field_info *f)
{
    return f->kind == JBI_KIND_GROUP ? group_open(s, f)
                                     : jbi_sink_message_begin(s, f, f->tag, f->tag_bytes);
}

int jbi_sink_message_open(struct jbi_sink *s, const struct jbi_field_info *f)
{
    int rc = depth_check(s);

    return rc == 0 ? object_open(s, f) : rc;
}

/* A container that is not what the field holds. A number may still be told by it. */
static int other_container(struct jbi_sink *s, bool is_list)
{
    const struct jbi_field_info *f = s->field;
    int rc = jbi_sink_extra_open(s, s->field_key, s->field_key_bytes, -1);

    if (!is_list && f->kind == JBI_KIND_DOUBLE && f->label == JBI_LABEL_SINGLE)
        s->raw_number = f;
    return rc;
}

/* A container for a field that waits for its value: 1 when it was opened typed, 0 when it must be
 * raw. */
static int field_container(struct jbi_sink *s, bool is_list)
{
    const struct jbi_field_info *f = s->field;
    int rc = json_field_open(s);

    if (rc < 0 || s->in_raw)
        return rc;
    if (!is_list && jbi_is_object(f))
        rc = object_open(s, f);
    else if (is_list && f->label == JBI_LABEL_REPEATED)
        push(s, JBI_FRAME_LIST)->field = f;
    else if (!is_list && f->label == JBI_LABEL_MAP)
        push(s, JBI_FRAME_MAP)->field = f;
    else
        return other_container(s, is_list);
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
        rc = jbi_sink_element_container(s, top, is_list);
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

/* What is left of a group is to be done when its message closes. */
static int group_close(struct jbi_sink *s, const struct jbi_frame *top)
{
    const struct jbi_field_info *f = top->field;
    bool is_empty = (top->seen[0] | top->seen[1] | top->bloom) == 0;
    struct jbi_frame *around;

    s->n_frames--;
    around = jbi_sink_top(s);
    around->has_twice |= top->has_twice;
    around->cleared_bytes = top->cleared_bytes;
    return is_empty ? jbi_sink_extra_text(s, f->key, f->key_bytes, "{}") : 0;
}

/* Of the payloads of an event that names them by their own keys, one may be there. */
static int check_payloads(struct jbi_sink *s, const struct jbi_frame *top)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < top->message->n_fields; i++) {
        const struct jbi_field_info *f = &top->message->fields[i];

        n += (f->flags & JBI_FIELD_PAYLOAD) != 0 && (top->seen[i >> 6] >> (i & 63) & 1) != 0;
    }
    if (n < 2)
        return 0;
    s->why = "an event has one payload";
    return JB_EEVENT;
}

static int message_close(struct jbi_sink *s, struct jbi_frame *top)
{
    int rc = top->message->is_event ? jbi_sink_event_settle(s) : 0;

    if (top->message->group != 0)
        return group_close(s, top);
    if (s->dialect->is_normalised && top->message == s->dialect->event)
        rc = check_payloads(s, top);
    if (rc == 0 && top->has_twice)
        rc = jbi_sink_clear_twice(s);
    if (rc == 0 && s->has_non_finite && !s->dialect->is_normalised)
        rc = jbi_sink_mark_non_finite(s);
    if (rc == 0 && s->n_frames > 1)
        rc = jbi_sink_length_close(s, top->start);
    s->n_frames--;
    if (rc < 0 || s->n_frames == 0)
        return rc;
    top = jbi_sink_top(s);
    if (top->kind != JBI_FRAME_MESSAGE)
        return jbi_sink_element_done(s, top);
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
        rc = jbi_sink_list_close(s, top);
        return rc;
    default:
        return jbi_sink_raw_close(s);
    }
}
