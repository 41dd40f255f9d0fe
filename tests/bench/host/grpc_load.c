/*
 * grpc_load: the client of the gRPC benchmark, for whichever server: unary calls with so many in
 * flight, or one call of many messages, on one connection, as fast as the server takes them.
 *
 *     grpc_load ADDRESS PORT unary|stream SECONDS IN_FLIGHT EVENT_BYTES
 *
 * Prints one JSON object: calls or messages answered, the time, latency of unary calls. Each
 * message is a PublishRequest (PublishManyRequest has the same fields) of one event.
 *
 * Invariant: what is counted was answered with grpc-status 0, and of a stream the server's own sum
 * of accepted events is what was sent; anything else ends the program with an error.
 */
#include "grpc_wire.h"

#include <stdlib.h>
#include <string.h>

enum { LATENCIES = 1 << 20, FLIGHT_MAX = 1024, EVENT_MAX = 2000 };

typedef struct call {
    wire_call wire; /* first: a wire_call is its call */
    size_t at;      /* of the message that is being sent */
} call;

static struct {
    grpc_wire wire;
    bool is_stream;
    double end;
    uint8_t message[4096];
    size_t message_bytes;
    size_t n_sent;
    call calls[FLIGHT_MAX];
} load;

/* An event of type MONEY_CHANGED whose source fills it up, in the messages around it. */
static void make_message(size_t event_bytes)
{
    char source[EVENT_MAX];
    uint8_t event[EVENT_MAX + 16] = {0x08, 4};
    uint8_t outgoing[EVENT_MAX + 32];
    uint8_t *p;

    memset(source, 'x', sizeof source);
    p = wire_put(event + 2, 5, source, event_bytes > 8 ? event_bytes - 6 : 2);
    p = wire_put(outgoing, 1, event, (size_t)(p - event));
    p = wire_put(load.message + WIRE_PREFIX_BYTES, 1, outgoing, (size_t)(p - outgoing));
    load.message_bytes = wire_finish(load.message, p);
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t cap,
                       uint32_t *flags, nghttp2_data_source *source, void *userdata)
{
    call *c = source->ptr;
    size_t n = 0;

    while (n < cap) {
        size_t part = load.message_bytes - c->at < cap - n ? load.message_bytes - c->at : cap - n;

        /* A message that was begun is ended. */
        if (load.is_stream && c->at == 0 && wire_now() >= load.end) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
            break;
        }
        memcpy(buf + n, load.message + c->at, part);
        n += part;
        c->at = (c->at + part) % load.message_bytes;
        if (c->at)
            continue;
        load.n_sent++;
        if (!load.is_stream) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
            break;
        }
    }
    return (ssize_t)n;
}

static void begin(call *c)
{
    c->at = 0;
    c->wire.since = wire_now();
    wire_begin(&load.wire, &c->wire,
               load.is_stream ? "/jimbot.v1.EventBus/PublishMany" : "/jimbot.v1.EventBus/Publish");
}

static void on_end(wire_call *over)
{
    if (!load.is_stream && wire_now() < load.end)
        begin((call *)over);
}

/* While there is something to send, what has come is read and no more is waited for. */
static void run(void)
{
    while (load.wire.n_open) {
        bool is_busy;

        wire_give(&load.wire);
        is_busy = nghttp2_session_want_write(load.wire.session);
        if (load.wire.n_open && !wire_take(&load.wire, is_busy ? 0 : 10) && !is_busy)
            wire_fail("nothing came for ten seconds");
    }
}

/* PublishManyResponse.n_accepted: the first field. */
static size_t n_accepted(const wire_call *over)
{
    size_t n = 0;
    unsigned shift = 0;

    if (over->answer_bytes < WIRE_PREFIX_BYTES + 2 || over->answer[WIRE_PREFIX_BYTES] != 0x08)
        wire_fail("the answer does not begin with a number of events");
    for (size_t i = WIRE_PREFIX_BYTES + 1; i < over->answer_bytes; i++) {
        n |= (size_t)(over->answer[i] & 127) << shift;
        shift += 7;
        if (over->answer[i] < 128)
            return n;
    }
    return 0;
}

int main(int argc, char **argv)
{
    double begun;
    unsigned n_flight;

    if (argc != 7)
        return 2;
    load.is_stream = !strcmp(argv[3], "stream");
    n_flight = load.is_stream ? 1 : (unsigned)atoi(argv[5]);
    if (n_flight > FLIGHT_MAX || atoi(argv[6]) > EVENT_MAX)
        return 2;
    make_message((size_t)atoi(argv[6]));
    load.wire.read = on_read;
    load.wire.ended = on_end;
    load.wire.max_latencies = LATENCIES;
    wire_open(&load.wire, argv[1], atoi(argv[2]));
    begun = wire_now();
    load.end = begun + atof(argv[4]);
    for (unsigned i = 0; i < n_flight; i++)
        begin(&load.calls[i]);
    run();
    if (load.is_stream && n_accepted(&load.calls[0].wire) != load.n_sent)
        wire_fail("the server has not accepted what was sent");
    wire_print(&load.wire, load.is_stream ? load.n_sent : load.wire.n_done, wire_now() - begun);
    return 0;
}
