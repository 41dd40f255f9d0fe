/*
 * Bytes that claim to come from a client of HTTP/2, after its preface and settings: plain requests
 * and calls of gRPC.
 *
 * What must hold, however the bytes are cut: nothing crashes and nothing is leaked; what is sent is
 * whole frames; every byte of what was collected is given back, and no subscription is left.
 */
#include "host/host.h"
#include "host/http2/http2.h"
#include "host/text/hmem.h"
#include "target.h"

#include <stdlib.h>

enum { PIECE_BYTES = 7, FRAME_HEAD_BYTES = 9, ROUNDS_MAX = 64 };

/* The preface and empty settings. */
static const char greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

static jb_host *host;

/* One host for all inputs, on a bus that nobody else can attach to. */
static void open_host(void)
{
    jb_bus_opts bus_opts;
    jb_host_opts opts;
    jb_bus *bus;

    jb_bus_opts_init(&bus_opts, sizeof(bus_opts));
    bus_opts.capacity_bytes = 1 << 16;
    require(jb_bus_open(NULL, &bus_opts, &bus, NULL) == 0);
    jb_host_opts_init(&opts, sizeof(opts));
    strcpy(opts.http, "127.0.0.1:0");
    opts.max_body_bytes = 4096;
    opts.max_header_bytes = 1024;
    opts.max_buffered_bytes = 1 << 20;
    opts.max_streams = 8;
    opts.bus = bus;
    require(jb_host_create(&opts, NULL, &host, NULL) == 0);
}

/* Frames of a server, whole ones. */
static void check_frames(jbi_htext *out)
{
    const uint8_t *at = (const uint8_t *)out->data;
    const uint8_t *end = at + out->len;

    while (at != end) {
        size_t n;

        require(end - at >= FRAME_HEAD_BYTES);
        n = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        require(n <= 16384 && (size_t)(end - at - FRAME_HEAD_BYTES) >= n);
        at += FRAME_HEAD_BYTES + n;
    }
    out->len = 0;
}

static void feed(jbi_conn *c, const void *bytes, size_t n)
{
    char *piece = malloc(n);

    require(piece != NULL);
    memcpy(piece, bytes, n);
    require(jbi_http2.feed(c, piece, n) == n);
    free(piece);
    for (int i = 0; i < ROUNDS_MAX; i++) {
        check_frames(&c->out.open);
        jbi_http2.pump(c);
        if (c->out.open.len == 0)
            break;
    }
    check_frames(&c->out.open);
}

/* There is no socket, and the connection is one that has said its last already: what it is given
 * stays. */
static void run(const uint8_t *data, size_t size, size_t n_piece)
{
    jbi_conn *c = jbi_hmem_zalloc(host->alloc, sizeof(*c));

    require(c != NULL);
    c->host = host;
    c->listener = &host->listeners[0];
    c->state = JBI_CONN_LINGER;
    c->io.handle.type = UV_NAMED_PIPE;
    jbi_htext_init(&c->out.open, host->alloc);
    require(jbi_http2.open(c, NULL) == 0);
    feed(c, greeting, sizeof(greeting) - 1);
    for (size_t at = 0; at < size; at += n_piece)
        feed(c, data + at, size - at < n_piece ? size - at : n_piece);
    jbi_http2.close(c);
    jbi_htext_fini(&c->out.open);
    jbi_hmem_free(host->alloc, c, sizeof(*c));
    uv_run(host->loop, UV_RUN_NOWAIT);
    require(host->service.counters.n_buffered == 0 && host->service.n_feeds == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!host)
        open_host();
    if (size == 0 || size > JBI_CONN_READ_BYTES)
        return 0;
    run(data, size, size);
    run(data, size, PIECE_BYTES);
    return 0;
}
