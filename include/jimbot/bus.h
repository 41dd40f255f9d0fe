/**
 * jimbot/bus.h: one shared-memory ring, many publishers, many subscribers: the way of an event
 * between programs.
 *
 * @code
 *     jb_bus *bus;
 *     jb_sub *sub;
 *     jb_event ev[64];
 *     uint32_t topic;
 *     jb_event_head head = {0};
 *
 *     jb_bus_open("jimbot", NULL, &bus, NULL); // attach, or create it if nobody has
 *     jb_bus_subscribe(bus, "game.>", 6, NULL, &sub, NULL);
 *
 *     jb_bus_topic(bus, "game.money.changed", 18, &topic);
 *     head.topic_id = topic;
 *     head.type = JB_EVENT_MONEY_CHANGED;
 *     jb_bus_publish(bus, &head, bytes, n_bytes); // JB_EAGAIN: a lossless subscriber is behind
 *
 *     while (jb_sub_wait(sub, 1000000000) > 0) { // one second
 *         int n = jb_sub_peek(sub, ev, 64);
 *         for (int i = 0; i < n; i++)
 *             use(&ev[i]); // in place, no copy
 *         jb_sub_advance(sub); // now the slots may be reused
 *     }
 * @endcode
 *
 * Caveats first:
 *  - A **lossless** subscription that does not advance stops every publisher (they get JB_EAGAIN)
 * once it is one ring behind. A **latest** subscription never does; it is overtaken instead and
 * told exactly how many events it missed.
 *  - jb_sub_peek() of a lossless subscription points into the ring; of a latest one, into a copy it
 * owns, because the ring may move on at any time. Both are valid until jb_sub_advance().
 *  - Handles do not survive fork(): in the child every call returns JB_ESTATE, and jb_bus_close()
 * only frees memory. A fork() in one thread while another is inside jb_bus_open() can leave the
 * child holding the new handle's lock, so that the handle looks alive until the child ends.
 *  - A bus is a file (mode 0600) on the machine's tmpfs. Whoever may open it may publish anything
 * and may break the bus for its other users, but cannot make a reader read outside the segment:
 * every offset is checked.
 *
 * Threads: a jb_bus may be used by any number of threads at once; a jb_sub by one thread at a time.
 * A jb_sub must be closed before its jb_bus.
 */
#ifndef JIMBOT_BUS_H
#define JIMBOT_BUS_H

#include "jimbot/event.h"
#include "jimbot/schema.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A handle on a bus: one peer. Opaque. */
typedef struct jb_bus jb_bus;

/** Options for opening a bus; start from jb_bus_opts_init(). The sizes matter only to the one who
 * creates it.
 */
typedef struct jb_bus_opts {
    uint32_t size;           /**< set by jb_bus_opts_init() */
    uint32_t flags;          /**< enum jb_bus_flags */
    uint64_t capacity_bytes; /**< ring size, a power of two, 64 KiB .. 64 GiB; default 32 MiB. The
                                largest event is a quarter of it */
    uint32_t max_topics;     /**< distinct topics, a power of two, 64 .. 65536; default 4096 */
    uint32_t max_subs;  /**< subscriptions at a time, over all processes, 1 .. 1024; default 64 */
    uint32_t max_peers; /**< open handles at a time, over all processes, 1 .. 254; default 64 */
    uint32_t mode;      /**< file permissions; default 0600 */
    const char *peer_name;   /**< shown in statistics, at most 31 bytes; NULL: the program's name */
    const jb_alloc *alloc;   /**< NULL for libc */
    uint64_t stall_after_ns; /**< for how long a publisher that lives but does not go on may stand
                                between claim and commit when others wait for it; then its event is
                                cancelled (its commit returns JB_ESTATE, its bytes stay its own
                                until then) and they go on. 0, the default: for ever */
    uint64_t
        budget_bytes;    /**< of this handle, not of the bus: the most bytes of its events that may
                              wait to be read by lossless subscriptions, so that one publisher does
                              not take all of the ring from the others; known to a 64th of the
                              ring. JB_EAGAIN beyond it. 0, the default: no limit */
    uint32_t max_groups; /**< consumer groups at a time, 0 .. 64; default 8. See group.h */
    uint32_t _reserved;  /**< 0 */
} jb_bus_opts;

