/*
 * client_ws: a client's session over a WebSocket: the upgrade by llhttp, the frames by wslay.
 *
 * Invariant: nothing is sent before the server has agreed to `jimbot.v1.proto`; what it says after
 * an inbox is full stays unread in `in` and in the socket.
 */
#include "client/client_internal.h"
#include "host/text/hmem.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>
#include <wslay/wslay.h>

static const char subprotocol[] = "jimbot.v1.proto";

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t n, int flags, void *data)
{
    jb_client *c = data;
    size_t left = c->ws.in.len - c->ws.in_at;

    if (left == 0 || c->is_stalled || c->is_failed) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (n > left)
        n = left;
    memcpy(buf, c->ws.in.data + c->ws.in_at, n);
    c->ws.in_at += n;
    return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *bytes, size_t n, int flags,
                       void *data)
{
    jb_client *c = data;

    jbi_line_send(&c->line, bytes, n);
    return (ssize_t)n;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t n, void *data)
{
    jbi_client_random(buf, n);
    return 0;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
                       void *data)
{
    jb_client *c = data;

    switch (m->opcode) {
    case WSLAY_BINARY_FRAME:
        if (!c->is_failed)
            jbi_session_take(c, m->msg, m->msg_length);
        break;
    case WSLAY_TEXT_FRAME:
        jbi_client_fault(c, "a message of text, where bytes were agreed on");
        break;
    case WSLAY_CONNECTION_CLOSE:
        jbi_client_fail(c, JB_ECLOSED, "the server closed the session (%u)", m->status_code);
        break;
    default:
        break;
    }
}

static const struct wslay_event_callbacks callbacks = {.recv_callback = on_recv,
                                                       .send_callback = on_send,
                                                       .genmask_callback = on_mask,
                                                       .on_msg_recv_callback = on_message};

static void say_hello(jb_client *c)
{
    jbi_htext *out = &c->message;
    const jbi_url *url = &c->url;
    const char *host = url->scheme == JBI_URL_UNIX ? "localhost" : url->host;
    bool is_v6 = strchr(host, ':') != NULL;

    jbi_htext_printf(out, "GET %s HTTP/1.1\r\nHost: %s%s%s%s%s\r\n", url->path, is_v6 ? "[" : "",
                     host, is_v6 ? "]" : "", *url->port ? ":" : "", url->port);
    jbi_htext_printf(out,
                     "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: %s\r\n"
                     "User-Agent: libjimbot/%s\r\n",
                     c->ws.key, subprotocol, jb_version_string());
    if (c->opts.token)
        jbi_htext_printf(out, "Authorization: Bearer %s\r\n", c->opts.token);
    jbi_htext_str(out, "\r\n");
    if (out->is_broken)
        jbi_client_fail(c, JB_ENOMEM, "no memory for a request");
    else
        jbi_line_send(&c->line, out->data, out->len);
    jbi_htext_reset(out, 2 * JBI_BATCH_BYTES);
}

static void begin(jb_client *c)
{
    jbi_ws *w = &c->ws;
    unsigned char nonce[16];

    jbi_reply_init(&w->reply, c->alloc);
    jbi_htext_init(&w->in, c->alloc);
    w->in_at = 0;
    w->is_upgraded = false;
    jbi_client_random(nonce, sizeof(nonce));
    EVP_EncodeBlock((unsigned char *)w->key, nonce, sizeof(nonce));
    if (wslay_event_context_client_init(&w->frames, &callbacks, c) != 0) {
        w->frames = NULL;
        jbi_client_fail(c, JB_ENOMEM, "no memory for a WebSocket");
        return;
    }
    wslay_event_config_set_max_recv_msg_length(w->frames, JBI_CARRIER_MESSAGE_MAX);
    say_hello(c);
}

static bool is_accepted(const jbi_ws *w)
{
    char text[64];
    unsigned char hash[SHA_DIGEST_LENGTH];
    unsigned char accept[32];
    const char *value;
    size_t n;
    int len = snprintf(text, sizeof(text), "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", w->key);

    SHA1((const unsigned char *)text, (size_t)len, hash);
    EVP_EncodeBlock(accept, hash, sizeof(hash));
    value = jbi_fields_get(&w->reply.fields, JBI_FIELD_SEC_WEBSOCKET_ACCEPT, &n);
    return value && n == 28 && memcmp(value, accept, n) == 0 &&
           jbi_fields_is(&w->reply.fields, JBI_FIELD_UPGRADE, "websocket") &&
           jbi_fields_has_word(&w->reply.fields, JBI_FIELD_CONNECTION, "upgrade");
}

/* Statuses of servers that know nothing of WebSockets. */
static bool is_unknown(uint16_t status)
{
    return status == 400 || status == 404 || status == 405 || status == 426 || status == 501;
}

