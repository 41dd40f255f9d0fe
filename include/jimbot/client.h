/**
 * jimbot/client.h: the bus from afar (libjimbot-client): publish, subscribe and send commands over
 * a WebSocket, gRPC or HTTP to a jimbotd, or straight through shared memory, with one set of calls.
 *
 * @code
 *     jb_client *client;
 *     jb_client_sub *sub;
 *     jb_client_event ev[64];
 *     jb_error err;
 *
 *     jb_client_open("ws://127.0.0.1:8080", NULL, &client, &err); // returns at once
 *     jb_client_subscribe(client, "command.>", 9, NULL, &sub, &err);
 *     for (;;) { // once per frame
 *         jb_client_publish_encoded(client, &encoded); // a copy into memory, nothing else
 *         int n = jb_client_sub_peek(sub, ev, 64);
 *         for (int i = 0; i < n; i++)
 *             use(&ev[i]);
 *         jb_client_sub_advance(sub);
 *     }
 *     jb_client_sub_close(sub);
 *     jb_client_close(client, 1000000000); // what still waits has a second to leave
 * @endcode
 *
 * Caveats first:
 *  - Publishing succeeds when the event lies in the client's own buffer, not when it is on the bus.
 * What became of it is in jb_client_stats: n_published = n_accepted + n_duplicates + n_refused +
 * n_dropped + n_waiting at any time, and nothing leaves the buffer but into one of these.
 *  - What is promised: events arrive in the order they were published, each at least once unless it
 * is counted as refused or dropped. A connection that ends before the server has answered makes the
 * last batch go out again; the server knows its events by their event_id, which is why the client
 * gives one to each event that has none. So an event arrives exactly once as long as it meets the
 * same server process, within the number of ids which that remembers (jb_host_opts.dedupe_window);
 * it may arrive twice when the server died between taking a batch and answering, or when it was
 * sent with JB_CLIENT_NO_IDS. Commands are known by their `id` in the same way.
 *  - A subscription goes on after a reconnect where it was: no event twice, and what the ring no
 * longer has is in `n_missed`. When the bus itself began anew (its sequence numbers too), the
 * subscription begins with the oldest event of the new one.
 *  - A subscription that is not looked at costs its own buffer; then it makes the server hold back,
 * as its policy says. When that buffer is full the client stops reading from the connection, and no
 * answer to what it publishes comes in either: look at what you subscribe to.
 *  - A name is looked up in the client's thread, which nothing can interrupt: jb_client_close() may
 * have to wait for that.
 *  - Without TLS (ws://, grpc://, http://) whoever sits on the line reads all, the token too.
 *  - Handles do not survive fork(): in the child calls return JB_ESTATE, and closing leaves the
 * parent's connection, and the memory, alone.
 *
 * Addresses: `ws://HOST[:PORT]`, `wss://…`, `unix:PATH` (a WebSocket over a Unix socket),
 * `grpc://HOST[:PORT]` and `grpcs://…` (the call Session of jimbot.v1.EventBus), `http://…` and
 * `https://…` (events are posted, commands polled, nothing else can be subscribed to), and
 * `shm://NAME`: the bus of that name on this machine, without a thread and without a server.
 *
 * Threads: a jb_client may be used by any number of threads at once; a jb_client_sub by one at a
 * time. A jb_client_sub must be closed before its jb_client.
 */
#ifndef JIMBOT_CLIENT_H
#define JIMBOT_CLIENT_H

#include "jimbot/schema.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A connection to a bus that is made and kept in the background. Opaque. */
typedef struct jb_client jb_client;

/** A subscription of a client. Opaque. */
typedef struct jb_client_sub jb_client_sub;

/** Flags of jb_client_opts. */
enum jb_client_flags {
    JB_CLIENT_REST_FALLBACK =
        1, /**< when the server has no WebSocket: post events, poll commands */
    JB_CLIENT_DROP_OLDEST =
        2,                /**< a full buffer: the oldest event goes and is counted in n_dropped;
                                  default: the new one is refused with JB_EAGAIN */
    JB_CLIENT_NO_IDS = 4, /**< events without an event_id go out as they are */
    JB_CLIENT_TLS_ANY = 8 /**< take any certificate: whoever sits on the line reads everything */
};

