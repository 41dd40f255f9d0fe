/*
 * client_grpc: a client's session as one call of gRPC: Session of jimbot.v1.EventBus, HTTP/2 by
 * nghttp2, and around each message gRPC's prefix of five bytes.
 *
 * A server of gRPC may send its header only with its first message, so the first thing said is a
 * ping of the session: whatever answers it is the sign that the call stands.
 *
 * Invariant: the window of what an inbox has no room for is not given back; what waits for the
 * server's window is bounded, because the session looks at it before it sends.
 */
#include "client/client_internal.h"
#include "host/text/hmem.h"
#include "host/text/msgfield.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX_BYTES = 5, SESSION_PING = 7, WINDOW = 1 << 20 };

/* Numbers of gRPC. */
enum { GRPC_PERMISSION_DENIED = 7, GRPC_UNIMPLEMENTED = 12, GRPC_UNAUTHENTICATED = 16 };

/* Give nghttp2's bytes to the line. */
static void drain(jb_client *c)
{
    const uint8_t *bytes;
    ssize_t n;

    while (c->grpc.h2 && (n = nghttp2_session_mem_send(c->grpc.h2, &bytes)) != 0) {
        if (n < 0) {
            jbi_client_fail(c, JB_ENOMEM, "HTTP/2: %s", nghttp2_strerror((int)n));
            return;
        }
        jbi_line_send(&c->line, bytes, (size_t)n);
    }
}

/* --- what goes out */

static ssize_t on_read(nghttp2_session *h2, int32_t stream, uint8_t *to, size_t n, uint32_t *flags,
                       nghttp2_data_source *source, void *userdata)
{
    jbi_grpc *g = &((jb_client *)userdata)->grpc;
    size_t left = g->out.len - g->out_at;

    if (left == 0)
        return NGHTTP2_ERR_DEFERRED;
    n = n < left ? n : left;
    memcpy(to, g->out.data + g->out_at, n);
    g->out_at += n;
    if (g->out_at == g->out.len) {
        jbi_htext_reset(&g->out, 2 * JBI_BATCH_BYTES);
        g->out_at = 0;
    }
    return (ssize_t)n;
}

static void send_message(jb_client *c, const jbi_htext *message)
{
    jbi_grpc *g = &c->grpc;
    uint32_t n = (uint32_t)message->len;
    const char prefix[PREFIX_BYTES] = {0, (char)(n >> 24), (char)(n >> 16), (char)(n >> 8),
                                       (char)n};

    jbi_htext_add(&g->out, prefix, sizeof(prefix));
    jbi_htext_add(&g->out, message->data, message->len);
    if (g->out.is_broken) {
        jbi_client_fail(c, JB_ENOMEM, "no memory for a message");
        return;
    }
    nghttp2_session_resume_data(g->h2, g->stream);
    drain(c);
}

/* --- what comes in */

