/*
 * ws: see ws.h.
 *
 * wslay reads frames out of what the connection was given, and hands over payloads in pieces, which
 * are collected here, because it would reserve what a frame's header promises. Data messages go out
 * by a frame context of its own, without a copy into wslay's queue; control frames by its event
 * context. Both append whole frames, so they may be mixed.
 */
#include "host/ws/ws.h"

#include "host/host.h"
#include "host/http/body.h"
#include "host/net/address.h"
#include "host/service/session.h"
#include "host/text/hmem.h"
#include "host/ws/handshake.h"

#include <stdlib.h>
#include <wslay/wslay.h>

enum { CLOSE_BUSY = 1013, KEEP_ANSWER_BYTES = 256 * 1024 };

typedef struct websocket {
    jbi_conn *conn;
    jbi_session *session;
    wslay_event_context_ptr events; /* in, and control frames out */
    wslay_frame_context_ptr frames; /* data messages out */
    const char *in;                 /* what the connection gave and wslay has not taken */
    size_t n_in;
    jbi_body message; /* being received */
    uint32_t form;
    uint8_t opcode; /* of the frame being received */
    bool is_pinged; /* asked, and nothing came since */
} websocket;

static void on_wake(void *userdata)
{
    jbi_conn_wake(userdata);
}

static void close_with(websocket *w, uint16_t code, const char *reason)
{
    wslay_event_queue_close(w->events, code, (const uint8_t *)reason, strlen(reason));
    wslay_event_shutdown_read(w->events);
}

/* Send one data message. */
static void send_message(websocket *w, const jbi_htext *text)
{
    struct wslay_frame_iocb frame = {.fin = 1,
                                     .opcode = w->form == JBI_SESSION_JSON ? WSLAY_TEXT_FRAME
                                                                           : WSLAY_BINARY_FRAME,
                                     .payload_length = text->len,
                                     .data = (const uint8_t *)text->data,
                                     .data_length = text->len};

    /* A pong that waits goes before it; behind a close there is nothing. */
    wslay_event_send(w->events);
    if (wslay_event_get_close_sent(w->events))
        return;
    if (text->is_broken || wslay_frame_send(w->frames, &frame) < 0)
        close_with(w, WSLAY_CODE_INTERNAL_SERVER_ERROR, "no memory for an answer");
    w->conn->host->service.counters.n_ws_out++;
}

static ssize_t add_frame(const uint8_t *data, size_t n, int flags, void *userdata)
{
    websocket *w = userdata;

    jbi_htext_add(&w->conn->out.open, (const char *)data, n);
    return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t n, int flags,
                       void *userdata)
{
    return add_frame(data, n, flags, userdata);
}

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *to, size_t n, int flags,
                       void *userdata)
{
    websocket *w = userdata;

    if (n > w->n_in)
        n = w->n_in;
    if (n == 0 || jbi_conn_is_full(w->conn)) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(to, w->in, n);
    w->in += n;
    w->n_in -= n;
    return (ssize_t)n;
}

static void on_frame(wslay_event_context_ptr ctx,
                     const struct wslay_event_on_frame_recv_start_arg *frame, void *userdata)
{
    websocket *w = userdata;
    uint8_t wanted = w->form == JBI_SESSION_JSON ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME;

    w->opcode = frame->opcode;
    /* wslay takes a close of one byte, which can be no code, for one without. */
    if (frame->opcode == WSLAY_CONNECTION_CLOSE && frame->payload_length == 1)
        close_with(w, WSLAY_CODE_PROTOCOL_ERROR, "a close has a code of two bytes, or none");
    if (wslay_is_ctrl_frame(frame->opcode))
        return;
    if (jbi_body_exceeds(w->conn->host->opts.max_body_bytes, w->message.text.len,
                         frame->payload_length))
        close_with(w, WSLAY_CODE_MESSAGE_TOO_BIG, "the message is too long");
    else if (frame->opcode != WSLAY_CONTINUATION_FRAME && frame->opcode != wanted)
        close_with(w, WSLAY_CODE_UNSUPPORTED_DATA,
                   w->form == JBI_SESSION_JSON ? "jimbot.v1.json has text messages"
                                               : "jimbot.v1.proto has binary messages");
}

static void on_piece(wslay_event_context_ptr ctx,
                     const struct wslay_event_on_frame_recv_chunk_arg *piece, void *userdata)
{
    websocket *w = userdata;

    if (wslay_is_ctrl_frame(w->opcode) || !wslay_event_get_read_enabled(ctx))
        return;
    if (!jbi_body_add(&w->message, &w->conn->host->limits, (const char *)piece->data,
                      piece->data_length))
        close_with(w, CLOSE_BUSY, "too many messages are being received");
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg,
                       void *userdata)
{
    websocket *w = userdata;
    jbi_htext *text = &w->conn->host->service.text;
    jbi_slice message = {w->message.text.data ? w->message.text.data : "", w->message.text.len};

    if (wslay_is_ctrl_frame(arg->opcode) || !wslay_event_get_read_enabled(ctx))
        return;
    w->conn->host->service.counters.n_ws_in++;
    jbi_htext_reset(text, KEEP_ANSWER_BYTES);
    if (jbi_session_request(w->session, message, text) || text->is_broken)
        send_message(w, text);
    jbi_body_release(&w->message, &w->conn->host->limits);
}