/** Options of a client; start from jb_client_opts_init(). Texts are copied. */
typedef struct jb_client_opts {
    uint32_t size;         /**< set by jb_client_opts_init() */
    uint32_t flags;        /**< enum jb_client_flags; default 0 */
    const jb_alloc *alloc; /**< NULL for libc */
    const char *token;     /**< sent as `Authorization: Bearer`; NULL: none */
    const char *tls_ca;    /**< file of certificates to trust; NULL: the system's */
    const char *tls_cert;  /**< file with the client's certificate, with tls_key; NULL: none */
    const char *tls_key;   /**< file with its key */
    const char *name;      /**< of subscriptions in statistics, and of the peer of shm://; at
                                    most 31 bytes; NULL: chosen by the other side */
    uint64_t buffer_bytes; /**< for events on their way out, 64 KiB .. 1 GiB; default 4 MiB.
                                    The largest event is a quarter of it */
    uint64_t connect_timeout_ns; /**< until the server has agreed, for each address its name has;
                                    default 10 s */
    uint64_t backoff_min_ns;     /**< before the second try, half as long on average; doubles with
                                    each failure; default 200 ms */
    uint64_t backoff_max_ns;     /**< longest; default 30 s */
    uint64_t idle_ns; /**< when the server was silent for so long it is asked whether it is there,
                           and after twice as long given up; default 15 s */
    uint64_t poll_ns; /**< http: between two polls for commands; default 500 ms */
} jb_client_opts;

/**
 * Fill in the defaults.
 *
 * @param opts  not NULL.   @param size  sizeof(jb_client_opts) of the caller.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_client_opts_init(jb_client_opts *opts, uint32_t size);

/**
 * Begin to connect, in a thread of the client's own, and go on for as long as the client is open.
 *
 * @param url         see above. NUL-terminated.
 * @param opts        NULL for the defaults.
 * @param ret_client  the caller closes it.
 *
 * @return 0 whether there is a server or not, or JB_EINVAL (no such address, an option out of
 * range), JB_ENOMEM, JB_ESYS (no thread to be had; a file of certificates that cannot be read).
 * With `shm://` as jb_bus_open().
 *
 * Threads: any. Blocks: for file operations. Allocates: yes. Game thread: set-up only.
 * Since: 0.1
 */
JB_API int jb_client_open(const char *url, const jb_client_opts *opts, jb_client **ret_client,
                          jb_error *err);

/**
 * Send what waits, say goodbye, and free the client. NULL is fine.
 *
 * @param flush_ns  how long what waits may take; 0: not at all.
 *
 * @return how many events were not known to be on the bus; 0 when all were.
 *
 * Threads: no other call on this client may be running. Blocks: up to flush_ns, and for a name that
 * is being looked up. Allocates: never. Game thread: set-up only.
 * Since: 0.1
 */
JB_API int64_t jb_client_close(jb_client *client, uint64_t flush_ns);

