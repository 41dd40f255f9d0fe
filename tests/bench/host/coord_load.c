/*
 * coord_load: asks a coordinator for leases over gRPC at a steady rate, and gives them back.
 *
 *     coord_load ADDRESS PORT REQUESTS_A_SECOND SECONDS RESOURCE COMPONENT
 *
 * Prints one JSON object: requests answered, the time, latencies. A request's time begins when it
 * was due, not when it was sent: a client that falls behind does not hide it.
 *
 * Invariant: every request ends with grpc-status 0, and every lease that was granted is released;
 * anything else ends the program with an error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { CALLS_MAX = 4096, MESSAGE_BYTES = 128, OUT_BYTES = 256 * 1024, PREFIX_BYTES = 5 };

typedef struct call {
    struct call *next; /* free, or whose lease can be released */
    double due;
    uint8_t message[MESSAGE_BYTES];
    size_t message_bytes;
    uint8_t answer[MESSAGE_BYTES];
    size_t answer_bytes;
    bool is_good;
    bool is_release;
} call;

static struct {
    nghttp2_session *session;
    int fd;
    call calls[CALLS_MAX];
    call *idle;
    call *held; /* granted, in no order */
    double *latencies;
    size_t n_done;
    size_t n_open;
    uint8_t request[MESSAGE_BYTES];
    size_t request_bytes;
    uint8_t out[OUT_BYTES];
} load;

static void fail(const char *what)
{
    fprintf(stderr, "coord_load: %s (%s)\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- messages; everything in them is shorter than 128 bytes */

static uint8_t *put_text(uint8_t *to, unsigned field, const void *text, size_t n)
{
    *to++ = (uint8_t)(field << 3 | 2);
    *to++ = (uint8_t)n;
    memcpy(to, text, n);
    return to + n;
}

static size_t finish_message(uint8_t *message, const uint8_t *end)
{
    size_t n = (size_t)(end - message) - PREFIX_BYTES;

    memset(message, 0, PREFIX_BYTES);
    message[PREFIX_BYTES - 1] = (uint8_t)n;
    return n + PREFIX_BYTES;
}

static void make_request(const char *resource, const char *component)
{
    uint8_t amount[64];
    uint8_t *p = put_text(amount, 1, resource, strlen(resource));

    *p++ = 2 << 3;
    *p++ = 1;
    p = put_text(load.request + PREFIX_BYTES, 1, amount, (size_t)(p - amount));
    p = put_text(p, 2, component, strlen(component));
    load.request_bytes = finish_message(load.request, p);
}

/* The ReleaseResourceRequest for the Lease in an answer: its first two fields are the same. */
static void make_release(call *c)
{
    const uint8_t *lease = c->answer + PREFIX_BYTES + 2;
    size_t n_id = c->answer_bytes > PREFIX_BYTES + 4 ? lease[1] + 2u : 0;
    size_t n = n_id + 1;

    if (!n_id || lease[0] != 0x0a || n + PREFIX_BYTES + 12 > c->answer_bytes || lease[n_id] != 0x10)
        fail("an answer without a lease");
    while (lease[n] & 128 && n < n_id + 10)
        n++;
    n++;
    memcpy(c->message + PREFIX_BYTES, lease, n);
    c->message_bytes = finish_message(c->message, c->message + PREFIX_BYTES + n);
}

/* --- calls */

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t cap,
                       uint32_t *flags, nghttp2_data_source *source, void *userdata)
{
    const call *c = source->ptr;

    memcpy(buf, c->message, c->message_bytes);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)c->message_bytes;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value),
                        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static void submit(call *c, const char *path)
{
    nghttp2_nv fields[] = {field(":method", "POST"), field(":scheme", "http"),
                           field(":path", path),     field(":authority", "localhost"),
                           field("te", "trailers"),  field("content-type", "application/grpc")};
    nghttp2_data_provider body = {.source = {.ptr = c}, .read_callback = on_read};

    c->is_good = false;
    c->answer_bytes = 0;
    if (nghttp2_submit_request(load.session, NULL, fields, sizeof(fields) / sizeof(fields[0]),
                               &body, c) < 0)
        fail("a request could not be made");
    load.n_open++;
}

