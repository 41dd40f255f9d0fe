/*
 * coord_load: asks a coordinator for leases over gRPC at a steady rate, and gives them back.
 *
 *     coord_load ADDRESS PORT REQUESTS_A_SECOND SECONDS RESOURCE COMPONENT
 *
 * Prints one JSON object: requests answered, the time, latencies. A request's time begins when it
 * was due, not when it was sent: a client that falls behind does not hide it.
 *
 * Invariant: every request ends with grpc-status 0, and every lease that was granted is released;
 * anything else ends the program with an error.
 */
#include "grpc_wire.h"

#include <stdlib.h>
#include <string.h>

enum { CALLS_MAX = 4096, MESSAGE_BYTES = 128 };

typedef struct call {
    wire_call wire;    /* first: a wire_call is its call */
    struct call *next; /* free, or whose lease can be released */
    uint8_t message[MESSAGE_BYTES];
    size_t message_bytes;
    bool is_release;
} call;

static struct {
    grpc_wire wire;
    call calls[CALLS_MAX];
    call *idle;
    call *held; /* granted, in no order */
    uint8_t request[MESSAGE_BYTES];
    size_t request_bytes;
} load;

static void make_request(const char *resource, const char *component)
{
    uint8_t amount[64];
    uint8_t *p = wire_put(amount, 1, resource, strlen(resource));

    *p++ = 2 << 3;
    *p++ = 1;
    p = wire_put(load.request + WIRE_PREFIX_BYTES, 1, amount, (size_t)(p - amount));
    p = wire_put(p, 2, component, strlen(component));
    load.request_bytes = wire_finish(load.request, p);
}

/* The ReleaseResourceRequest for the Lease in an answer: its first two fields are the same. */
static void make_release(call *c)
{
    const uint8_t *lease = c->wire.answer + WIRE_PREFIX_BYTES + 2;
    size_t n_answer = c->wire.answer_bytes;
    size_t n_id = n_answer > WIRE_PREFIX_BYTES + 4 ? lease[1] + 2u : 0;
    size_t n = n_id + 1;

    if (!n_id || lease[0] != 0x0a || n + WIRE_PREFIX_BYTES + 12 > n_answer || lease[n_id] != 0x10)
        wire_fail("an answer without a lease");
    while (lease[n] & 128 && n < n_id + 10)
        n++;
    n++;
    memcpy(c->message + WIRE_PREFIX_BYTES, lease, n);
    c->message_bytes = wire_finish(c->message, c->message + WIRE_PREFIX_BYTES + n);
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t cap,
                       uint32_t *flags, nghttp2_data_source *source, void *userdata)
{
    const call *c = source->ptr;

    memcpy(buf, c->message, c->message_bytes);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)c->message_bytes;
}

static void release(call *c, double due)
{
    make_release(c);
    c->is_release = true;
    c->wire.since = due;
    wire_begin(&load.wire, &c->wire, "/jimbot.v1.ResourceCoordinator/ReleaseResource");
}

static void request(call *c, double due)
{
    memcpy(c->message, load.request, load.request_bytes);
    c->message_bytes = load.request_bytes;
    c->is_release = false;
    c->wire.since = due;
    wire_begin(&load.wire, &c->wire, "/jimbot.v1.ResourceCoordinator/RequestResource");
}

static call *pop(call **list)
{
    call *c = *list;

    if (!c)
        wire_fail("the server is too far behind");
    *list = c->next;
    return c;
}

static void on_end(wire_call *over)
{
    call *c = (call *)over;
    call **list = c->is_release ? &load.idle : &load.held;

    c->next = *list;
    *list = c;
}

static void run(double rate, size_t n)
{
    double begun = wire_now();

    for (size_t i = 0; i < n;) {
        double due = begun + (double)i / rate;

        for (; i < n && due <= wire_now(); due = begun + (double)i / rate) {
            if (load.held)
                release(pop(&load.held), due);
            else
                request(pop(&load.idle), due);
            i++;
        }
        wire_give(&load.wire);
        wire_take(&load.wire, due - wire_now());
    }
    while (load.wire.n_open || load.held) {
        while (load.held)
            release(pop(&load.held), wire_now());
        wire_give(&load.wire);
        if (load.wire.n_open)
            wire_take(&load.wire, 1);
    }
}

int main(int argc, char **argv)
{
    double rate, begun;
    size_t n;

    if (argc != 7 || strlen(argv[5]) > 31 || strlen(argv[6]) > 31)
        return 2;
    rate = atof(argv[3]);
    n = (size_t)(rate * atof(argv[4]));
    if (n == 0)
        return 2;
    for (int i = 0; i < CALLS_MAX; i++) {
        load.calls[i].next = load.idle;
        load.idle = &load.calls[i];
    }
    make_request(argv[5], argv[6]);
    load.wire.read = on_read;
    load.wire.ended = on_end;
    load.wire.max_latencies = 2 * n + CALLS_MAX;
    wire_open(&load.wire, argv[1], atoi(argv[2]));
    begun = wire_now();
    run(rate, n);
    wire_print(&load.wire, load.wire.n_done, wire_now() - begun);
    return 0;
}
