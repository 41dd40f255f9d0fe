/*
 * outq: see outq.h. The common case is one uv_try_write() and no allocation; the buffer moves into
 * a write record, without a copy, only when the socket is full.
 */
#include "host/net/outq.h"

#include "host/text/hmem.h"

/* A connection keeps no larger buffer than this. */
enum { KEEP_BYTES = 4 * 1024 };

typedef struct pending_write {
    uv_write_t req;
    jbi_outq *q;
    jbi_htext text;
    size_t n_bytes;
} pending_write;

void jbi_outq_init(jbi_outq *q, uv_stream_t *stream, const jb_alloc *alloc, jbi_outq_fn fn,
                   void *userdata)
{
    *q = (jbi_outq){.stream = stream, .fn = fn, .userdata = userdata};
    jbi_htext_init(&q->open, alloc);
}

void jbi_outq_fini(jbi_outq *q)
{
    jbi_htext_fini(&q->open);
}

static void on_written(uv_write_t *req, int status)
{
    pending_write *w = req->data;
    jbi_outq *q = w->q;

    q->n_queued -= w->n_bytes;
    if (status == 0)
        q->n_sent += w->n_bytes;
    jbi_htext_fini(&w->text);
    jbi_hmem_free(q->open.alloc, w, sizeof(*w));
    q->fn(status, q->userdata);
}

static int queue_rest(jbi_outq *q, size_t n_done)
{
    pending_write *w = jbi_hmem_alloc(q->open.alloc, sizeof(*w));
    uv_buf_t buf;
    int rc;

    if (!w)
        return UV_ENOMEM;
    *w = (pending_write){.q = q, .text = q->open, .n_bytes = q->open.len - n_done};
    w->req.data = w;
    jbi_htext_init(&q->open, w->text.alloc);
    buf = uv_buf_init(w->text.data + n_done, (unsigned)w->n_bytes);
    rc = uv_write(&w->req, q->stream, &buf, 1, on_written);
    if (rc < 0) {
        jbi_htext_fini(&w->text);
        jbi_hmem_free(q->open.alloc, w, sizeof(*w));
        return rc;
    }
    q->n_queued += w->n_bytes;
    return 0;
}

static int seal(jbi_outq *q)
{
    if (q->tls && !q->open.is_broken && jbi_tls_seal(q->tls, &q->open) < 0)
        return UV_ECONNABORTED;
    return q->open.is_broken ? UV_ENOMEM : 0;
}

int jbi_outq_flush(jbi_outq *q)
{
    uv_buf_t buf;
    int n = seal(q);

    if (n < 0)
        return n;
    if (q->open.len == 0)
        return 0;
    buf = uv_buf_init(q->open.data, (unsigned)q->open.len);
    /* With something queued a direct write would overtake it. */
    if (q->n_queued == 0)
        n = uv_try_write(q->stream, &buf, 1);
    if (n == UV_EAGAIN)
        n = 0;
    if (n < 0)
        return n;
    q->n_sent += (unsigned)n;
    if ((size_t)n < q->open.len)
        return queue_rest(q, (size_t)n);
    jbi_htext_reset(&q->open, KEEP_BYTES);
    return 0;
}

int jbi_outq_flush_later(jbi_outq *q)
{
    int rc = seal(q);

    return rc == 0 && q->open.len ? queue_rest(q, 0) : rc;
}
