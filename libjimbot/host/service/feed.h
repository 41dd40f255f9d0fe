/*
 * feed: a network client's subscription: a jb_sub that the loop watches.
 *
 * fn is called when there may be something to peek at, and then not again before a jbi_feed_peek()
 * has returned 0 or a jbi_feed_take() has failed. So a client that does not read costs no wake-up:
 * its owner peeks when the connection has room again, in the pump() of its protocol.
 *
 *     static void on_feed(jbi_feed *feed, void *userdata) { jbi_conn_wake(userdata); }
 *
 *     void pump(jbi_conn *c)
 *         while (!jbi_conn_is_full(c) && (n = jbi_feed_peek(feed, &events, 64)) > 0)
 *             len = c->out.open.len;
 *             append n events
 *             if (jbi_feed_take(feed, n, c->out.open.len - len) == JB_EEVICTED)
 *                 c->out.open.len = len; // they may have been torn; the next peek tells of it
 *                 break;                 // fn is called: whoever is evicted each time yields
 *         if (n < 0) the feed has ended: close it and say so
 *
 * Invariant: an event is peeked at, taken, and counted in this order; it is never taken before its
 * bytes lie in the buffer of the connection. Nothing is buffered here: what is not taken waits in
 * the ring, as the policy of the subscription says.
 */
#ifndef JBI_HOST_FEED_H
#define JBI_HOST_FEED_H

#include "host/text/slice.h"
#include "jimbot/stats.h"

struct jb_host;

enum { JBI_FEED_PATTERNS = 64, JBI_FEED_EVENTS = 64, JBI_FEED_TYPES = 64 };

enum jbi_feed_start {
    JBI_FEED_NOW = 0,
    JBI_FEED_OLDEST = 1,
    JBI_FEED_SEQUENCE = 2 /* with start_sequence or the oldest after it. One that the bus has not
                             reached is of an older bus of that name: then with the oldest */
};

typedef struct jbi_feed jbi_feed;
typedef void (*jbi_feed_fn)(jbi_feed *feed, void *userdata);

/* What to read. All is borrowed for the time of jbi_feed_open(). */
typedef struct jbi_feed_opts {
    const jbi_slice *patterns;
    uint32_t n_patterns;     /* 1 .. JBI_FEED_PATTERNS */
    uint32_t policy;         /* enum jb_sub_policy */
    uint64_t types;          /* bit of each enum jb_event_type that is wanted; 0: all, as conflate
                                wants it */
    uint64_t start_sequence; /* for JBI_FEED_SEQUENCE, 1 and more */
    uint64_t evict_after_ns; /* lossless, 0: never */
    uint32_t start;          /* enum jbi_feed_start */
    bool is_high_first;      /* lossless only */
    jbi_slice name;          /* for statistics, cut off after 31 bytes */
    const char *via;         /* "websocket", "sse", "grpc"; static */
} jbi_feed_opts;

struct jbi_feed_poll;

struct jbi_feed {
    struct jb_host *host;
    jb_sub *sub;
    struct jbi_feed_poll *poll; /* outlives the feed until libuv has let go of it */
    jbi_feed *prev;             /* in service.feeds */
    jbi_feed *next;
    jbi_feed_fn fn;
    void *userdata;
    const char *via;
    uint64_t types;
    uint64_t from;        /* events before this sequence are passed over; 0 when none is to come */
    uint64_t n_carried;   /* missed, to be told with the next event */
    uint64_t n_trailing;  /* the same, after the last event shown */
    uint64_t first;       /* no event before this one will come */
    uint64_t n_delivered; /* figures, all only grow */
    uint64_t n_missed;
    uint64_t n_bytes;
    uint32_t n_raw; /* events of the subscription that the last peek looked at */
    uint32_t n_shown;
    bool is_told;    /* fn was called and nothing was peeked to its end since */
    bool is_stopped; /* not watched, because it was told and did not look */
    bool is_listed;
    bool is_high_first;
    char name[32];
    char pattern[JB_TOPIC_MAX_BYTES + 1]; /* the first */
    uint32_t policy;
    uint8_t raw_idx[JBI_FEED_EVENTS]; /* of each event shown, among those looked at */
    jb_event events[JBI_FEED_EVENTS];
};

/* Returns 0, or JB_EINVAL (no pattern, a pattern that is none, options that do not go together),
 * JB_ELIMIT (the bus has no more subscriptions), JB_ENOMEM, JB_ESYS; err says which and what. */
int jbi_feed_open(struct jb_host *host, const jbi_feed_opts *opts, jbi_feed_fn fn, void *userdata,
                  jbi_feed **ret_feed, jb_error *err);

/* End it; also from within fn. NULL is fine. */
void jbi_feed_close(jbi_feed *feed);

/* Show up to n_max wanted events, borrowed until jbi_feed_take(). Returns how many, 0: none now, fn
 * will be called; or JB_ECORRUPT: it has ended. */
int jbi_feed_peek(jbi_feed *feed, const jb_event **ret_events, uint32_t n_max);

/* Take the first n of what was shown, which became n_bytes on the wire. Returns 0; or JB_EEVICTED:
 * nothing was taken, and what was shown may have changed while it was read: forget what was made
 * of it, and look again when fn is called. */
int jbi_feed_take(jbi_feed *feed, uint32_t n, size_t n_bytes);

#endif
