/*
 * nats.c: NATS core: one natsConnection_Publish() an event, one subject, one subscriber that takes
 * message by message. The client library batches its writes on its own.
 *
 * Invariant: the server drops what a subscriber leaves lying too long, so the writer stays within a
 * window of the reader, and a figure is one without loss.
 */
#include "peers.h"

#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WINDOW_BYTES = 16 << 20, WINDOW = 65536, PATIENCE_MS = 5000 };

static int server;
static char url[64];

static const char *start(void)
{
    const char *path = server_path("nats-server");
    char port[16];
    const char *argv[] = {path, "-a", "127.0.0.1", "-p", port, NULL};

    if (!path)
        return "skipped: no nats-server";
    snprintf(port, sizeof port, "%d", server_free_port());
    snprintf(url, sizeof url, "nats://127.0.0.1:%s", port);
    server = server_start(path, argv);
    return server > 0 ? NULL : "skipped: cannot start nats-server";
}

static void stop(void)
{
    server_stop(server);
    server = 0;
}

static natsConnection *join(struct flow *flow)
{
    natsConnection *connection;
    natsStatus rc = NATS_ERR;

    for (int i = 0; i < 100; i++) {
        if ((rc = natsConnection_ConnectTo(&connection, url)) == NATS_OK)
            return connection;
        usleep(20000); /* it is starting */
    }
    flow_fail(flow, "NATS: %s", natsStatus_GetText(rc));
}

static void write_nats(struct flow *flow, unsigned idx)
{
    natsConnection *connection = join(flow);
    size_t len = flow->shape.len_bytes;
    uint64_t n = flow_share(flow);
    uint64_t window = WINDOW_BYTES / len < WINDOW ? WINDOW_BYTES / len : WINDOW;
    uint8_t *bytes = calloc(1, len);

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        if ((i & 63) == 0)
            flow_wait_window(flow, i, window);
        stamp(bytes, len, idx, i);
        natsStatus rc = natsConnection_Publish(connection, flow->name, bytes, (int)len);
        if (rc != NATS_OK)
            flow_fail(flow, "NATS: %s", natsStatus_GetText(rc));
    }
    (void)natsConnection_FlushTimeout(connection, PATIENCE_MS);
    natsConnection_Destroy(connection);
    free(bytes);
}

static void read_nats(struct flow *flow, unsigned idx)
{
    natsConnection *connection = join(flow);
    natsSubscription *sub;
    struct tally tally;

    if (natsConnection_SubscribeSync(&sub, connection, flow->name) != NATS_OK ||
        natsSubscription_SetPendingLimits(sub, -1, -1) != NATS_OK ||
        natsConnection_FlushTimeout(connection, PATIENCE_MS) != NATS_OK)
        flow_fail(flow, "NATS: cannot subscribe");
    tally_begin(&tally, flow, idx);
    flow_ready(flow);
    while (tally_goes_on(&tally)) {
        natsMsg *message;
        natsStatus rc = natsSubscription_NextMsg(&message, sub, PATIENCE_MS);

        if (rc != NATS_OK)
            flow_fail(flow, "NATS: %s", natsStatus_GetText(rc));
        tally_see(&tally, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
        tally_tell(&tally);
        natsMsg_Destroy(message);
    }
    tally_end(&tally);
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(connection);
}

const struct peer nats = {
    .name = "NATS core, one subject",
    .is_across = true,
    .start = start,
    .stop = stop,
    .write = write_nats,
    .read = read_nats,
};