/* Give back a lease, or ask for one. */
static void begin(double due, bool may_ask)
{
    call *c = load.held;

    if (c) {
        load.held = c->next;
        make_release(c);
        c->is_release = true;
        c->due = due;
        submit(c, "/jimbot.v1.ResourceCoordinator/ReleaseResource");
        return;
    }
    if (!may_ask)
        return;
    c = load.idle;
    if (!c)
        fail("the server is too far behind");
    load.idle = c->next;
    memcpy(c->message, load.request, load.request_bytes);
    c->message_bytes = load.request_bytes;
    c->is_release = false;
    c->due = due;
    submit(c, "/jimbot.v1.ResourceCoordinator/RequestResource");
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
    call *c = nghttp2_session_get_stream_user_data(session, id);

    if (c && n <= sizeof(c->answer) - c->answer_bytes) {
        memcpy(c->answer + c->answer_bytes, bytes, n);
        c->answer_bytes += n;
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
    load.latencies[load.n_done++] = now() - c->due;
    load.n_open--;
    c->next = c->is_release ? load.idle : load.held;
    *(c->is_release ? &load.idle : &load.held) = c;
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

/* Take what comes until a moment. */
static void take(double until)
{
    static uint8_t in[65536];
    struct pollfd p = {.fd = load.fd, .events = POLLIN};
    double left = until - now();
    struct timespec wait = {.tv_nsec = left > 0 ? (long)(left * 1e9) : 0};
    ssize_t n;

    if (wait.tv_nsec >= 1000000000)
        wait = (struct timespec){.tv_sec = 1};
    if (ppoll(&p, 1, &wait, NULL) <= 0)
        return;
    n = recv(load.fd, in, sizeof(in), 0);
    if (n <= 0 || nghttp2_session_mem_recv(load.session, in, (size_t)n) < 0)
        fail("the connection broke");
}

static void open_connection(const char *address, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
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
    nghttp2_submit_settings(load.session, NGHTTP2_FLAG_NONE, NULL, 0);
    nghttp2_session_set_local_window_size(load.session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
}

static void run(double rate, size_t n)
{
    double begun = now();

    for (size_t i = 0; i < n;) {
        double due = begun + (double)i / rate;

        for (; i < n && due <= now(); due = begun + (double)i / rate) {
            begin(due, true);
            i++;
        }
        give();
        take(due);
    }
    while (load.n_open || load.held) {
        while (load.held)
            begin(now(), false);
        give();
        if (load.n_open)
            take(now() + 1);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double percentile_us(double p)
{
    return 1e6 * load.latencies[(size_t)((double)(load.n_done - 1) * p)];
}

int main(int argc, char **argv)
{
    double rate, seconds, begun;
    size_t n;

    if (argc != 7 || strlen(argv[5]) > 31 || strlen(argv[6]) > 31)
        return 2;
    rate = atof(argv[3]);
    seconds = atof(argv[4]);
    n = (size_t)(rate * seconds);
    load.latencies = calloc(2 * n + CALLS_MAX, sizeof(double));
    if (!load.latencies || n == 0)
        return 2;
    for (int i = 0; i < CALLS_MAX; i++) {
        load.calls[i].next = load.idle;
        load.idle = &load.calls[i];
    }
    make_request(argv[5], argv[6]);
    open_connection(argv[1], atoi(argv[2]));
    begun = now();
    run(rate, n);
    seconds = now() - begun;
    qsort(load.latencies, load.n_done, sizeof(double), by_value);
    printf("{\"n\": %zu, \"seconds\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, "
           "\"max_us\": %.1f}\n",
           load.n_done, seconds, percentile_us(0.5), percentile_us(0.99), percentile_us(0.999),
           percentile_us(1));
    return 0;
}
