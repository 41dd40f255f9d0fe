/**
 * jimbot/items.h: many values of an event in one call.
 *
 * What jb_encoder_key(), jb_encoder_string() and the others of schema.h say one by one, a list of
 * items says at once: for bindings, which pay for every crossing of their border. Keys that come in
 * the order in which they came last time are found fastest.
 *
 * @code
 *     jb_item items[] = {
 *         {.kind = JB_ITEM_OBJECT, .key = "payload", .key_bytes = 7},
 *         {.kind = JB_ITEM_DOUBLE, .key = "money", .key_bytes = 5, .number = 13},
 *         {.kind = JB_ITEM_CLOSE},
 *     };
 *     jb_encoder_begin(enc, "GAME_STATE", 10, NULL, 0);
 *     jb_encoder_items(enc, items, 3);
 *     jb_encoder_end(enc, &ev, &err);
 * @endcode
 */
#ifndef JIMBOT_ITEMS_H
#define JIMBOT_ITEMS_H

#include "jimbot/schema.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What an item does. */
enum jb_item_kind {
    JB_ITEM_NULL = 0,
    JB_ITEM_BOOL = 1,   /**< of `integer`: 0 or 1 */
    JB_ITEM_INT = 2,    /**< of `integer` */
    JB_ITEM_DOUBLE = 3, /**< of `number` */
    JB_ITEM_STRING = 4, /**< of `text` */
    JB_ITEM_OBJECT = 5, /**< opens an object */
    JB_ITEM_LIST = 6,   /**< opens a list */
    JB_ITEM_CLOSE = 7   /**< closes what was opened last; has no key */
};

/** One value, with its key where it stands in an object. */
typedef struct jb_item {
    const char *key;     /**< need not be NUL-terminated; NULL: none, as in a list */
    const char *text;    /**< need not be NUL-terminated */
    int64_t integer;     /**< see kind */
    double number;       /**< see kind */
    uint32_t key_bytes;  /**< length of key */
    uint32_t text_bytes; /**< length of text */
    uint32_t kind;       /**< enum jb_item_kind */
    uint32_t _reserved;  /**< 0 */
} jb_item;

/**
 * Give the next n values to an event that jb_encoder_begin() opened. Lists may be cut anywhere, and
 * single calls may come between them.
 *
 * @param items  borrowed for the call; members that the kind does not use are not looked at.
 *
 * @return as the single calls: 0, or the first failure since jb_encoder_begin(). JB_EINVAL also for
 * a kind that does not exist.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_items(jb_encoder *encoder, const jb_item *items, size_t n);

#ifdef __cplusplus
}
#endif
#endif
