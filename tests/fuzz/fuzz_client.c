/*
 * Bytes that claim to come from a server, through a client that has no socket and no thread.
 *
 * The first byte says what the rest is: an answer to the upgrade, frames behind it, one message of
 * a session, answers to posts and polls over HTTP, or HTTP/2. What must hold: nothing crashes and
 * nothing is leaked; the counters add up; the bytes whole or in small pieces lead to the same end,
 * as long as neither way ends early.
 */
#include "client/client_internal.h"
#include "host/text/hmem.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

enum { ANSWER, FRAMES, MESSAGE, POSTS, POLLS, CALL, N_KINDS };

/* MONEY_CHANGED with the event_id "a" or "b". */
static const uint8_t first[] = {0x08, 0x04, 0x12, 0x01, 'a'};
static const uint8_t second[] = {0x08, 0x04, 0x12, 0x01, 'b'};

typedef struct outcome {
    bool is_failed;
    uint64_t n_settled;
    uint64_t n_seen;
} outcome;

static void nobody_connected(void *userdata)
{
}

static void nobody_received(void *userdata, const char *bytes, size_t n)
{
}

static void nobody_lost(void *userdata, const jb_error *why)
{
}

static jb_client *make(void)
{
    static const jbi_line_owner nobody = {nobody_connected, nobody_received, nobody_lost, NULL};
    jb_client *c = calloc(1, sizeof(*c));

    c->own_alloc = jbi_hmem_libc;
    c->alloc = &c->own_alloc;
    jb_client_opts_init(&c->opts, sizeof(c->opts));
    strcpy(c->url.host, "localhost");
    strcpy(c->url.port, "80");
    strcpy(c->url.path, "/");
    uv_mutex_init(&c->publish_lock);
    uv_mutex_init(&c->status_lock);
    uv_cond_init(&c->settled);
    require(jbi_pipe_init(&c->outbox, 65536, c->alloc) == 0);
    jbi_batch_init(&c->batch, c->alloc);
    jbi_htext_init(&c->message, c->alloc);
    jbi_htext_init(&c->held, c->alloc);
    require(jbi_client_loop_init(c) == 0);
    c->line.owner = nobody;
    return c;
}

static void destroy(jb_client *c, jb_client_sub *sub)
{
    c->carrier->end(c);
    atomic_store(&c->is_closing, true);
    jb_client_sub_close(sub);
    jbi_session_sweep(c);
    jbi_client_loop_fini(c);
    jbi_pipe_fini(&c->outbox);
    jbi_batch_fini(&c->batch);
    jbi_htext_fini(&c->message);
    jbi_htext_fini(&c->held);
    uv_cond_destroy(&c->settled);
    uv_mutex_destroy(&c->status_lock);
    uv_mutex_destroy(&c->publish_lock);
    free(c);
}

static uint64_t read_all(jb_client_sub *sub)
{
    jb_client_event events[4];
    uint64_t n_seen = 0;
    int n;

    while ((n = jb_client_sub_peek(sub, events, 4)) > 0) {
        for (int i = 0; i < n; i++) {
            require(events[i].topic[events[i].topic_bytes] == '\0');
            require(jb_event_inspect(events[i].payload, events[i].len_bytes, &(jb_encoded){0},
                                     NULL) == 0);
        }
        require(jb_client_sub_advance(sub) == 0);
        n_seen += (uint64_t)n;
    }
    return n_seen;
}

static void begin(jb_client *c, unsigned kind)
{
    c->carrier = kind == CALL    ? &jbi_carrier_grpc
                 : kind >= POSTS ? &jbi_carrier_rest
                                 : &jbi_carrier_ws;
    c->carrier->begin(c);
    if (kind == FRAMES || kind == MESSAGE) {
        c->ws.is_upgraded = true;
        jbi_client_up(c);
    }
    if (kind == POSTS)
        c->rest.is_poll_due = false;
}

static void feed(jb_client *c, unsigned kind, const char *bytes, size_t n)
{
    if (c->is_up && !c->is_failed)
        c->carrier->pump(c);
    if (c->is_failed)
        return;
    if (kind == MESSAGE)
        jbi_session_take(c, bytes, n);
    else
        c->carrier->feed(c, bytes, n);
}

static outcome run(unsigned kind, const char *bytes, size_t n, size_t piece)
{
    jb_client *c = make();
    jb_client_sub_opts opts;
    jb_client_sub *sub = NULL;
    outcome o;

    jb_client_sub_opts_init(&opts, sizeof(opts));
    opts.buffer_bytes = 65536;
    require(jb_client_subscribe(c, "command.>,game.>", 16, &opts, &sub, NULL) == 0);
    require(jb_client_publish(c, NULL, 0, 0, first, sizeof(first), NULL) == 0);
    require(jb_client_publish(c, NULL, 0, 0, second, sizeof(second), NULL) == 0);
    begin(c, kind);
    for (size_t at = 0; at < n && !c->is_failed; at += piece)
        feed(c, kind, bytes + at, n - at < piece ? n - at : piece);
    o = (outcome){.is_failed = c->is_failed, .n_seen = read_all(sub)};
    if (c->is_up && !c->is_failed) {
        c->carrier->pump(c);
        o.n_seen += read_all(sub);
    }
    o.n_settled = 2 - jbi_client_waiting(c);
    require(o.n_settled <= 2);
    destroy(c, sub);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned kind;
    outcome whole, cut;

    if (size < 2 || size > 65536)
        return 0;
    kind = data[0] % N_KINDS;
    whole = run(kind, (const char *)data + 1, size - 1, size);
    if (kind == MESSAGE || kind >= POSTS)
        return 0; /* a message is whole; behind an answer nothing is looked at */
    cut = run(kind, (const char *)data + 1, size - 1, 3);
    /* Of a frame that never ends wslay sees sooner or later that it is wrong, as its bytes come. */
    require(kind == FRAMES || whole.is_failed == cut.is_failed);
    require(whole.is_failed || cut.is_failed ||
            (whole.n_settled == cut.n_settled && whole.n_seen == cut.n_seen));
    return 0;
}
