/*
 * redis.c: Redis streams over a Unix-domain socket: XADD an event, one at a time or 64 in a
 * pipeline; the reader takes up to 512 with one XREAD. Nothing is written to disk.
 *
 * Invariant: the stream is trimmed to more than the writer may be ahead, so nothing is trimmed
 * unread.
 */
#include "peers.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WINDOW_BYTES = 16 << 20, WINDOW = 65536, PIPELINE = 64 };

static int server, n_users;
static char path_of_socket[64];

static const char *start(void)
{
    const char *path = server_path("redis-server");
    const char *argv[] = {
        "redis-server", "--port", "0",     "--unixsocket", path_of_socket, "--save",  "",
        "--appendonly", "no",     "--dir", "/tmp",         "--loglevel",   "warning", NULL};

    if (!path) /* Debian's redis-tools has the same program under the name of a tool */
        path = server_path("redis-check-rdb");
    if (!path)
        return "skipped: no redis-server";
    if (n_users++)
        return NULL;
    snprintf(path_of_socket, sizeof path_of_socket, "/tmp/bench-redis-%d", (int)getpid());
    server = server_start(path, argv);
    return server > 0 ? NULL : "skipped: cannot start redis-server";
}

static void stop(void)
{
    if (n_users == 0 || --n_users)
        return;
    server_stop(server);
    (void)unlink(path_of_socket);
    server = 0;
}

static redisContext *join(struct flow *flow)
{
    for (int i = 0; i < 100; i++) {
        redisContext *context = redisConnectUnix(path_of_socket);

        if (context && !context->err)
            return context;
        if (context)
            redisFree(context);
        usleep(20000); /* it is starting */
    }
    flow_fail(flow, "Redis: cannot connect");
}

static void check(struct flow *flow, const redisContext *context, const redisReply *reply)
{
    if (!reply)
        flow_fail(flow, "Redis: %.80s", context->errstr);
    if (reply->type == REDIS_REPLY_ERROR)
        flow_fail(flow, "Redis: %.80s", reply->str);
}

static void take_replies(struct flow *flow, redisContext *context, uint64_t n)
{
    while (n--) {
        void *reply = NULL;

        (void)redisGetReply(context, &reply);
        check(flow, context, reply);
        freeReplyObject(reply);
    }
}

static uint64_t window_of(const struct flow *flow)
{
    uint64_t fit = WINDOW_BYTES / flow->shape.len_bytes;

    return fit < WINDOW ? fit : WINDOW;
}

static void write_redis(struct flow *flow, unsigned idx)
{
    redisContext *context = join(flow);
    uint64_t pipeline = flow->peer == &redis_single ? 1 : PIPELINE, n = flow_share(flow);
    size_t len = flow->shape.len_bytes;
    uint8_t *bytes = calloc(1, len);
    uint64_t n_open = 0;

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        if ((i & 63) == 0)
            flow_wait_window(flow, i, window_of(flow));
        stamp(bytes, len, idx, i);
        redisAppendCommand(context, "XADD %s MAXLEN ~ %llu * d %b", flow->name,
                           (unsigned long long)window_of(flow) * 2, bytes, len);
        if (++n_open < pipeline)
            continue;
        take_replies(flow, context, n_open);
        n_open = 0;
    }
    take_replies(flow, context, n_open);
    redisFree(context);
    free(bytes);
}

/* A reply is [[stream, [[id, ["d", bytes]], …]]]. Returns the last id. */
static const char *see_reply(struct flow *flow, struct tally *tally, const redisReply *reply)
{
    const redisReply *entries, *entry = NULL;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 ||
        reply->element[0]->elements != 2)
        flow_fail(flow, "Redis: an answer of another form");
    entries = reply->element[0]->element[1];
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *bytes;

        entry = entries->element[i];
        bytes = entry->element[1]->element[1];
        tally_see(tally, bytes->str, (size_t)bytes->len);
    }
    return entry ? entry->element[0]->str : NULL;
}

static void read_redis(struct flow *flow, unsigned idx)
{
    redisContext *context = join(flow);
    char last[64] = "0";
    struct tally tally;

    tally_begin(&tally, flow, idx);
    flow_ready(flow);
    while (tally_goes_on(&tally)) {
        redisReply *reply =
            redisCommand(context, "XREAD COUNT 512 BLOCK 1000 STREAMS %s %s", flow->name, last);
        const char *id;

        check(flow, context, reply);
        if (reply->type != REDIS_REPLY_NIL && (id = see_reply(flow, &tally, reply)))
            snprintf(last, sizeof last, "%s", id);
        freeReplyObject(reply);
        atomic_store(&flow->board->seen[idx].n, tally.n);
    }
    tally_end(&tally);
    freeReplyObject(redisCommand(context, "DEL %s", flow->name));
    redisFree(context);
}

const struct peer redis = {
    .name = "Redis streams, pipelined by 64",
    .is_across = true,
    .start = start,
    .stop = stop,
    .write = write_redis,
    .read = read_redis,
};

const struct peer redis_single = {
    .name = "Redis streams, one at a time",
    .is_across = true,
    .start = start,
    .stop = stop,
    .write = write_redis,
    .read = read_redis,
};