static void judge(jb_client *c)
{
    const jbi_ws *w = &c->ws;
    uint16_t status = w->reply.status;

    if (status == 101 && !is_accepted(w)) {
        jbi_client_fault(c, "the answer to the upgrade is not of a WebSocket server");
    } else if (status == 101 &&
               !jbi_fields_is(&w->reply.fields, JBI_FIELD_SEC_WEBSOCKET_PROTOCOL, subprotocol)) {
        jbi_client_fault(c, "the server does not speak %s", subprotocol);
    } else if (status == 101) {
        c->ws.is_upgraded = true;
        jbi_client_up(c);
    } else if (status == 401 || status == 403) {
        jbi_client_fail(c, JB_EPERM, "the server refused the token or its lack (%u)", status);
    } else if (status >= 500 && !is_unknown(status)) {
        jbi_client_fail(c, JB_ECLOSED, "the server takes no client now (%u)", status);
    } else {
        c->is_rest_next = is_unknown(status) && c->opts.flags & JB_CLIENT_REST_FALLBACK &&
                          c->url.scheme == JBI_URL_WS;
        jbi_client_fail(c, JB_ENOENT, "the server has no WebSocket there (%u)", status);
    }
}

static void read_frames(jb_client *c)
{
    jbi_ws *w = &c->ws;
    int rc = wslay_event_recv(w->frames);

    if (wslay_event_get_close_received(w->frames) && !c->is_failed)
        jbi_client_fail(c, JB_ECLOSED, "the server closed the session (%u)",
                        wslay_event_get_status_code_received(w->frames));
    if ((rc != 0 || !wslay_event_get_read_enabled(w->frames)) && !c->is_failed)
        jbi_client_fault(c, "frames that break the rules of WebSocket (%d)", rc);
    if (!c->is_failed && wslay_event_want_write(w->frames))
        wslay_event_send(w->frames);
    if (w->in_at == w->in.len) {
        jbi_htext_reset(&w->in, 256 * 1024);
        w->in_at = 0;
    }
}

static void feed(jb_client *c, const char *bytes, size_t n)
{
    jbi_ws *w = &c->ws;
    size_t n_used = 0;

    if (!w->is_upgraded) {
        switch (jbi_reply_feed(&w->reply, bytes, n, &n_used)) {
        case JBI_REPLY_MORE:
            if (w->reply.is_header_done)
                judge(c); /* a refusal: its body says nothing we need */
            return;
        case JBI_REPLY_BROKEN:
            jbi_client_fault(c, "the answer to the upgrade is not HTTP");
            return;
        case JBI_REPLY_DONE:
            judge(c);
            break;
        }
    }
    if (!w->is_upgraded || c->is_failed)
        return;
    /* wslay answers pings at once; what it says must not pile up behind a server that does not
     * read. */
    if (jbi_client_is_flooded(c))
        return;
    jbi_htext_add(&w->in, bytes + n_used, n - n_used);
    if (w->in.is_broken)
        jbi_client_fail(c, JB_ENOMEM, "no memory for what came in");
    else
        read_frames(c);
    jbi_line_pause(&c->line, c->is_stalled);
}

static void resume(jb_client *c)
{
    read_frames(c);
    jbi_line_pause(&c->line, c->is_stalled);
}

static void queue(jb_client *c, uint8_t opcode, const void *bytes, size_t n)
{
    struct wslay_event_msg m = {.opcode = opcode, .msg = bytes, .msg_length = n};

    if (wslay_event_queue_msg(c->ws.frames, &m) != 0 || wslay_event_send(c->ws.frames) != 0)
        jbi_client_fail(c, JB_ECLOSED, "the session is closing");
}

static void send_message(jb_client *c, const jbi_htext *message)
{
    queue(c, WSLAY_BINARY_FRAME, message->data, message->len);
}

static void ping(jb_client *c)
{
    queue(c, WSLAY_PING, NULL, 0);
}

static void bye(jb_client *c)
{
    wslay_event_queue_close(c->ws.frames, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
    wslay_event_send(c->ws.frames);
}

static void end(jb_client *c)
{
    jbi_ws *w = &c->ws;

    wslay_event_context_free(w->frames);
    w->frames = NULL;
    jbi_reply_fini(&w->reply);
    jbi_htext_fini(&w->in);
    w->is_upgraded = false;
}

const jbi_carrier jbi_carrier_ws = {.way = JB_CLIENT_BY_WEBSOCKET,
                                    .begin = begin,
                                    .feed = feed,
                                    .pump = jbi_session_pump,
                                    .send = send_message,
                                    .resume = resume,
                                    .ping = ping,
                                    .bye = bye,
                                    .end = end};
