/*
 * client_internal: what a client is made of, for the files of this room.
 *
 * Two sides share a client. The callers' side copies into `outbox` and out of inboxes; the thread
 * does everything else and owns all that is below the line in struct jb_client. What both touch is
 * a pipe, an atomic, or under one of two locks: `publish_lock`, which the thread never takes, and
 * `status_lock`, which is held for a copy of some hundred bytes.
 *
 * Invariant: a caller never waits for the thread but in jb_client_close(), jb_client_flush() and
 * jb_client_sub_wait(); n_published is raised before an event can be settled, and each event is
 * settled once.
 */
#ifndef JBI_CLIENT_INTERNAL_H
#define JBI_CLIENT_INTERNAL_H

#include "jimbot/client.h"

#include "client/batch.h"
#include "client/carrier.h"
#include "client/line.h"
#include "client/pipe.h"
#include "jimbot/bus.h"

#include <stdatomic.h>

enum { JBI_CLIENT_SUBS = 64 };

/* What became of events; the outbox side raises the first two, the thread the others. */
typedef struct jbi_client_counters {
    _Atomic uint64_t n_published;
    _Atomic uint64_t n_full;
    _Atomic uint64_t n_dropped; /* both */
    _Atomic uint64_t n_accepted;
    _Atomic uint64_t n_duplicates;
    _Atomic uint64_t n_refused;
    _Atomic uint64_t n_retries;
    _Atomic uint64_t n_received;
    _Atomic uint64_t n_missed;
    _Atomic uint64_t n_connects;
    _Atomic uint64_t n_faults;
} jbi_client_counters;

static inline void jbi_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

struct jb_client {
    const jb_alloc *alloc;
    jb_alloc own_alloc;
    jb_client_opts opts; /* its texts are the client's own */
    jbi_url url;
    char *texts;
    size_t texts_bytes;
    jb_bus *bus;      /* shm:// only: knows itself what is after a fork() */
    unsigned n_forks; /* jbi_client_n_forks when it was opened */

    /* the callers' */
    uv_mutex_t publish_lock;
    uint64_t id_seed;
    uint64_t n_ids;

    /* both */
    jbi_pipe outbox; /* the thread reads */
    jbi_client_counters n;
    atomic_bool is_hungry; /* the thread sleeps until there is something in the outbox */
    atomic_uint state;     /* enum jb_client_state */
    atomic_uint way;       /* enum jb_client_way */
    atomic_uint n_subs_ever;
    atomic_bool is_closing;
    _Atomic uint64_t close_at_ns;
    _Atomic(jb_client_sub *) subs[JBI_CLIENT_SUBS]; /* callers fill, the thread empties */
    uv_mutex_t status_lock;
    uv_cond_t settled; /* nothing waits any longer */
    jb_client_status status;
    uv_async_t wake;

    /* the thread's, from here on */
    uv_thread_t thread;
    uv_loop_t loop;
    uv_timer_t phase; /* ends connecting, backing off, silence */
    uv_timer_t retry; /* the server had no room */
    uv_timer_t poll;
    uv_timer_t farewell; /* ends flushing */
    SSL_CTX *tls_ctx;
    jbi_line line;
    const jbi_carrier *carrier;
    jbi_ws ws;
    jbi_rest rest;
    jbi_grpc grpc;
    jbi_batch batch;
    jbi_htext message; /* being made */
    jbi_htext held;    /* messages that wait for room in an inbox: length, bytes, … */
    size_t held_at;
    uint64_t random;
    uint64_t up_since_ms;
    uint64_t heard_ms; /* when the server last said something */
    uint32_t n_failures;
    uint32_t retry_ms; /* at least so long is waited next; 0: as for the first time */
    uint64_t n_requests;
    jb_error failure; /* set with is_failed */
    bool is_failed;   /* the connection is to be given up at the end of this turn */
    bool is_fault;    /* because the server sent nonsense */
    bool is_renewed;  /* no: the server ended it in good order, after an answer */
    bool is_up;
    bool is_pinged;
    bool is_stalled;  /* an inbox is full: nothing more is read */
    bool is_retrying; /* the retry timer runs */
    bool is_rest_next;
    bool is_finished;
};

/* How often this process and those before it went through fork() as the child. */
extern atomic_uint jbi_client_n_forks;
int jbi_client_watch_forks(void);

/* False in a child of the process that opened it: there is no thread, a lock may be held for ever,
 * and the sockets are the parent's. */
static inline bool jbi_client_is_here(const jb_client *c)
{
    return c->bus || c->n_forks == atomic_load_explicit(&jbi_client_n_forks, memory_order_relaxed);
}

/* The options given, or the defaults. Returns 0 or JB_EINVAL. */
int jbi_client_opts_take(const jb_client_opts *given, jb_client_opts *ret, jb_error *err);

/* thread */
int jbi_client_thread_start(jb_client *c, jb_error *err);
void jbi_client_thread_join(jb_client *c);

/* The loop and what runs on it, without the thread; for tests that say themselves what comes in. */
int jbi_client_loop_init(jb_client *c);
void jbi_client_loop_fini(jb_client *c);

/* The connection speaks the protocol. */
void jbi_client_up(jb_client *c);

/* Give the connection up at the end of this turn. jbi_client_fault(): the server is to blame. */
void jbi_client_fail(jb_client *c, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void jbi_client_fault(jb_client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Ask again later, because the server has no room. */
void jbi_client_retry_later(jb_client *c);

/* The server asks for more answers than it reads: that is a fault, and it is given up. */
bool jbi_client_is_flooded(jb_client *c);

/* Random bytes nobody can foretell. */
void jbi_client_random(void *to, size_t n);

/* Events on their way out that are not settled. */
uint64_t jbi_client_waiting(const jb_client *c);

/* Wake the thread. */
void jbi_client_wake(jb_client *c);

/* shm:// */
int jbi_near_open(jb_client *c, jb_error *err);
int jbi_near_publish(jb_client *c, jbi_slice topic, uint32_t key, const jb_encoded *e);
int jbi_near_subscribe(jb_client_sub *s, jb_error *err);
int jbi_near_peek(jb_client_sub *s, jb_client_event *events, uint32_t n_max);

#endif