static uint32_t length_at(const char *prefix)
{
    const uint8_t *p = (const uint8_t *)prefix + 1;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Hand on the messages that are whole. */
static void read_messages(jb_client *c)
{
    jbi_grpc *g = &c->grpc;

    while (!c->is_failed && !c->is_stalled && g->in.len - g->in_at >= PREFIX_BYTES) {
        const char *at = g->in.data + g->in_at;
        uint32_t n = length_at(at);

        if (at[0] != 0 || n > JBI_CARRIER_MESSAGE_MAX) {
            jbi_client_fault(c, "a message that is compressed or too large");
            return;
        }
        if (g->in.len - g->in_at - PREFIX_BYTES < n)
            break;
        g->in_at += PREFIX_BYTES + n;
        if (!c->is_up)
            jbi_client_up(c);
        jbi_session_take(c, at + PREFIX_BYTES, n);
    }
    if (g->in_at == g->in.len) {
        jbi_htext_reset(&g->in, 256 * 1024);
        g->in_at = 0;
    } else if (g->in_at > g->in.len / 2) {
        memmove(g->in.data, g->in.data + g->in_at, g->in.len - g->in_at);
        g->in.len -= g->in_at;
        g->in_at = 0;
    }
}

static void consume(jb_client *c)
{
    if (c->is_stalled || c->is_failed || c->grpc.n_unconsumed == 0)
        return;
    nghttp2_session_consume(c->grpc.h2, c->grpc.stream, c->grpc.n_unconsumed);
    c->grpc.n_unconsumed = 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream, const uint8_t *bytes,
                   size_t n, void *userdata)
{
    jb_client *c = userdata;
    jbi_grpc *g = &c->grpc;

    if (stream != g->stream || c->is_failed)
        return 0;
    jbi_htext_add(&g->in, (const char *)bytes, n);
    g->n_unconsumed += n;
    if (g->in.is_broken)
        jbi_client_fail(c, JB_ENOMEM, "no memory for what came in");
    else
        read_messages(c);
    return 0;
}

static bool is(const uint8_t *text, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(text, word, n) == 0;
}

/* nghttp2 says what it is called with. NOLINTNEXTLINE(readability-function-size) */
static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *userdata)
{
    jbi_grpc *g = &((jb_client *)userdata)->grpc;
    char number[12] = "";

    if (frame->hd.stream_id != g->stream || value_bytes >= sizeof(number))
        return 0;
    memcpy(number, value, value_bytes);
    if (is(name, name_bytes, ":status")) {
        g->http_status = (uint16_t)strtoul(number, NULL, 10);
    } else if (is(name, name_bytes, "grpc-status")) {
        g->status = (uint32_t)strtoul(number, NULL, 10);
        g->has_status = true;
    }
    return 0;
}

static void say_why(jb_client *c)
{
    const jbi_grpc *g = &c->grpc;

    if (!g->has_status)
        jbi_client_fail(c, g->http_status == 200 ? JB_ECLOSED : JB_ENOENT,
                        "the server ended the call (HTTP %u)", g->http_status);
    else if (g->status == GRPC_UNAUTHENTICATED || g->status == GRPC_PERMISSION_DENIED)
        jbi_client_fail(c, JB_EPERM, "the server refused the token or its lack (%u)", g->status);
    else
        jbi_client_fail(c, g->status == GRPC_UNIMPLEMENTED ? JB_ENOENT : JB_ECLOSED,
                        "the server ended the call (status %u)", g->status);
}

/* The server has nothing more to say: it ended its side, or answers as no server of gRPC does. */
static bool is_last(const jbi_grpc *g, const nghttp2_frame_hd *frame)
{
    if (frame->type != NGHTTP2_HEADERS && frame->type != NGHTTP2_DATA)
        return false;
    return frame->flags & NGHTTP2_FLAG_END_STREAM ||
           (g->http_status != 200 && g->http_status >= 200);
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *userdata)
{
    jb_client *c = userdata;

    if (frame->hd.type == NGHTTP2_GOAWAY)
        jbi_client_fail(c, JB_ECLOSED, "the server goes away");
    else if (frame->hd.stream_id == c->grpc.stream && is_last(&c->grpc, &frame->hd))
        say_why(c);
    return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t stream, uint32_t code, void *userdata)
{
    jb_client *c = userdata;

    if (stream == c->grpc.stream)
        say_why(c);
    return 0;
}

/* --- begin and end */

static int make_session(jb_client *c)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    int rc = nghttp2_session_callbacks_new(&callbacks);

    if (rc != 0)
        return rc;
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    rc = nghttp2_option_new(&option);
    if (rc == 0) {
        nghttp2_option_set_no_auto_window_update(option, 1);
        rc = nghttp2_session_client_new2(&c->grpc.h2, callbacks, c, option);
        nghttp2_option_del(option);
    }
    nghttp2_session_callbacks_del(callbacks);
    return rc;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value)};
}