/**
 * Wait until nothing waits to be sent.
 *
 * @return 0, or JB_ETIMEDOUT, JB_EINVAL.
 *
 * Threads: any. Blocks: up to timeout_ns. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_client_flush(jb_client *client, uint64_t timeout_ns);

/**
 * Publish one event: copy it into the buffer of what is on its way out.
 *
 * @param topic      where; NULL with 0: the topic of its type. By HTTP it is always that.
 * @param key        as jb_event_head.key, 0 for none. Not by HTTP.
 * @param data       a serialised jimbot.v1.Event. It is looked through as by jb_event_inspect().
 * @param len_bytes  1 .. JB_EVENT_MAX_BYTES, and at most a quarter of the buffer.
 *
 * @return 0; or JB_EAGAIN (the buffer is full; nothing was published. With JB_CLIENT_DROP_OLDEST
 * only in the instant in which the thread takes events out), JB_ETOOBIG, JB_EINVAL (no topic name),
 * or what jb_event_inspect() returns. With `shm://` as jb_bus_publish().
 *
 * Threads: any; one waits for another's copy. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_client_publish(jb_client *client, const char *topic, size_t topic_bytes, uint32_t key,
                             const void *data, size_t len_bytes, jb_error *err);

/**
 * Publish what an encoder made, on the topic it named.
 *
 * @return as jb_client_publish().
 *
 * Threads: any; one waits for another's copy. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_client_publish_encoded(jb_client *client, const jb_encoded *encoded);

/**
 * Encode the JSON text of one event and publish it.
 *
 * @param encoder  whose buffer is used.
 *
 * @return as jb_encoder_json() and jb_client_publish().
 *
 * Threads: any, one per encoder. Blocks: never. Allocates: only to grow the encoder. Game thread:
 * yes.
 * Since: 0.1
 */
JB_API int jb_client_publish_json(jb_client *client, jb_encoder *encoder, const char *text,
                                  size_t len_bytes, jb_error *err);

/**
 * Send a command to the game. It stands in line with the events. One without an `id` is given one,
 * as events are: a server takes a command of an id it remembers once.
 *
 * @return as jb_client_publish(), and JB_EINVAL (a name or parameter with forbidden characters).
 *
 * Threads: any; one waits for another's copy. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_client_send_command(jb_client *client, const jb_command *command);

/** What the client's thread is doing. */
enum jb_client_state {
    JB_CLIENT_CONNECTING = 0,
    JB_CLIENT_UP = 1,
    JB_CLIENT_BACKING_OFF = 2 /**< waiting before it tries again */
};

/** How the client speaks. */
enum jb_client_way {
    JB_CLIENT_BY_WEBSOCKET = 0,
    JB_CLIENT_BY_HTTP = 1, /**< asked for, or JB_CLIENT_REST_FALLBACK */
    JB_CLIENT_BY_MEMORY = 2,
    JB_CLIENT_BY_GRPC = 3
};

/**
 * What the client is doing now.
 *
 * @return enum jb_client_state, or JB_EINVAL.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes (one load).
 * Since: 0.1
 */
JB_API int jb_client_get_state(const jb_client *client);

/** What the client is doing, and why. */
typedef struct jb_client_status {
    uint32_t size;       /**< set by the caller */
    uint32_t state;      /**< enum jb_client_state */
    uint32_t way;        /**< enum jb_client_way */
    uint32_t n_failures; /**< tries since it was last up */
    uint64_t since_ns;   /**< when this state began, monotonic */
    uint64_t retry_ns;   /**< when it will try again, while backing off; else 0 */
    jb_error last_error; /**< why the last connection ended or was not made; code 0: none yet */
} jb_client_status;

/**
 * What the client is doing, and why the last connection ended.
 *
 * @return 0, or JB_EINVAL.
 *
 * Threads: any. Blocks: never (for a copy of 300 bytes). Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_client_get_status(jb_client *client, jb_client_status *ret_status);

/** Counters of a client; all but n_waiting and n_waiting_bytes only grow. */
typedef struct jb_client_stats {
    uint32_t size; /**< set by the caller */
    uint32_t _reserved;
    uint64_t n_waiting; /**< events in the buffer or without an answer */
    uint64_t
        n_waiting_bytes;   /**< what they take of buffer_bytes, those without an answer left out */
    uint64_t n_published;  /**< events and commands taken */
    uint64_t n_accepted;   /**< on the bus */
    uint64_t n_duplicates; /**< were on the bus already */
    uint64_t n_refused;    /**< never to be taken by this server */
    uint64_t n_dropped;    /**< gave way to newer ones, or were left when the client closed */
    uint64_t n_full;       /**< not taken: JB_EAGAIN */
    uint64_t n_retries;    /**< times the server had no room and was asked again */
    uint64_t n_received;   /**< events of all subscriptions; by shm:// not counted */
    uint64_t n_missed;     /**< the same, lost before they were sent, or too big */
    uint64_t n_connects;   /**< times it came up */
    uint64_t n_faults;     /**< connections that ended because the server sent nonsense */
} jb_client_stats;

