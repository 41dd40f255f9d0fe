/**
 * jimbot/view.h: an event's fields, read where they lie.
 *
 * A view is a place in the bytes of a message. jb_view_next() gives the field it stands on and
 * moves on; a field that is a message is entered with jb_view_enter(). Nothing is copied or
 * allocated: texts point into the event, which must stay as it is while it is read.
 *
 * @code
 *     static void print(jb_view view, int indent)
 *     {
 *         jb_value value;
 *         jb_view inner;
 *
 *         while (jb_view_next(&view, &value, NULL) == 1) {
 *             printf("%*s%s", indent, "", value.name != NULL ? value.name : "?");
 *             if (value.kind == JB_FIELD_STRING)
 *                 printf(" %.*s", (int)value.len_bytes, value.text);
 *             putchar('\n');
 *             if (jb_view_enter(&view, &value, &inner) == 0)
 *                 print(inner, indent + 2);
 *         }
 *     }
 *
 *     jb_view event;
 *     if (jb_view_open(data, len_bytes, &event) == 0)
 *         print(event, 0);
 * @endcode
 *
 * What a walk has to know:
 *
 * - Fields come in the order of the bytes. Of a field that is not a list and comes twice, the last
 *   counts. A list comes value by value under one number, packed or not; so does a map, whose
 *   values have a key.
 * - A key or value that the schema cannot express lies in the list `extras` (number 15) of the
 *   message it stood in: {key, idx, json}. It replaces the field of that key, where there is one.
 * - Fields of a newer schema come as JB_FIELD_UNKNOWN, without a name.
 *
 * Bytes may come from anybody: every step is checked, and messages lie in messages at most 64 deep,
 * so a walk may recurse. For one field known by its path, jimbot/field.h is shorter.
 */
#ifndef JIMBOT_VIEW_H
#define JIMBOT_VIEW_H

#include "jimbot/field.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A place in a message. A value: a copy remembers the place. Fill in with the calls below only;
 * all members are private. */
typedef struct jb_view {
    const uint8_t *pos;   /**< the next field, or the next number of a packed list */
    const uint8_t *end;   /**< of the message */
    const uint8_t *event; /**< first byte of the event */
    const void *type;     /**< what message it is */
    const void *list;     /**< the packed list that is being read, or NULL */
    const uint8_t *list_end;
    uint32_t depth; /**< messages around this one */
    uint32_t _reserved;
} jb_view;

/** One value of a field. Which members are set depends on its kind; texts are borrowed from the
 * event and not NUL-terminated. */
typedef struct jb_value {
    const char
        *name; /**< the field's protobuf name, NUL-terminated, static storage; NULL: unknown */
    const void *type; /**< private */
    const char
        *text; /**< STRING, JSON: UTF-8; MESSAGE: its bytes; UNKNOWN: the bytes after the tag */
    const char *key;    /**< of a value in a map; otherwise NULL */
    int64_t integer;    /**< BOOL: 0 or 1; INT; ENUM: its number */
    double real;        /**< DOUBLE */
    uint32_t len_bytes; /**< length of text */
    uint32_t key_bytes; /**< length of key; set with it */
    uint32_t number;    /**< the field's protobuf number */
    uint32_t kind;      /**< enum jb_field_kind */
} jb_value;

/**
 * Begin to read a serialised jimbot.v1.Event.
 *
 * @param data      borrowed while views of it are used.
 * @param ret_view  stands on the first field.
 *
 * @return 0, or JB_EINVAL (NULL with a length), JB_ETOOBIG (more than JB_EVENT_MAX_BYTES).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_view_open(const void *data, size_t len_bytes, jb_view *ret_view);

/**
 * Read the next value of the message.
 *
 * @param ret_value  to be looked at only when there is one.
 *
 * @return 1 and a value; 0 at the end of the message; JB_EPROTO (truncated, bad wire type, invalid
 * UTF-8): err->offset is the byte of the event, the view stays where it is. JB_EINVAL (NULL).
 *
 * Threads: one at a time per view. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_view_next(jb_view *view, jb_value *ret_value, jb_error *err);

/**
 * Begin to read a value that is a message.
 *
 * @param view       where the value came from; it is not moved.
 * @param ret_inner  stands on the message's first field; not `view` itself.
 *
 * @return 0, or JB_EINVAL (not a message, not of this event), JB_EPROTO (nested more than 64 deep).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_view_enter(const jb_view *view, const jb_value *value, jb_view *ret_inner);

/**
 * Look for a field of that number in what is left of a message; of several values the last.
 *
 * @param view  is not moved.
 *
 * @return 1 and the value; 0 when there is none; JB_EPROTO as jb_view_next(), which names the
 * offset; JB_EINVAL (NULL).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_view_find(const jb_view *view, uint32_t number, jb_value *ret_value, jb_error *err);

/**
 * Look for the payload of an event: the value for jb_view_enter(), whose name tells which it is,
 * e.g. "game_state".
 *
 * @param event  a view of an event, which stands before its payload; it is not moved.
 *
 * @return as jb_view_find().
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_view_payload(const jb_view *event, jb_value *ret_value, jb_error *err);

/**
 * Name of a value that is an enum, as clients spell it in JSON: "Hearts", "SHOP". NULL when the
 * value is none, or its number has no name in this version of the schema. NUL-terminated, static
 * storage.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API const char *jb_value_enum_name(const jb_value *value);

#ifdef __cplusplus
}
#endif
#endif