/** Flags of jb_bus_opts. */
enum jb_bus_flags {
    JB_BUS_KEEP = 1 /**< the bus outlives its last peer, until jb_bus_unlink() or a restart of the
                       machine; default: it ends with its last peer */
};

/**
 * Fill in the defaults.
 *
 * @param opts  not NULL.   @param size  sizeof(jb_bus_opts) of the caller.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_bus_opts_init(jb_bus_opts *opts, uint32_t size);

/**
 * Attach to the bus of that name, or create it when there is none. Of several processes that do
 * this at once exactly one creates it and the others attach.
 *
 * A bus without JB_BUS_KEEP ends with its last peer, whether that one closes it or is killed: what
 * a crash of everybody leaves behind counts as absent, of whatever version or however damaged it
 * is, and nobody needs to remove it by hand. Who creates a bus by name also removes such remains of
 * other names. With JB_BUS_KEEP what is in the ring can be read on after such a crash, until the
 * machine is started anew.
 *
 * @param name     letters, digits, `-`, `_`, `.`, at most 63 bytes: a file `jimbot-<uid>-<name>` in
 * $JIMBOT_SHM_DIR, default /dev/shm. Or a path (anything with a `/`): that file. NULL: an anonymous
 * bus, which nobody else can attach to.
 * @param opts     NULL for the defaults.
 * @param ret_bus  the caller closes it.
 *
 * @return 0, or JB_ELAYOUT (a file of that name is no bus, or one of another layout that is in use
 * or to be kept), JB_EPERM (no access;
 * or, where it was named and not given as a path, another user's), JB_ENOENT (no such folder),
 * JB_ESYS, JB_ENOMEM, JB_ELIMIT (max_peers handles are open), JB_ETIMEDOUT (for two seconds
 * somebody stands still in the middle of opening it), JB_EINVAL. `err->msg` names the file.
 *
 * Threads: any. Blocks: for file operations. Allocates: yes. Game thread: set-up only.
 * Since: 0.1
 */
JB_API int jb_bus_open(const char *name, const jb_bus_opts *opts, jb_bus **ret_bus, jb_error *err);

/**
 * Create a bus that must not exist yet.
 *
 * @return as jb_bus_open(), and JB_EEXIST.
 *
 * Threads: any. Blocks: for file operations. Allocates: yes. Game thread: set-up only.
 * Since: 0.1
 */
JB_API int jb_bus_create(const char *name, const jb_bus_opts *opts, jb_bus **ret_bus,
                         jb_error *err);

/**
 * Attach to a bus that must exist.
 *
 * @return as jb_bus_open(), and JB_ENOENT.
 *
 * Threads: any. Blocks: for file operations. Allocates: yes. Game thread: set-up only.
 * Since: 0.1
 */
JB_API int jb_bus_attach(const char *name, const jb_bus_opts *opts, jb_bus **ret_bus,
                         jb_error *err);

/**
 * Close a handle. Its open claims are aborted. The last peer out removes the segment unless it has
 * JB_BUS_KEEP. NULL is fine.
 *
 * Threads: no other call on this handle may be running. Blocks: for file operations. Allocates:
 * never. Game thread: set-up only.
 * Since: 0.1
 */
JB_API void jb_bus_close(jb_bus *bus);