/**
 * Read the counters.
 *
 * @return 0, or JB_EINVAL.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_client_get_stats(jb_client *client, jb_client_stats *ret_stats);

/** What a slow subscription does, as enum jb_sub_policy. */
enum jb_client_policy {
    JB_CLIENT_LOSSLESS = 0, /**< publishers wait for it */
    JB_CLIENT_LATEST = 1,   /**< it is overtaken and told how many it missed */
    JB_CLIENT_CONFLATE = 2  /**< it gets the newest of each topic and key */
};

/** Where a subscription begins. */
enum jb_client_start {
    JB_CLIENT_FROM_NOW = 0,
    JB_CLIENT_FROM_OLDEST = 1,
    JB_CLIENT_FROM_SEQUENCE = 2 /**< with start_sequence, or the oldest after it */
};

/** Options of a subscription; start from jb_client_sub_opts_init(). */
typedef struct jb_client_sub_opts {
    uint32_t size;           /**< set by jb_client_sub_opts_init() */
    uint32_t policy;         /**< enum jb_client_policy; default latest */
    uint32_t start;          /**< enum jb_client_start; default now */
    uint32_t max_unacked;    /**< events sent and not taken, 1 .. 65536; default 256 */
    uint64_t start_sequence; /**< 1 and more */
    uint64_t buffer_bytes;   /**< for events that wait to be taken, 64 KiB .. 1 GiB; default 4 MiB.
                                An event larger than half of it counts as missed */
} jb_client_sub_opts;

/**
 * Fill in the defaults.
 *
 * @param opts  not NULL.   @param size  sizeof(jb_client_sub_opts) of the caller.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_client_sub_opts_init(jb_client_sub_opts *opts, uint32_t size);

/**
 * Subscribe. With `start` now it begins when the server hears of it.
 *
 * @param pattern  as jb_bus_subscribe() takes it, or several with commas between them: an event
 * that matches several is delivered once.
 * @param opts     NULL for the defaults.
 * @param ret_sub  the caller closes it.
 *
 * @return 0, or JB_EINVAL (not a pattern, an option out of range; by http:// a pattern that matches
 * no command), JB_ELIMIT (64 are open), JB_ENOMEM; with `shm://` as jb_bus_subscribe().
 *
 * Threads: any. Blocks: never. Allocates: yes. Game thread: set-up only.
 * Since: 0.1
 */
JB_API int jb_client_subscribe(jb_client *client, const char *pattern, size_t len_bytes,
                               const jb_client_sub_opts *opts, jb_client_sub **ret_sub,
                               jb_error *err);

/**
 * End a subscription. NULL is fine.
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: never. Game thread: set-up
 * only.
 * Since: 0.1
 */
JB_API void jb_client_sub_close(jb_client_sub *sub);

/** One event as a subscriber sees it; all pointers are borrowed until jb_client_sub_advance(). */
typedef struct jb_client_event {
    uint64_t sequence;      /**< 1, 2, 3 … in the order of the bus; 0 by HTTP */
    uint64_t time_utc_ns;   /**< when it was published */
    double source_time;     /**< the source's own timestamp, NaN when it gave none */
    const uint8_t *payload; /**< serialised jimbot.v1.Event */
    const char *topic;      /**< where it was published, NUL-terminated */
    uint64_t n_missed;    /**< events of any topic that were lost between the one before and this */
    uint32_t len_bytes;   /**< of payload */
    uint32_t topic_bytes; /**< of topic */
    uint32_t publisher;   /**< peer number of its publisher; 0: unknown */
    uint32_t key;         /**< as published */
    uint16_t type;        /**< enum jb_event_type */
    uint8_t priority;     /**< enum jb_priority */
    uint8_t flags;        /**< enum jb_event_flags; by shm:// only */
    uint32_t _reserved;
} jb_client_event;

