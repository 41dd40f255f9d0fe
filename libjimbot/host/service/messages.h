/*
 * messages: the messages of jimbot.v1.EventBus as bytes: fields in, fields out.
 *
 * Written and read where they lie, on the schema room's wire functions: an Event inside is a slice
 * of the message it came in, and goes out as the bytes that lie in the ring.
 *
 * Invariant: a reader accepts only a message that is sound to its last byte and fits the limits
 * told; what it returns are slices of its input. Fields it does not know are passed over.
 */
#ifndef JBI_HOST_MESSAGES_H
#define JBI_HOST_MESSAGES_H

#include "host/service/feed.h"
#include "host/text/msgfield.h"

/* OutgoingEvent. */
typedef struct jbi_msg_outgoing {
    jbi_slice event; /* data is NULL when there is none */
    jbi_slice topic; /* data is NULL when there is none */
    uint32_t key;
} jbi_msg_outgoing;

/* SubscribeRequest. What was absent has its default. */
typedef struct jbi_msg_subscribe {
    jbi_slice patterns[JBI_FEED_PATTERNS];
    uint32_t n_patterns;
    uint32_t policy; /* enum jb_sub_policy */
    uint32_t start;  /* enum jbi_feed_start */
    uint32_t max_events;
    uint64_t types; /* as in jbi_feed_opts */
    uint64_t start_sequence;
    uint64_t linger_ns;
    uint64_t idle_ns;
    uint64_t evict_after_ns;
    jbi_slice name;
    bool is_high_first;
} jbi_msg_subscribe;

/* Each returns NULL, or what is wrong, static text. */
const char *jbi_msg_read_outgoing(jbi_slice message, jbi_msg_outgoing *ret);
const char *jbi_msg_read_subscribe(jbi_slice message, jbi_msg_subscribe *ret);

/* The defaults; and what is wrong with it as a whole. */
void jbi_msg_subscribe_init(jbi_msg_subscribe *m);
const char *jbi_msg_subscribe_check(const jbi_msg_subscribe *m);

/* Numbers of the enums, from those of the schema. False: there is no such one. */
bool jbi_msg_policy(uint64_t number, uint32_t *ret_policy);
bool jbi_msg_start(uint64_t number, uint32_t *ret_start);

/* The same as options of a feed; `via` and a name where it gave none are the caller's to add. */
void jbi_msg_feed_opts(const jbi_msg_subscribe *m, jbi_feed_opts *ret);

#endif