/**
 * Remove the name of a bus. Those who are attached go on with it; the next one to open the name
 * creates a new one. Under a name, a file that is no bus goes too; under a path it is refused.
 *
 * @return 0, or JB_ENOENT, JB_EPERM, JB_ELAYOUT (not a bus, or a folder), JB_ETIMEDOUT (for two
 * seconds somebody stands still in the middle of opening it), JB_EINVAL.
 *
 * Threads: any. Blocks: for file operations. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_bus_unlink(const char *name, jb_error *err);

/**
 * Intern a topic name: the same name gives the same id to every peer for the life of the bus.
 *
 * @param name          tokens of `A-Z a-z 0-9 _ - :` joined by `.`, at most JB_TOPIC_MAX_BYTES; no
 * wildcard.
 * @param ret_topic_id  1 .. max_topics.
 *
 * @return 0, or JB_EINVAL (not a topic name), JB_ELIMIT (max_topics are in use, or the room for
 * their names), JB_ECORRUPT, JB_ESTATE (after fork).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes (about 50 ns).
 * Since: 0.1
 */
JB_API int jb_bus_topic(jb_bus *bus, const char *name, size_t len_bytes, uint32_t *ret_topic_id);

/**
 * Name of a topic id.
 *
 * @param ret_name  NUL-terminated, borrowed from the bus until it is closed.
 *
 * @return its length, or JB_ENOENT, JB_EINVAL, JB_ESTATE (after fork).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_topic_name(jb_bus *bus, uint32_t topic_id, const char **ret_name);

/**
 * Publish one event by copy.
 *
 * @param head       topic_id must be set.
 * @param payload    a serialised jimbot.v1.Event. Not looked at: bytes from outside go through
 * jb_event_inspect() first.
 * @param len_bytes  0 .. JB_EVENT_MAX_BYTES, and with its header of 32 bytes at most a quarter of
 * the ring.
 *
 * @return 0, or JB_EAGAIN (a lossless subscriber, or a live publisher that claimed and has not
 * committed, is a whole ring behind: counted in `n_full`; or this handle's budget is used up:
 * counted in `n_over_budget`; nothing was published), JB_ETOOBIG, JB_EINVAL, JB_ECORRUPT, JB_ESTATE
 * (after fork; or this thread stood still in the midst of it for longer than the bus's
 * stall_after_ns, and it was cancelled: nothing was published).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_publish(jb_bus *bus, const jb_event_head *head, const void *payload,
                          size_t len_bytes);

/**
 * Publish one event by copy, and wait for room where jb_bus_publish() would return JB_EAGAIN.
 *
 * @param timeout_ns  for how long; 0 does not wait.
 *
 * @return as jb_bus_publish() without JB_EAGAIN, and JB_ETIMEDOUT: nothing was published.
 *
 * Threads: any. Blocks: up to timeout_ns. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_bus_publish_wait(jb_bus *bus, const jb_event_head *head, const void *payload,
                               size_t len_bytes, uint64_t timeout_ns);

/** Room for one event that is not yet visible. Fill `payload`, then commit or abort; the rest is
 * the library's. */
typedef struct jb_claim {
    uint8_t *payload;   /**< where to write, 8-byte aligned; borrowed until commit or abort */
    uint32_t len_bytes; /**< room */
    uint32_t _reserved;
    uint64_t position; /**< private */
    uint64_t mark;     /**< private */
} jb_claim;

/**
 * Reserve room for one event and return where to write it. Readers wait at the claim, so keep it
 * short.
 *
 * @param ret_claim  set on success only; the caller owes a jb_bus_commit() or jb_bus_abort().
 *
 * @return as jb_bus_publish().
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_claim(jb_bus *bus, const jb_event_head *head, size_t len_bytes,
                        jb_claim *ret_claim);

/**
 * Make a claimed event visible.
 *
 * @param len_bytes  what was really written, 0 .. claim->len_bytes.
 *
 * @return 0, or JB_EINVAL (len_bytes), JB_ESTATE (the claim is not open: committed, aborted or
 * taken away).
 *
 * Threads: any, one per claim. Blocks: never (wakes sleeping subscribers with one system call, none
 * when nobody sleeps). Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_commit(jb_bus *bus, jb_claim *claim, size_t len_bytes);

/**
 * Give a claim back. Readers step over it; it takes no sequence number.
 *
 * @return 0, or JB_ESTATE.
 *
 * Threads: any, one per claim. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_abort(jb_bus *bus, jb_claim *claim);

/** Most events in one batch. */
#define JB_BATCH_MAX 4096