/**
 * Look at the next events without taking them. Calling it again before jb_client_sub_advance()
 * shows the same events again, and more when more have come and there is room.
 *
 * @param events  room for n_max.
 *
 * @return how many; 0 when there is nothing. Or why there will be nothing: JB_EPERM, JB_EINVAL,
 * what the server said when it refused the subscription; with `shm://` as jb_sub_peek().
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_client_sub_peek(jb_client_sub *sub, jb_client_event *events, uint32_t n_max);

/**
 * Take everything the last jb_client_sub_peek() showed.
 *
 * @return 0; with `shm://` as jb_sub_advance().
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_client_sub_advance(jb_client_sub *sub);

/**
 * Take only the first n events that the last jb_client_sub_peek() showed.
 *
 * @return as jb_client_sub_advance(), and JB_EINVAL (n is more than was shown).
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_client_sub_advance_n(jb_client_sub *sub, uint32_t n);

/**
 * Wait until jb_client_sub_peek() has something to show.
 *
 * @param timeout_ns  0 only looks; UINT64_MAX waits for ever.
 *
 * @return 1 there is something, 0 the time ran out, or what jb_client_sub_peek() returns.
 *
 * Threads: one at a time per subscription. Blocks: up to timeout_ns. Allocates: never. Game thread:
 * no.
 * Since: 0.1
 */
JB_API int jb_client_sub_wait(jb_client_sub *sub, uint64_t timeout_ns);

/**
 * A file descriptor that is readable when jb_client_sub_peek() may have something to show. It stays
 * readable until a peek shows nothing.
 *
 * @param ret_fd  the subscription's own: wait on it, do not read, write or close it.
 *
 * @return 0, also when called again; or JB_EINVAL, JB_ESYS, JB_ENOMEM.
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: the first time. Game thread:
 * set-up only.
 * Since: 0.1
 */
JB_API int jb_client_sub_fd(jb_client_sub *sub, int *ret_fd);

/**
 * Whether the server delivers to this subscription now.
 *
 * @return 1 it does, 0 not yet or not now, or what jb_client_sub_peek() returns.
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_client_sub_is_live(jb_client_sub *sub);

/** What a server answered, see jb_client_get(). */
typedef struct jb_client_answer {
    uint32_t size;      /**< sizeof, set by the caller */
    uint32_t status;    /**< of HTTP: 200 and so on */
    char *buf;          /**< where the body goes; set by the caller */
    uint64_t cap_bytes; /**< room there; set by the caller. No body is larger than 1 MiB */
    uint64_t len_bytes; /**< of the body */
} jb_client_answer;

/**
 * Ask a server for one thing over HTTP (`GET`) and wait for the answer, without a jb_client.
 *
 * @param url     `http://HOST[:PORT]/PATH` or `https://…`; what follows HOST at most 255 bytes.
 * @param opts    token, tls_ca, tls_cert, tls_key and connect_timeout_ns, within which the answer
 *                is there; NULL for the defaults.
 * @param answer  `size`, `buf` and `cap_bytes` must be set. The rest is set on success.
 *
 * @return 0 whatever the status is, or JB_EINVAL (no such address, an option out of range),
 * JB_ENOENT (no such host), JB_ESYS (no connection, or TLS failed), JB_ECLOSED (the server closed
 * it before the answer was whole), JB_EPROTO (what came is not HTTP, or too large), JB_ETOOBIG
 * (more than cap_bytes), JB_ETIMEDOUT, JB_ENOMEM. err->msg says more, and never the address.
 *
 * Threads: any. Blocks: up to connect_timeout_ns, and for a name that is being looked up.
 * Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_client_get(const char *url, const jb_client_opts *opts, jb_client_answer *answer,
                         jb_error *err);

#ifdef __cplusplus
}
#endif
#endif
