/*
 * grpc_wire.c: see grpc_wire.h. One thread; nothing waits but wire_take() and a full socket.
 */
#include "grpc_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { WINDOW_BYTES = 1 << 20 };

void wire_fail(const char *what)
{
    fprintf(stderr, "%s: %s (%s)\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

double wire_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- messages */

uint8_t *wire_put(uint8_t *to, unsigned field, const void *bytes, size_t n)
{
    size_t left = n;

    *to++ = (uint8_t)(field << 3 | 2);
    for (; left > 127; left >>= 7)
        *to++ = (uint8_t)(left | 128);
    *to++ = (uint8_t)left;
    memcpy(to, bytes, n);
    return to + n;
}

size_t wire_finish(uint8_t *message, const uint8_t *end)
{
    size_t n = (size_t)(end - message) - WIRE_PREFIX_BYTES;

    message[0] = 0;
    for (int i = 0; i < 4; i++)
        message[1 + i] = (uint8_t)(n >> (24 - 8 * i));
    return n + WIRE_PREFIX_BYTES;
}

/* --- calls */

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value),
                        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

void wire_begin(grpc_wire *w, wire_call *call, const char *path)
{
    nghttp2_nv fields[] = {field(":method", "POST"),
                           field(":scheme", "http"),
                           field(":path", path),
                           field(":authority", "localhost"),
                           field("te", "trailers"),
                           field("content-type", "application/grpc"),
                           field("user-agent", program_invocation_short_name)};
    nghttp2_data_provider body = {.source = {.ptr = call}, .read_callback = w->read};

    call->is_good = false;
    call->answer_bytes = 0;
    if (nghttp2_submit_request(w->session, NULL, fields, sizeof(fields) / sizeof(fields[0]), &body,
                               call) < 0)
        wire_fail("a request could not be made");
    w->n_open++;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags,
                     void *userdata)
{
    wire_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    if (call && n_name == 11 && !memcmp(name, "grpc-status", 11))
        call->is_good = n_value == 1 && *value == '0';
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t n, void *userdata)
{
    wire_call *call = nghttp2_session_get_stream_user_data(session, id);

    if (call && n <= sizeof(call->answer) - call->answer_bytes) {
        memcpy(call->answer + call->answer_bytes, bytes, n);
        call->answer_bytes += n;
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *userdata)
{
    wire_call *call = nghttp2_session_get_stream_user_data(session, id);
    grpc_wire *w = userdata;

    if (!call)
        return 0;
    if (!call->is_good)
        wire_fail("a call did not end with OK");
    w->latencies[w->n_done++ % w->max_latencies] = (float)(wire_now() - call->since);
    w->n_open--;
    w->ended(call);
    return 0;
}

/* --- the connection */

void wire_open(grpc_wire *w, const char *address, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES};
    nghttp2_session_callbacks *callbacks;
    int one = 1;

    w->latencies = calloc(w->max_latencies, sizeof(*w->latencies));
    if (!w->latencies)
        wire_fail("no memory");
    inet_pton(AF_INET, address, &to.sin_addr);
    w->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (w->fd < 0 || connect(w->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        wire_fail("no connection");
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&w->session, callbacks, w);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(w->session, NGHTTP2_FLAG_NONE, &window, 1);
    nghttp2_session_set_local_window_size(w->session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES);
}

void wire_give(grpc_wire *w)
{
    const uint8_t *bytes;
    size_t n = 0;
    ssize_t rc;

    while (n < WIRE_OUT_BYTES - 32768 && (rc = nghttp2_session_mem_send(w->session, &bytes)) > 0) {
        memcpy(w->out + n, bytes, (size_t)rc);
        n += (size_t)rc;
    }
    for (size_t at = 0; at < n;) {
        ssize_t done = send(w->fd, w->out + at, n - at, MSG_NOSIGNAL);

        if (done < 0)
            wire_fail("the server does not take it");
        at += (size_t)done;
    }
}

bool wire_take(grpc_wire *w, double seconds)
{
    static uint8_t in[65536];
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    struct timespec wait = {0};
    ssize_t n;

    if (seconds > 0) {
        wait.tv_sec = (time_t)seconds;
        wait.tv_nsec = (long)((seconds - (double)wait.tv_sec) * 1e9);
    }
    if (ppoll(&p, 1, &wait, NULL) <= 0)
        return false;
    n = recv(w->fd, in, sizeof(in), 0);
    if (n <= 0 || nghttp2_session_mem_recv(w->session, in, (size_t)n) < 0)
        wire_fail("the connection broke");
    return true;
}

/* --- the figures */

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;

    return (x > y) - (x < y);
}

static double percentile_us(const grpc_wire *w, size_t n, double p)
{
    return n ? 1e6 * (double)w->latencies[(size_t)((double)(n - 1) * p)] : 0;
}

void wire_print(grpc_wire *w, size_t n, double seconds)
{
    size_t kept = w->n_done < w->max_latencies ? w->n_done : w->max_latencies;

    qsort(w->latencies, kept, sizeof(*w->latencies), by_value);
    printf("{\"n\": %zu, \"seconds\": %.4f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, "
           "\"max_us\": %.1f}\n",
           n, seconds, percentile_us(w, kept, 0.5), percentile_us(w, kept, 0.99),
           percentile_us(w, kept, 0.999), percentile_us(w, kept, 1));
}