/** Room for a batch of events that is not yet visible. All of it is the library's. */
typedef struct jb_batch {
    uint32_t n_events;
    uint32_t is_open;  /**< private */
    uint64_t n_bytes;  /**< payload bytes of all of them */
    uint64_t position; /**< private */
    uint64_t mark;     /**< private */
} jb_batch;

/**
 * Publish several events at once: they become visible together and stand next to each other in the
 * order of the bus. This is several times faster than as many calls of jb_bus_publish(). All carry
 * one time.
 *
 * @param heads       n_events of them.
 * @param payloads    n_events of them; NULL is fine for a length of 0.
 * @param lens_bytes  their lengths. With a header of 32 bytes for each and each rounded up to a
 * multiple of 8, all together at most what one event may be.
 * @param n_events    1 .. JB_BATCH_MAX.
 *
 * @return as jb_bus_publish(); nothing was published unless it is 0. JB_ETOOBIG: publish half of
 * them.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_publish_batch(jb_bus *bus, const jb_event_head *heads,
                                const void *const *payloads, const uint32_t *lens_bytes,
                                uint32_t n_events);

/**
 * Reserve room for several events and return where to write each. Readers wait at the claim, so
 * keep it short.
 *
 * @param lens_bytes    lengths of the payloads, as of jb_bus_publish_batch(); they are final.
 * @param ret_payloads  room for n_events pointers: where to write each, 8-byte aligned; borrowed
 * until commit or abort.
 * @param ret_batch     set on success only; the caller owes a jb_bus_commit_batch() or
 * jb_bus_abort_batch().
 *
 * @return as jb_bus_publish().
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_claim_batch(jb_bus *bus, const jb_event_head *heads, const uint32_t *lens_bytes,
                              uint32_t n_events, uint8_t **ret_payloads, jb_batch *ret_batch);

/**
 * Make a claimed batch visible.
 *
 * @return 0, or JB_EINVAL, JB_ESTATE (as jb_bus_commit()).
 *
 * Threads: any, one per batch. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_commit_batch(jb_bus *bus, jb_batch *batch);

/**
 * Give a batch back. Readers step over it; it takes no sequence numbers.
 *
 * @return 0, or JB_EINVAL, JB_ESTATE.
 *
 * Threads: any, one per batch. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_abort_batch(jb_bus *bus, jb_batch *batch);

/**
 * Publish what an encoder made, on the topic it named.
 *
 * @return as jb_bus_publish(), and JB_ELIMIT (a new topic and no room for it).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_publish_encoded(jb_bus *bus, const jb_encoded *encoded);

/**
 * Encode the JSON text of one event and publish it.
 *
 * @param encoder  whose buffer is used.
 *
 * @return as jb_encoder_json() and jb_bus_publish_encoded().
 *
 * Threads: any, one per encoder. Blocks: never. Allocates: only to grow the encoder. Game thread:
 * yes.
 * Since: 0.1
 */
JB_API int jb_bus_publish_json(jb_bus *bus, jb_encoder *encoder, const char *text, size_t len_bytes,
                               jb_error *err);

/**
 * Wait until an event of len_bytes can be published, after a JB_EAGAIN.
 *
 * @param timeout_ns  0 only looks.
 *
 * @return 0, or JB_ETIMEDOUT, JB_ETOOBIG, JB_EINVAL, JB_ECORRUPT, JB_ESTATE (after fork).
 *
 * Threads: any. Blocks: up to timeout_ns. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_bus_wait_space(jb_bus *bus, size_t len_bytes, uint64_t timeout_ns);

/**
 * Send a command to the game: publish it on "command.<name>".
 *
 * @return as jb_bus_publish(), and JB_EINVAL (see jb_command_encode()).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_send_command(jb_bus *bus, const jb_command *command);
#ifdef __cplusplus
}
#endif
#endif
