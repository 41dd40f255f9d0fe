/*
 * outq: answers on their way to a client.
 *
 * Answers are appended to `open` while a read is worked through, and jbi_outq_flush() sends them in
 * one write, sealed where there is TLS; what the socket does not take at once is queued with libuv.
 *
 * Invariant: bytes leave in the order they were appended; jbi_outq_waiting() counts every byte that
 * is still owed to the socket, so a reader that looks at it bounds what a client can make us hold.
 */
#ifndef JBI_HOST_OUTQ_H
#define JBI_HOST_OUTQ_H

#include "host/net/tls.h"

#include <uv.h>

/* Called when a queued write has ended; status < 0 is a uv error and nothing more will be sent. */
typedef void (*jbi_outq_fn)(int status, void *userdata);

typedef struct jbi_outq {
    jbi_htext open;
    uv_stream_t *stream;
    jbi_tls *tls;    /* borrowed; NULL: the bytes leave as they are */
    size_t n_queued; /* bytes handed to libuv and not written yet */
    uint64_t n_sent; /* bytes written, ever */
    jbi_outq_fn fn;
    void *userdata;
} jbi_outq;

void jbi_outq_init(jbi_outq *q, uv_stream_t *stream, const jb_alloc *alloc, jbi_outq_fn fn,
                   void *userdata);

/* Only after the stream is closed: queued writes have ended then. */
void jbi_outq_fini(jbi_outq *q);

/* Send all of `open`. Returns 0, or a uv error: the connection is of no more use. */
int jbi_outq_flush(jbi_outq *q);

/* The same, but by way of the loop: the callback comes, and other connections before it. */
int jbi_outq_flush_later(jbi_outq *q);

static inline size_t jbi_outq_waiting(const jbi_outq *q)
{
    return q->open.len + q->n_queued;
}

/* Bytes the socket has taken, ever, those of unfinished writes included. */
static inline uint64_t jbi_outq_progress(const jbi_outq *q)
{
    return q->n_sent + q->n_queued - uv_stream_get_write_queue_size(q->stream);
}

#endif
