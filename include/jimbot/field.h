/**
 * jimbot/field.h: one field of an event, by its path; one column of a batch.
 *
 * A path is compiled once and read out of any number of events. Everything here is a pure function
 * of bytes that may come from anybody. For all fields of an event there is jimbot/view.h.
 */
#ifndef JIMBOT_FIELD_H
#define JIMBOT_FIELD_H

#include "jimbot/event.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a value of a field is. At the end of a path (jb_field_parse()) is one of the first five;
 * the others are met by a walk (jimbot/view.h). */
enum jb_field_kind {
    JB_FIELD_UNKNOWN = 0, /**< of a newer schema */
    JB_FIELD_BOOL = 1,
    JB_FIELD_INT = 2,
    JB_FIELD_DOUBLE = 3,
    JB_FIELD_STRING = 4,
    JB_FIELD_ENUM = 5,
    JB_FIELD_MESSAGE = 6,
    JB_FIELD_JSON = 7 /**< a string that holds JSON text of any value */
};

/** A compiled path to one scalar of an event. A value: copy it freely. Fill in with
 * jb_field_parse() only. */
typedef struct jb_field {
    uint32_t size;
    uint16_t kind;         /**< enum jb_field_kind */
    uint16_t n_numbers;    /**< how many of numbers[] are used */
    uint32_t type_mask_lo; /**< event types (bit n = enum jb_event_type n) that can hold the field,
                              for skipping others */
    uint32_t type_mask_hi;
    uint32_t numbers[12]; /**< protobuf field numbers from the event down */
} jb_field;

/**
 * Compile a path of protobuf field names, e.g. "game_state.money", "timestamp",
 * "score_changed.new_chips", "learning_decision_request.game_state.ante". Repeated fields have no
 * column; `name.length` gives their element count: 0 for an empty list, absent where the message
 * around it is.
 *
 * @return 0, or JB_ENOENT (no such field; the message says which part), JB_EINVAL (not a scalar, or
 * a path too deep).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_field_parse(const char *path, size_t len_bytes, jb_field *ret_field, jb_error *err);

/**
 * Read one number out of an event. Bools give 0 or 1, enums their number, doubles are truncated
 * toward zero and clamped.
 *
 * @return 1 and the value; 0 when the event has no such field (ret_value untouched); JB_EPROTO on
 * malformed bytes, JB_EINVAL when the field is a string.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_field_get_int(const jb_field *field, const void *data, size_t len_bytes,
                            int64_t *ret_value);

/**
 * Read one number out of an event as a double.
 *
 * @return as jb_field_get_int().
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_field_get_double(const jb_field *field, const void *data, size_t len_bytes,
                               double *ret_value);

/**
 * Find a string in an event.
 *
 * @param ret_value  borrowed from `data`, not NUL-terminated.
 *
 * @return as jb_field_get_int(); JB_EINVAL when the field is not a string.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_field_get_string(const jb_field *field, const void *data, size_t len_bytes,
                               const char **ret_value, size_t *ret_bytes);

/**
 * Read one column of a batch: out[i] is the field of events[i], 0 where it is absent.
 *
 * @param out    room for n doubles.       @param valid  room for n bytes, 1 = present, 0 = absent
 * or malformed; may be NULL.
 *
 * @return how many were present, or JB_EINVAL.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int64_t jb_field_column_double(const jb_field *field, const jb_event *events, size_t n,
                                      double *out, uint8_t *valid);

/**
 * Read one column of a batch as integers; see jb_field_column_double() and jb_field_get_int().
 *
 * @return how many were present, or JB_EINVAL.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int64_t jb_field_column_int(const jb_field *field, const jb_event *events, size_t n,
                                   int64_t *out, uint8_t *valid);

#ifdef __cplusplus
}
#endif
#endif
