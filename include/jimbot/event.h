/**
 * jimbot/event.h: what an event is when it lies in the ring: a small fixed header and a protobuf
 * payload.
 *
 * The payload is a serialised `jimbot.v1.Event` (proto/jimbot/v1/event.proto), whoever published it
 * and by whatever way. The header repeats what a reader needs in order to decide whether the event
 * is for it, so that filtering never touches the payload.
 */
#ifndef JIMBOT_EVENT_H
#define JIMBOT_EVENT_H

#include "jimbot/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Limits that hold for every bus. */
enum {
    JB_EVENT_MAX_BYTES = 1048576 + 65536, /**< largest payload: 1 MiB and room for its envelope */
    JB_TOPIC_MAX_BYTES = 127              /**< longest topic name or pattern */
};

/**
 * Type of an event. The numbers are those of `jimbot.v1.EventType` and never change; a test holds
 * both lists together. A type the library does not know is JB_EVENT_CUSTOM, its name and payload
 * kept as they came.
 */
enum jb_event_type {
    JB_EVENT_UNSPECIFIED = 0,
    JB_EVENT_CONNECTION_TEST = 1,
    JB_EVENT_HEARTBEAT = 2,
    JB_EVENT_GAME_STATE = 3,
    JB_EVENT_MONEY_CHANGED = 4,
    JB_EVENT_SCORE_CHANGED = 5,
    JB_EVENT_HAND_PLAYED = 6,
    JB_EVENT_CARDS_DISCARDED = 7,
    JB_EVENT_JOKERS_CHANGED = 8,
    JB_EVENT_ROUND_CHANGED = 9,
    JB_EVENT_PHASE_CHANGED = 10,
    JB_EVENT_ROUND_COMPLETE = 11,
    JB_EVENT_JOKER_TRIGGER = 12,
    JB_EVENT_SCORING = 13,
    JB_EVENT_LEARNING_DECISION_REQUEST = 14,
    JB_EVENT_LEARNING_DECISION_RESPONSE = 15,
    JB_EVENT_STRATEGY_REQUEST = 16,
    JB_EVENT_STRATEGY_RESPONSE = 17,
    JB_EVENT_KNOWLEDGE_QUERY = 18,
    JB_EVENT_KNOWLEDGE_UPDATE = 19,
    JB_EVENT_METRIC = 20,
    JB_EVENT_ERROR = 21,
    JB_EVENT_DIAGNOSTIC = 22,
    JB_EVENT_GAME_START = 23,
    JB_EVENT_GAME_OVER = 24,
    JB_EVENT_BLIND_DEFEATED = 25,
    JB_EVENT_SHOP_ENTERED = 26,
    JB_EVENT_CARD_PURCHASED = 27,
    JB_EVENT_CARD_SOLD = 28,
    JB_EVENT_CARD_ENHANCED = 29,
    JB_EVENT_STATE_SNAPSHOT = 30,
    JB_EVENT_COMMAND = 31,
    JB_EVENT_CUSTOM = 32
};

/** Priority as the publisher gave it. */
enum jb_priority { JB_PRIORITY_NORMAL = 0, JB_PRIORITY_LOW = 1, JB_PRIORITY_HIGH = 2 };

/** Marks of events that request.h made. */
enum jb_event_flags {
    JB_EVENT_IS_REQUEST = 1, /**< `key` is its correlation id; jb_reply() answers it */
    JB_EVENT_IS_REPLY = 2    /**< `key` is that of its request */
};

/** What a publisher says about an event besides its payload. Zero-initialise, then fill in. */
typedef struct jb_event_head {
    uint32_t topic_id;  /**< from jb_bus_topic(); 0 is refused */
    uint16_t type;      /**< enum jb_event_type */
    uint8_t priority;   /**< enum jb_priority */
    uint8_t flags;      /**< 0, or one of enum jb_event_flags */
    double source_time; /**< the source's own timestamp as it gave it (BalatroMCP: milliseconds),
                           NaN when none */
    uint32_t key; /**< what the event is about within its topic, where that matters (a table, a
                     card); a conflating subscription keeps the newest of each topic and key. The
                     correlation id of requests and replies. Else 0 */
    uint32_t _reserved;
} jb_event_head;

/**
 * One event as a subscriber sees it. Filled by jb_sub_peek(); `payload` is borrowed until
 * jb_sub_advance().
 */
typedef struct jb_event {
    uint64_t sequence; /**< 1, 2, 3 … in ring order, the same for every reader of the bus; gaps are
                          `n_missed` or other topics */
    uint64_t time_ns;  /**< when it was published, monotonic */
    double source_time;     /**< jb_event_head.source_time */
    const uint8_t *payload; /**< serialised jimbot.v1.Event; 8-byte aligned */
    uint64_t n_missed;  /**< events of any topic that were overwritten between the event before and
                           this one; 0  on a lossless subscription */
    uint32_t len_bytes; /**< payload length */
    uint32_t topic_id;  /**< see jb_bus_topic_name() */
    uint32_t publisher; /**< peer number of the publisher, see jb_bus_peer_stats() */
    uint16_t type;      /**< enum jb_event_type */
    uint8_t priority;   /**< enum jb_priority */
    uint8_t flags;      /**< enum jb_event_flags */
    uint32_t key;       /**< jb_event_head.key */
    uint32_t n_deliveries; /**< by a consumer group: to a worker, this time included; else 0 */
} jb_event;

#ifdef __cplusplus
}
#endif
#endif
