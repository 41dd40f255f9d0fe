/*
 * Bytes that claim to be HTTP requests, through the host's reader: whole, byte by byte, and cut in
 * two.
 *
 * What must hold: nothing crashes; however the bytes are cut, the same requests come out with the
 * same bodies, and the same one is the first to be refused; no limit is passed; every byte of a
 * body that was collected is given back.
 */
#include "host/http1/request.h"
#include "host/text/hmem.h"
#include "target.h"

#include <stdlib.h>

enum { N_REQUESTS = 64 };

typedef struct outcome {
    uint32_t n_done;
    bool is_refused;
    struct {
        uint64_t body_hash;
        size_t body_bytes;
        size_t path_bytes;
        uint8_t method;
    } requests[N_REQUESTS];
} outcome;

static size_t n_buffered;
static const jbi_request_limits limits = {512, 2048, 1 << 20, &n_buffered};

static uint64_t hash(const char *bytes, size_t n)
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)bytes[i]) * 1099511628211u;
    return h;
}

static void note(const jbi_request *r, outcome *o)
{
    jbi_call call;

    require(r->body_bytes <= limits.max_body_bytes);
    if (o->n_done < N_REQUESTS) {
        o->requests[o->n_done].body_hash = hash(r->body, r->body_bytes);
        o->requests[o->n_done].body_bytes = r->body_bytes;
        jbi_request_target(r, &call);
        o->requests[o->n_done].path_bytes = call.path_bytes;
        o->requests[o->n_done].method = r->method;
    }
    o->n_done++;
}

/* Feed in pieces of n_piece bytes, each in a block of its own so that a read past it is seen. */
static void run(const uint8_t *data, size_t size, size_t n_piece, outcome *o)
{
    jbi_request r;

    memset(o, 0, sizeof(*o));
    jbi_request_init(&r, &limits, &jbi_hmem_libc);
    for (size_t at = 0; at < size && !o->is_refused; at += n_piece) {
        size_t n = size - at < n_piece ? size - at : n_piece;
        char *piece = malloc(n);
        size_t done = 0;

        require(piece != NULL);
        memcpy(piece, data + at, n);
        while (done < n && !o->is_refused) {
            size_t n_used = 0;
            enum jbi_request_progress progress =
                jbi_request_feed(&r, piece + done, n - done, &n_used);

            o->is_refused = progress == JBI_REQUEST_FAILED;
            require(!o->is_refused || (r.status >= 400 && r.problem));
            if (progress == JBI_REQUEST_DONE) {
                note(&r, o);
                jbi_request_next(&r);
            }
            done += n_used;
        }
        free(piece);
    }
    jbi_request_fini(&r);
    require(n_buffered == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    outcome whole, bytes, halves;

    if (size == 0)
        return 0;
    run(data, size, size, &whole);
    run(data, size, 1, &bytes);
    run(data, size, size / 2 + 1, &halves);
    require(memcmp(&whole, &bytes, sizeof(whole)) == 0);
    require(memcmp(&whole, &halves, sizeof(whole)) == 0);
    return 0;
}