static void free_socket(jb_host *host, websocket *w)
{
    jbi_session_close(w->session);
    wslay_event_context_free(w->events);
    wslay_frame_context_free(w->frames);
    jbi_body_release(&w->message, &host->limits);
    jbi_hmem_free(host->alloc, w, sizeof(*w));
}

static bool init_wslay(websocket *w)
{
    static const struct wslay_event_callbacks in = {.recv_callback = on_recv,
                                                    .send_callback = on_send,
                                                    .on_frame_recv_start_callback = on_frame,
                                                    .on_frame_recv_chunk_callback = on_piece,
                                                    .on_msg_recv_callback = on_message};
    static const struct wslay_frame_callbacks out = {.send_callback = add_frame};

    if (wslay_event_context_server_init(&w->events, &in, w) < 0 ||
        wslay_frame_context_init(&w->frames, &out, w) < 0)
        return false;
    wslay_event_config_set_no_buffering(w->events, 1);
    wslay_event_config_set_max_recv_msg_length(w->events, w->conn->host->opts.max_body_bytes);
    return true;
}

static int open_socket(jbi_conn *c, void *arg)
{
    jb_host *host = c->host;
    jbi_ws_arg *a = arg;
    websocket *w = jbi_hmem_zalloc(host->alloc, sizeof(*w));
    char peer[JBI_ADDRESS_BYTES];
    jbi_session_opts opts = {
        .form = a->form, .who = &a->who, .via = "websocket", .wake = on_wake, .userdata = c};

    bool is_open = false;

    jbi_address_of_peer(&c->io.handle, peer);
    opts.name = jbi_slice_str(peer);
    if (w) {
        w->conn = c;
        w->form = opts.form;
        jbi_body_init(&w->message, host->alloc);
        is_open = init_wslay(w) && jbi_session_open(host, &opts, &w->session) == 0;
    }
    jbi_hmem_free(host->alloc, a, sizeof(*a));
    if (w && !is_open)
        free_socket(host, w);
    c->session = is_open ? w : NULL;
    return is_open ? 0 : JB_ENOMEM;
}

static void close_socket(jbi_conn *c)
{
    free_socket(c->host, c->session);
}

/* wslay gives a frame that is none a close without a code: send one with it in its place. */
static void refuse_frame(websocket *w)
{
    const uint8_t code[2] = {WSLAY_CODE_PROTOCOL_ERROR >> 8, WSLAY_CODE_PROTOCOL_ERROR & 0xff};
    struct wslay_frame_iocb frame = {.fin = 1,
                                     .opcode = WSLAY_CONNECTION_CLOSE,
                                     .payload_length = sizeof(code),
                                     .data = code,
                                     .data_length = sizeof(code)};

    wslay_frame_send(w->frames, &frame);
    jbi_conn_end(w->conn);
}

/* Send the control frames that wait, and end the connection when the last of them was a close. */
static void settle(websocket *w)
{
    wslay_event_send(w->events);
    if (wslay_event_get_close_sent(w->events))
        jbi_conn_end(w->conn);
}

static size_t feed(jbi_conn *c, const char *bytes, size_t n)
{
    websocket *w = c->session;
    size_t n_used;
    int rc;

    w->is_pinged = false;
    w->in = bytes;
    w->n_in = n;
    rc = wslay_event_recv(w->events);
    if (rc == WSLAY_ERR_CALLBACK_FAILURE) {
        refuse_frame(w);
        return n;
    }
    if (rc < 0)
        close_with(w, WSLAY_CODE_INTERNAL_SERVER_ERROR, "no memory for a message");
    /* What comes behind a close is nothing any more. */
    n_used = wslay_event_get_read_enabled(w->events) ? n - w->n_in : n;
    w->n_in = 0;
    settle(w);
    return n_used;
}

static void pump(jbi_conn *c)
{
    websocket *w = c->session;
    jbi_htext *text = &c->host->service.text;

    while (!jbi_conn_is_full(c) && !wslay_event_get_close_sent(w->events)) {
        jbi_htext_reset(text, KEEP_ANSWER_BYTES);
        if (!jbi_session_next(w->session, text))
            break;
        send_message(w, text);
    }
    settle(w);
}

static enum jbi_conn_part part(const jbi_conn *c)
{
    return JBI_CONN_STREAM;
}

static void expire(jbi_conn *c)
{
    websocket *w = c->session;
    const struct wslay_event_msg ping = {.opcode = WSLAY_PING};

    if (w->is_pinged) {
        c->host->service.counters.n_timeouts++;
        jbi_conn_close(c);
        return;
    }
    w->is_pinged = true;
    wslay_event_queue_msg(w->events, &ping);
    settle(w);
}

static void drain(jbi_conn *c)
{
    websocket *w = c->session;

    close_with(w, WSLAY_CODE_GOING_AWAY, "the host is stopping");
    settle(w);
}

const jbi_protocol jbi_ws = {.name = "websocket",
                             .open = open_socket,
                             .close = close_socket,
                             .feed = feed,
                             .pump = pump,
                             .part = part,
                             .expire = expire,
                             .drain = drain};
