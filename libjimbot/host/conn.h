/*
 * conn: one client's connection, from accept to close.
 *
 * Invariant: a connection always has a deadline, so none outlives a client that went silent; and it
 * holds at most one read of input, one body within the limits, and about HIGH_WATER bytes and one
 * answer of output, because it stops reading while its client does not read.
 */
#ifndef JBI_HOST_CONN_H
#define JBI_HOST_CONN_H

#include "host/outq.h"
#include "host/request.h"

struct jb_host;

enum jbi_conn_state {
    JBI_CONN_OPEN = 0,   /* reads and answers requests */
    JBI_CONN_LINGER = 1, /* last answer given: waits for the client to close, discards what comes */
    JBI_CONN_CLOSING = 2 /* uv_close() called */
};

typedef struct jbi_conn {
    uv_tcp_t tcp;
    uv_shutdown_t shutdown;
    struct jb_host *host;
    struct jbi_conn *prev;
    struct jbi_conn *next;
    jbi_request request;
    jbi_outq out;
    char *held; /* input not yet looked at while the client does not read; JBI_CONN_READ_BYTES */
    size_t n_held;
    uint64_t deadline_ms; /* on the loop's clock */
    uint64_t begun_ms;    /* when the current request's current part began */
    uint64_t n_sent_seen; /* jbi_outq_progress() when the deadline was last looked at */
    uint32_t state;       /* enum jbi_conn_state */
    uint32_t part;        /* what the deadline is for, private to conn.c */
    bool is_paused;       /* something is held */
    bool is_stopped;      /* reading is stopped */
    bool is_at_eof;       /* the client sends no more */
    bool is_shut;         /* we send no more */
} jbi_conn;

enum { JBI_CONN_READ_BYTES = 64 * 1024 };

/* Accept from the host's listener. */
void jbi_conn_accept(struct jb_host *host);

/* End it if its deadline passed; while the host drains, also if it is idle. */
void jbi_conn_sweep(jbi_conn *c);

/* Close at once. */
void jbi_conn_close(jbi_conn *c);

#endif
