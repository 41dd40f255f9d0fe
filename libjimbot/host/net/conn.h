/*
 * conn: one client's connection, from accept to close, whatever is spoken on it.
 *
 * The bytes that come in go to the protocol of the moment, what it appends to `out` leaves in one
 * write. A protocol may hand the connection to another one (HTTP/1.1 to WebSocket).
 *
 * With TLS the protocol sees plaintext only: what comes is opened before feed(), what it appends is
 * sealed when it is sent.
 *
 * Invariant: a connection always has a deadline, so none outlives a client that went silent; and it
 * holds at most one read of input, one body within the limits, and about HIGH_WATER bytes and one
 * answer of output, because it stops reading while its client does not read.
 */
#ifndef JBI_HOST_CONN_H
#define JBI_HOST_CONN_H

#include "host/net/crowd.h"
#include "host/net/outq.h"

struct jb_host;
struct jbi_listener;

enum { JBI_CONN_READ_BYTES = 64 * 1024, JBI_CONN_HIGH_WATER_BYTES = 256 * 1024 };

enum jbi_conn_state {
    JBI_CONN_OPEN = 0,   /* the protocol is at work */
    JBI_CONN_LINGER = 1, /* last bytes given: waits for the client to close, discards what comes */
    JBI_CONN_CLOSING = 2 /* uv_close() called */
};

/* What a deadline is for. The first four are a protocol's answer to "what are you waiting for?" */
enum jbi_conn_part {
    JBI_CONN_IDLE = 0,   /* for the next request: idle_timeout, and closed at once in a drain */
    JBI_CONN_HEADER = 1, /* for the rest of a header: header_timeout from its first byte */
    JBI_CONN_BODY = 2,   /* for the rest of a body: body_timeout from the last byte, ten times it
                            from the first */
    JBI_CONN_STREAM = 3, /* for nothing in particular: idle_timeout of silence, then expire(), in
                            which the protocol asks whether the client is there */
    JBI_CONN_WRITE = 4,  /* the client does not read */
    JBI_CONN_LAST = 5,   /* lingering */
    JBI_CONN_NONE = 6    /* not looked at since something new began */
};

typedef struct jbi_conn jbi_conn;

/* What is spoken on a connection. Functions are called on the loop's thread and may append to
 * c->out.open, call jbi_conn_end(), jbi_conn_close(), jbi_conn_switch(), and nothing else of the
 * connection. Optional ones are NULL. */
typedef struct jbi_protocol {
    const char *name; /* "http1" … for logs and metrics */

    /* Take over a connection; `arg` is whatever jbi_conn_switch() was given, and becomes the
     * protocol's own also when this fails. Sets c->session. Returns 0 or JB_ENOMEM. */
    int (*open)(jbi_conn *c, void *arg);

    /* Free c->session: another protocol takes over, or the socket is closed. Appends nothing. */
    void (*close)(jbi_conn *c);

    /* Work through input and return how many bytes of it are used: all, unless jbi_conn_is_full(),
     * the state is no longer OPEN, or the protocol was switched. The rest comes again. */
    size_t (*feed)(jbi_conn *c, const char *bytes, size_t n);

    /* Optional: the socket has taken what was owed, or jbi_conn_wake() was called. Append what is
     * to be said until jbi_conn_is_full(). */
    void (*pump)(jbi_conn *c);

    /* What it is waiting for, one of the first four. */
    enum jbi_conn_part (*part)(const jbi_conn *c);

    /* Its deadline for HEADER, BODY or STREAM has passed: say so and end, or ask the client and
     * go on. */
    void (*expire)(jbi_conn *c);

    /* Optional: the host is stopping. Called at each sweep then; end what can be ended. */
    void (*drain)(jbi_conn *c);
} jbi_protocol;

struct jbi_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } io;
    uv_shutdown_t shutdown;
    struct jb_host *host;
    const struct jbi_listener *listener;
    jbi_conn *prev;
    jbi_conn *next;
    const jbi_protocol *protocol;
    void *session; /* the protocol's own */
    jbi_outq out;
    jbi_tls *tls; /* NULL: none is spoken */
    jbi_peer peer;
    jbi_crowd_link crowd; /* with the others of this peer */
    char *held; /* input not yet looked at while the client does not read; JBI_CONN_READ_BYTES; with
                   TLS not yet opened */
    size_t n_held;
    uint64_t deadline_ms; /* on the loop's clock */
    uint64_t begun_ms;    /* when the current part began */
    uint64_t n_sent_seen; /* jbi_outq_progress() when the deadline was last looked at */
    uint32_t state;       /* enum jbi_conn_state */
    uint32_t part;        /* enum jbi_conn_part that the deadline is for */
    bool is_paused;       /* something is held */
    bool is_stopped;      /* reading is stopped */
    bool is_at_eof;       /* the client sends no more */
    bool is_shut;         /* we send no more */
    bool is_working;      /* inside the protocol: a wake-up is looked at when it returns */
    bool is_late;         /* its deadline had passed at the last sweep */
    bool is_woken;
    bool is_secured; /* the TLS handshake is over */
    bool is_barren;  /* what was read last was no plaintext */
};

/* Accept from a listener. False when there was no memory: the listener has to try again. */
bool jbi_conn_accept(struct jbi_listener *listener);

/* Whether the client has to read before it is given more. */
static inline bool jbi_conn_is_full(const jbi_conn *c)
{
    return jbi_outq_waiting(&c->out) > JBI_CONN_HIGH_WATER_BYTES;
}

/* Another protocol goes on from the next unused byte. On failure the connection is closed. */
void jbi_conn_switch(jbi_conn *c, const jbi_protocol *protocol, void *arg);

/* There is something to say that no input led to: call pump() and flush. For callbacks from
 * elsewhere (a subscription, a timer); the connection may be closing when it returns. */
void jbi_conn_wake(jbi_conn *c);

/* What was appended is the last: send it, then wait a little for the client to close. */
void jbi_conn_end(jbi_conn *c);

/* Close at once. */
void jbi_conn_close(jbi_conn *c);

/* The same, and nothing of the protocol's is left when it returns: the host is destroyed. */
void jbi_conn_drop(jbi_conn *c);

/* End it if its deadline passed; while the host drains, also if it is idle. */
void jbi_conn_sweep(jbi_conn *c);

#endif
