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
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LATENCIES = 1 << 20, OUT_BYTES = 256 * 1024, PREFIX_BYTES = 5, FLIGHT_MAX = 1024 };

typedef struct call {
    double begun;
    size_t at; /* of the message that is being sent */
    bool is_good;
} call;

static struct {
    nghttp2_session *session;
    int fd;
    bool is_stream;
    double end;
    uint8_t message[4096];
    size_t message_bytes;
    uint8_t answer[4096];
    size_t answer_bytes;
    unsigned long n_sent;
    unsigned long n_done;
    unsigned n_open;
    float *latencies; /* the last LATENCIES of them, in seconds */
    call calls[FLIGHT_MAX];
    uint8_t out[OUT_BYTES];
} load;

static void fail(const char *what)
{
    fprintf(stderr, "grpc_load: %s (%s)\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- the message */

static uint8_t *put_length(uint8_t *to, size_t n)
{
    for (; n > 127; n >>= 7)
        *to++ = (uint8_t)(n | 128);
    *to++ = (uint8_t)n;
    return to;
}

/* An event of type MONEY_CHANGED whose source fills it up, in the messages around it. */
static void make_message(size_t event_bytes)
{
    size_t n_source = event_bytes > 8 ? event_bytes - 6 : 2;
    uint8_t event[2048];
    uint8_t outgoing[2100];
    uint8_t *p = event;
    size_t n;

    *p++ = 0x08; /* type */
    *p++ = 4;
    *p++ = 0x2a; /* source */
    p = put_length(p, n_source);
    memset(p, 'x', n_source);
    p += n_source;
    n = (size_t)(p - event);
    p = outgoing;
    *p++ = 0x0a;
    p = put_length(p, n);
    memcpy(p, event, n);
    p += n;
    n = (size_t)(p - outgoing);
    p = load.message + PREFIX_BYTES;
    *p++ = 0x0a;
    p = put_length(p, n);
    memcpy(p, outgoing, n);
    load.message_bytes = (size_t)(p - load.message) + n;
    n = load.message_bytes - PREFIX_BYTES;
    for (int i = 0; i < 4; i++)
        load.message[1 + i] = (uint8_t)(n >> (24 - 8 * i));
}

/* --- calls */

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t cap,
                       uint32_t *flags, nghttp2_data_source *source, void *userdata)
{
    call *c = source->ptr;
    size_t n = 0;

    while (n < cap) {
        size_t part = load.message_bytes - c->at < cap - n ? load.message_bytes - c->at : cap - n;

        /* A message that was begun is ended. */
        if (load.is_stream && c->at == 0 && now() >= load.end) {
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

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value),
                        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static void begin(call *c)
{
    nghttp2_nv fields[] = {field(":method", "POST"),
                           field(":scheme", "http"),
                           field(":path", load.is_stream ? "/jimbot.v1.EventBus/PublishMany"
                                                         : "/jimbot.v1.EventBus/Publish"),
                           field(":authority", "localhost"),
                           field("te", "trailers"),
                           field("content-type", "application/grpc"),
                           field("user-agent", "grpc_load")};
    nghttp2_data_provider body = {.source = {.ptr = c}, .read_callback = on_read};

    *c = (call){.begun = now()};
    if (nghttp2_submit_request(load.session, NULL, fields, sizeof(fields) / sizeof(fields[0]),
                               &body, c) < 0)
        fail("a request could not be made");
    load.n_open++;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags,
                     void *userdata)
{
    call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    if (c && n_name == 11 && !memcmp(name, "grpc-status", 11))
        c->is_good = n_value == 1 && *value == '0';
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t n, void *userdata)
{
    if (load.is_stream && n <= sizeof(load.answer) - load.answer_bytes) {
        memcpy(load.answer + load.answer_bytes, bytes, n);
        load.answer_bytes += n;
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *userdata)
{
    call *c = nghttp2_session_get_stream_user_data(session, id);

    if (!c)
        return 0;
    if (!c->is_good)
        fail("a call did not end with OK");
    load.latencies[load.n_done++ % LATENCIES] = (float)(now() - c->begun);
    load.n_open--;
    if (!load.is_stream && now() < load.end)
        begin(c);
    return 0;
}

/* --- the connection */

static void give(void)
{
    const uint8_t *bytes;
    size_t n = 0;
    ssize_t rc;

    while (n < OUT_BYTES - 32768 && (rc = nghttp2_session_mem_send(load.session, &bytes)) > 0) {
        memcpy(load.out + n, bytes, (size_t)rc);
        n += (size_t)rc;
    }
    for (size_t at = 0; at < n;) {
        ssize_t done = send(load.fd, load.out + at, n - at, MSG_NOSIGNAL);

        if (done < 0)
            fail("the server does not take it");
        at += (size_t)done;
    }
}

static void take(void)
{
    static uint8_t in[65536];
    struct pollfd p = {.fd = load.fd, .events = POLLIN};
    ssize_t n;

    /* While there is something to send, what has come is read and no more is waited for. */
    if (poll(&p, 1, nghttp2_session_want_write(load.session) ? 0 : 10000) == 0) {
        if (!nghttp2_session_want_write(load.session))
            fail("nothing came for ten seconds");
        return;
    }
    n = recv(load.fd, in, sizeof(in), 0);
    if (n <= 0 || nghttp2_session_mem_recv(load.session, in, (size_t)n) < 0)
        fail("the connection broke");
}

static void open_connection(const char *address, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20};
    nghttp2_session_callbacks *callbacks;
    int one = 1;

    inet_pton(AF_INET, address, &to.sin_addr);
    load.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (load.fd < 0 || connect(load.fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        fail("no connection");
    setsockopt(load.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&load.session, callbacks, NULL);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(load.session, NGHTTP2_FLAG_NONE, &window, 1);
    nghttp2_session_set_local_window_size(load.session, NGHTTP2_FLAG_NONE, 0, 1 << 20);
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;

    return (x > y) - (x < y);
}

static double percentile_us(double p)
{
    size_t n = load.n_done < LATENCIES ? load.n_done : LATENCIES;

    return n ? 1e6 * (double)load.latencies[(size_t)((double)(n - 1) * p)] : 0;
}

/* PublishManyResponse.n_accepted: the first field. */
static unsigned long n_accepted(void)
{
    unsigned long n = 0;
    unsigned shift = 0;

    if (load.answer_bytes < PREFIX_BYTES + 2 || load.answer[PREFIX_BYTES] != 0x08)
        fail("the answer does not begin with a number of events");
    for (size_t i = PREFIX_BYTES + 1; i < load.answer_bytes; i++) {
        n |= (unsigned long)(load.answer[i] & 127) << shift;
        shift += 7;
        if (load.answer[i] < 128)
            return n;
    }
    return 0;
}

int main(int argc, char **argv)
{
    double begun;
    unsigned n_flight;
    unsigned long n;

    if (argc != 7)
        return 2;
    load.is_stream = !strcmp(argv[3], "stream");
    n_flight = load.is_stream ? 1 : (unsigned)atoi(argv[5]);
    load.latencies = calloc(LATENCIES, sizeof(float));
    if (!load.latencies || n_flight > FLIGHT_MAX || atoi(argv[6]) > 2000)
        return 2;
    make_message((size_t)atoi(argv[6]));
    open_connection(argv[1], atoi(argv[2]));
    begun = now();
    load.end = begun + atof(argv[4]);
    for (unsigned i = 0; i < n_flight; i++)
        begin(&load.calls[i]);
    while (load.n_open) {
        give();
        if (load.n_open)
            take();
    }
    n = load.is_stream ? load.n_sent : load.n_done;
    if (load.is_stream && n_accepted() != load.n_sent)
        fail("the server has not accepted what was sent");
    qsort(load.latencies, load.n_done < LATENCIES ? load.n_done : LATENCIES, sizeof(float),
          by_value);
    printf("{\"n\": %lu, \"seconds\": %.4f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", n,
           now() - begun, percentile_us(0.5), percentile_us(0.99));
    return 0;
}
