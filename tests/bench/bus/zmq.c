/*
 * zmq.c: ZeroMQ: PAIR sockets between threads, PUSH and PULL between processes; one zmq_send() and
 * one zmq_msg_recv() an event. It batches on its own.
 *
 * Invariant: the reader binds before the flow begins, so no event is dropped for want of a peer.
 */
#include "peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

enum { HIGH_WATER = 65536 }; /* neither side sleeps for want of room, as it does with 1000 */

static const char *address(const struct flow *flow)
{
    static char text[128];

    snprintf(text, sizeof text, flow->peer->is_across ? "ipc:///tmp/%s" : "inproc://%s",
             flow->name);
    return text;
}

static void *open_socket(struct flow *flow, void *context, bool is_writer)
{
    int pipe = is_writer ? ZMQ_PUSH : ZMQ_PULL, high_water = HIGH_WATER, linger = -1, rc;
    void *socket = zmq_socket(context, flow->peer->is_across ? pipe : ZMQ_PAIR);

    zmq_setsockopt(socket, ZMQ_SNDHWM, &high_water, sizeof high_water);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &high_water, sizeof high_water);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    rc = is_writer ? zmq_connect(socket, address(flow)) : zmq_bind(socket, address(flow));
    if (rc)
        flow_fail(flow, "ZeroMQ: %s", zmq_strerror(errno));
    return socket;
}

static void write_zmq(struct flow *flow, unsigned idx)
{
    void *context = flow->peer->is_across ? zmq_ctx_new() : flow->state;
    void *socket = open_socket(flow, context, true);
    size_t len = flow->shape.len_bytes;
    uint8_t *bytes = calloc(1, len);
    uint64_t n = flow_share(flow);

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        stamp(bytes, len, idx, i);
        if (zmq_send(socket, bytes, len, 0) < 0)
            flow_fail(flow, "ZeroMQ: %s", zmq_strerror(errno));
    }
    free(bytes);
    zmq_close(socket);
    if (flow->peer->is_across)
        zmq_ctx_term(context);
}

static void read_zmq(struct flow *flow, unsigned idx)
{
    void *context = flow->peer->is_across ? zmq_ctx_new() : flow->state;
    void *socket = open_socket(flow, context, false);
    struct tally tally;
    zmq_msg_t message;

    tally_begin(&tally, flow, idx);
    flow_ready(flow);
    zmq_msg_init(&message);
    while (tally_goes_on(&tally)) {
        if (zmq_msg_recv(&message, socket, 0) < 0)
            flow_fail(flow, "ZeroMQ: %s", zmq_strerror(errno));
        tally_see(&tally, zmq_msg_data(&message), zmq_msg_size(&message));
    }
    tally_end(&tally);
    zmq_msg_close(&message);
    zmq_close(socket);
    if (flow->peer->is_across)
        zmq_ctx_term(context);
}

static void prepare(struct flow *flow)
{
    if (!flow->peer->is_across)
        flow->state = zmq_ctx_new();
}

static void finish(struct flow *flow)
{
    char path[128];

    snprintf(path, sizeof path, "/tmp/%s", flow->name);
    (void)unlink(path);
}

const struct peer zmq_inproc = {
    .name = "ZeroMQ inproc PAIR",
    .prepare = prepare,
    .write = write_zmq,
    .read = read_zmq,
};

const struct peer zmq_ipc = {
    .name = "ZeroMQ ipc PUSH-PULL",
    .is_across = true,
    .prepare = prepare,
    .write = write_zmq,
    .read = read_zmq,
    .finish = finish,
};
