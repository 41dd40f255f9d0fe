/*
 * socket.c: Unix-domain sockets between processes: one send() and one recv() an event
 * (SOCK_SEQPACKET), or one write() an event and reads of whatever is there (SOCK_STREAM).
 *
 * Invariant: a stream's events have one length, so their borders need no header.
 */
#include "peers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

enum { STREAM_BUFFER = 262144 };

static void prepare(struct flow *flow)
{
    int *ends = calloc(2, sizeof(int));

    if (socketpair(AF_UNIX, flow->peer == &unix_stream ? SOCK_STREAM : SOCK_SEQPACKET, 0, ends))
        flow_fail(flow, "socketpair: %s", strerror(errno));
    flow->state = ends;
}

static void write_socket(struct flow *flow, unsigned idx)
{
    const int *ends = flow->state;
    size_t len = flow->shape.len_bytes;
    uint8_t *bytes = calloc(1, len);
    uint64_t n = flow_share(flow);

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        stamp(bytes, len, idx, i);
        for (size_t done = 0; done < len;) {
            ssize_t sent = send(ends[0], bytes + done, len - done, MSG_NOSIGNAL);

            if (sent < 0)
                flow_fail(flow, "send: %s", strerror(errno));
            done += (size_t)sent;
        }
    }
    free(bytes);
}

static void read_packets(struct flow *flow, struct tally *tally, uint8_t *buffer)
{
    const int *ends = flow->state;

    while (tally_goes_on(tally)) {
        ssize_t n = recv(ends[1], buffer, STREAM_BUFFER, 0);

        if (n <= 0)
            flow_fail(flow, "recv: %s", strerror(errno));
        tally_see(tally, buffer, (size_t)n);
    }
}

static void read_stream(struct flow *flow, struct tally *tally, uint8_t *buffer)
{
    const int *ends = flow->state;
    size_t len = flow->shape.len_bytes, have = 0, at;

    while (tally_goes_on(tally)) {
        ssize_t n = recv(ends[1], buffer + have, STREAM_BUFFER - have, 0);

        if (n <= 0)
            flow_fail(flow, "recv: %s", strerror(errno));
        have += (size_t)n;
        for (at = 0; have - at >= len; at += len)
            tally_see(tally, buffer + at, len);
        memmove(buffer, buffer + at, have - at);
        have -= at;
    }
}

static void read_socket(struct flow *flow, unsigned idx)
{
    uint8_t *buffer = malloc(STREAM_BUFFER);
    struct tally tally;

    tally_begin(&tally, flow, idx);
    flow_ready(flow);
    if (flow->peer == &unix_stream)
        read_stream(flow, &tally, buffer);
    else
        read_packets(flow, &tally, buffer);
    tally_end(&tally);
    free(buffer);
}

const struct peer unix_packets = {
    .name = "Unix-domain socket, SEQPACKET",
    .is_across = true,
    .prepare = prepare,
    .write = write_socket,
    .read = read_socket,
};

const struct peer unix_stream = {
    .name = "Unix-domain socket, STREAM",
    .is_across = true,
    .prepare = prepare,
    .write = write_socket,
    .read = read_socket,
};