static int call(jb_client *c)
{
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                               {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW}};
    const nghttp2_data_provider provider = {.read_callback = on_read};
    char authority[280], agent[48], bearer[4096 + 8];
    nghttp2_nv fields[8];
    size_t n = 0;
    int rc;

    snprintf(authority, sizeof(authority), strchr(c->url.host, ':') ? "[%s]:%s" : "%s:%s",
             c->url.host, c->url.port);
    snprintf(agent, sizeof(agent), "libjimbot/%s", jb_version_string());
    snprintf(bearer, sizeof(bearer), "Bearer %s", c->opts.token ? c->opts.token : "");
    fields[n++] = field(":method", "POST");
    fields[n++] = field(":scheme", c->url.is_tls ? "https" : "http");
    fields[n++] = field(":path", "/jimbot.v1.EventBus/Session");
    fields[n++] = field(":authority", authority);
    fields[n++] = field("te", "trailers");
    fields[n++] = field("content-type", "application/grpc");
    fields[n++] = field("user-agent", agent);
    if (c->opts.token) {
        fields[n] = field("authorization", bearer);
        fields[n++].flags = NGHTTP2_NV_FLAG_NO_INDEX;
    }
    nghttp2_submit_settings(c->grpc.h2, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(c->grpc.h2, NGHTTP2_FLAG_NONE, 0, WINDOW);
    rc = nghttp2_submit_request(c->grpc.h2, NULL, fields, n, &provider, c);
    OPENSSL_cleanse(bearer, sizeof(bearer));
    return rc;
}

static void begin(jb_client *c)
{
    jbi_grpc *g = &c->grpc;
    int rc;

    *g = (jbi_grpc){.stream = -1};
    jbi_htext_init(&g->out, c->alloc);
    jbi_htext_init(&g->in, c->alloc);
    rc = make_session(c);
    if (rc == 0)
        rc = g->stream = call(c);
    if (rc < 0) {
        jbi_client_fail(c, JB_ENOMEM, "HTTP/2: %s", nghttp2_strerror(rc));
        return;
    }
    jbi_msg_close(&c->message, jbi_msg_open(&c->message, SESSION_PING));
    send_message(c, &c->message);
    jbi_htext_reset(&c->message, 2 * JBI_BATCH_BYTES);
}

static void feed(jb_client *c, const char *bytes, size_t n)
{
    ssize_t used = nghttp2_session_mem_recv(c->grpc.h2, (const uint8_t *)bytes, n);

    if (used < 0) {
        jbi_client_fault(c, "what is no HTTP/2: %s", nghttp2_strerror((int)used));
        return;
    }
    consume(c);
    drain(c);
    /* nghttp2 answers pings and settings at once. */
    if (jbi_client_is_flooded(c))
        return;
    /* It has said goodbye because of what came. */
    if (!c->is_failed && !nghttp2_session_want_read(c->grpc.h2))
        jbi_client_fault(c, "what is no HTTP/2");
}

static void pump(jb_client *c)
{
    jbi_session_pump(c);
    if (!c->is_failed) {
        consume(c);
        drain(c);
    }
}

static void resume(jb_client *c)
{
    read_messages(c);
}

static void ping(jb_client *c)
{
    nghttp2_submit_ping(c->grpc.h2, NGHTTP2_FLAG_NONE, NULL);
    drain(c);
}

static void bye(jb_client *c)
{
    nghttp2_session_terminate_session(c->grpc.h2, NGHTTP2_NO_ERROR);
    drain(c);
}

static void end(jb_client *c)
{
    nghttp2_session_del(c->grpc.h2);
    c->grpc.h2 = NULL;
    jbi_htext_fini(&c->grpc.out);
    jbi_htext_fini(&c->grpc.in);
    c->grpc.out_at = c->grpc.in_at = 0;
}

const jbi_carrier jbi_carrier_grpc = {.way = JB_CLIENT_BY_GRPC,
                                      .begin = begin,
                                      .feed = feed,
                                      .pump = pump,
                                      .send = send_message,
                                      .resume = resume,
                                      .ping = ping,
                                      .bye = bye,
                                      .end = end};
