/*
 * client_sub.h: a subscription of a client.
 *
 * Who writes what is said in the struct. The reader's side is client_sub.c; the thread puts events
 * in by client_inbox.c, as client_session.c receives them.
 *
 * Invariant: it lives until both the caller and the thread have let go of it; what n_acked counts
 * was acknowledged, or is of another connection.
 */
#ifndef JBI_CLIENT_SUB_H
#define JBI_CLIENT_SUB_H

#include "jimbot/client.h"

#include "client/pipe.h"
#include "jimbot/sub.h"

#include <stdatomic.h>

enum { JBI_CLIENT_PATTERNS = 16 };

/* How far a subscription is with the server; the thread's. */
enum jbi_sub_stage { JBI_SUB_WANTED, JBI_SUB_ASKED, JBI_SUB_LIVE, JBI_SUB_REFUSED };

/* Of a subscription's descriptor: none; low, to be raised; about to be raised; high. */
enum jbi_bell { JBI_BELL_NONE, JBI_BELL_ARMED, JBI_BELL_RISING, JBI_BELL_HIGH };

struct jb_client_sub {
    jb_client *client;
    const jb_alloc *alloc;
    jb_client_sub_opts opts;
    char patterns[JBI_CLIENT_PATTERNS * (JB_TOPIC_MAX_BYTES + 1)]; /* NUL after each */
    uint32_t n_patterns;
    uint32_t id;
    atomic_uint n_refs; /* the caller's and the thread's */
    jb_sub *near;       /* shm:// only */
    jb_event near_events[64];
    /* the reader's */
    uint32_t shown_end; /* place after what was shown */
    uint32_t n_shown;
    int fd;
    /* both */
    jbi_pipe inbox; /* the thread writes */
    atomic_bool is_closing;
    atomic_bool is_live;
    atomic_uint bell;                /* enum jbi_bell, of fd */
    atomic_bool is_stalled;          /* the thread waits for room in the inbox */
    atomic_bool is_ack_asked;        /* the thread was woken to acknowledge */
    atomic_int verdict;              /* why it was refused */
    _Atomic uint64_t n_taken;        /* events taken by the reader */
    _Atomic uint64_t taken_sequence; /* of the last of them */
    _Atomic uint64_t n_acked;        /* of n_taken, acknowledged or of another connection */
    /* the thread's */
    uint32_t stage;         /* enum jbi_sub_stage */
    uint64_t next_sequence; /* no event before it is wanted; 0: nothing is known yet */
    uint64_t asked_for;     /* start sequence of the last request, 0: none */
    uint64_t n_carried;     /* missed, to be told with the next event */
    uint64_t n_put;         /* events put into the inbox */
};

/* Events into the inbox, or why none will come. The thread's. */
enum jbi_inbox_result { JBI_INBOX_TAKEN, JBI_INBOX_FULL, JBI_INBOX_TOO_BIG };
enum jbi_inbox_result jbi_inbox_put(jb_client_sub *s, const jb_client_event *event);
void jbi_inbox_raise(jb_client_sub *s);
void jbi_inbox_refuse(jb_client_sub *s, int code);
void jbi_client_sub_unref(jb_client_sub *s);

/* Whether what was taken is half of what may be on its way. What lies in the inbox since another
 * connection does not count: it may be taken when n_acked is already beyond it. */
static inline bool jbi_inbox_wants_ack(const jb_client_sub *s, uint64_t n_taken)
{
    return (int64_t)(n_taken - atomic_load(&((jb_client_sub *)(uintptr_t)s)->n_acked)) >=
           (int64_t)(s->opts.max_unacked + 1) / 2;
}

/* Whether a command can match it. */
bool jbi_client_sub_may_command(const jb_client_sub *s);

#endif
