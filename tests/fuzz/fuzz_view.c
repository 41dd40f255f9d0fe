/*
 * A walk over bytes that claim to be an event (jimbot/view.h), beside jb_event_inspect().
 *
 * What must hold: nothing crashes or is read outside of the bytes; what inspect accepts is walked
 * to its end; what it calls malformed is found malformed by a walk that enters every message.
 */

#include "jimbot/schema.h"
#include "jimbot/view.h"
#include "target.h"

static const uint8_t *begin;
static const uint8_t *end;

static void check_value(const jb_value *value)
{
    bool has_text = value->kind >= JB_FIELD_MESSAGE || value->kind == JB_FIELD_STRING ||
                    value->kind == JB_FIELD_UNKNOWN;
    const uint8_t *text = (const uint8_t *)value->text;

    require((value->name == NULL) == (value->kind == JB_FIELD_UNKNOWN));
    if (has_text && value->len_bytes != 0)
        require(text >= begin && value->len_bytes <= (size_t)(end - text));
    if (value->key != NULL && value->key_bytes != 0)
        require((const uint8_t *)value->key >= begin && (const uint8_t *)value->key < end);
}

/* 0 when every step was sound. */
static int walk(jb_view view)
{
    jb_value value;
    jb_view inner;
    jb_error err;
    int rc;

    jb_error_init(&err);
    while ((rc = jb_view_next(&view, &value, &err)) == 1) {
        check_value(&value);
        if (value.kind == JB_FIELD_ENUM)
            (void)jb_value_enum_name(&value);
        if (value.kind != JB_FIELD_MESSAGE || value.len_bytes == 0)
            continue;
        rc = jb_view_enter(&view, &value, &inner);
        require(rc == 0 || rc == JB_EPROTO);
        if (rc < 0 || (rc = walk(inner)) < 0)
            return rc;
    }
    require(rc == 0 || (rc == JB_EPROTO && err.offset <= (size_t)(end - begin)));
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    jb_encoded encoded;
    jb_value value;
    jb_view view;
    int rc;

    begin = data;
    end = data + size;
    rc = jb_view_open(data, size, &view);
    if (rc < 0)
        return rc == JB_ETOOBIG ? 0 : (abort(), 0);
    rc = jb_event_inspect(data, size, &encoded, NULL);
    require((walk(view) < 0) == (rc == JB_EPROTO));
    if (rc == 0 && jb_view_payload(&view, &value, NULL) == 1)
        require(value.kind == JB_FIELD_MESSAGE && value.number >= 32);
    return 0;
}
