/*
 * hostload: load so light that the server is the limit.
 *
 *     hostload http PORT SECONDS PATH     an event a POST, 16 in one write, 16 connections
 *     hostload ingest PORT SECONDS        an event a WebSocket frame, 32 a write, 16 connections
 *     hostload fanout PORT SECONDS BUS    events of the bus to 100 WebSockets, none lost
 *
 * What is sent is made before the clock runs; of a new event only its id is written. Frames are
 * masked with zeros, which leaves the payload as it is. Prints one JSON object.
 */
#include "jimbot/jimbot.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    N_IN = 16,
    N_OUT = 100,
    POSTS = 16,   /* in one write */
    FRAMES = 32,  /* likewise */
    WINDOW = 128, /* frames without an answer, each connection */
    PAYLOAD_BYTES = 1024,
    BUF_BYTES = 1 << 18
};

/* One connection, and the server's frames as far as they were read. */
typedef struct client {
    int fd;
    uint64_t n_sent;
    uint64_t n_frames;
    uint64_t n_bytes;
    uint64_t left;    /* of the frame being read */
    uint8_t head[10]; /* of the next */
    unsigned n_head;
} client;

static uint8_t buf[BUF_BYTES];

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_ns(void)
{
    return jb_clock_now_ns();
}

static void send_all(int fd, const void *bytes, size_t n)
{
    if (send(fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
        die("send");
}

static int dial(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        die("connect");
    return fd;
}

static int dial_ws(int port, const char *protocol)
{
    int fd = dial(port);
    char text[512];
    ssize_t n;
    int len = snprintf(text, sizeof(text),
                       "GET /api/v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "Sec-WebSocket-Protocol: %s\r\n\r\n",
                       protocol);

    send_all(fd, text, (size_t)len);
    /* Nothing follows the header until we have sent a frame. */
    n = recv(fd, text, sizeof(text) - 1, 0);
    if (n < 12 || memcmp(text, "HTTP/1.1 101", 12) != 0)
        die("handshake");
    return fd;
}

/* Append a header of a masked frame; returns its length. */
static size_t frame_head(uint8_t *to, uint8_t opcode, size_t n)
{
    to[0] = 0x80 | opcode;
    if (n < 126) {
        to[1] = 0x80 | (uint8_t)n;
        memset(to + 2, 0, 4);
        return 6;
    }
    to[1] = 0x80 | 126;
    to[2] = (uint8_t)(n >> 8);
    to[3] = (uint8_t)n;
    memset(to + 4, 0, 4);
    return 8;
}

static unsigned head_bytes(uint8_t len)
{
    return len == 127 ? 10 : len == 126 ? 4 : 2;
}

/* Count the frames in what came. */
static void take(client *c, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        if (c->left > 0) {
            size_t part = c->left < n ? (size_t)c->left : n;

            c->left -= part;
            bytes += part;
            n -= part;
            continue;
        }
        c->head[c->n_head++] = *bytes++;
        n--;
        if (c->n_head < 2 || c->n_head < head_bytes(c->head[1]))
            continue;
        if ((c->head[0] & 15) == 8)
            die("the server closed a session");
        c->left = c->n_head == 2 ? c->head[1] : 0;
        for (unsigned i = 2; i < c->n_head; i++)
            c->left = c->left << 8 | c->head[i];
        c->n_head = 0;
        c->n_frames++;
    }
}

/* Read what there is, of all; returns whether there was anything. */
static bool read_all(client *clients, int n_clients, struct pollfd *fds, bool are_frames)
{
    bool any = false;

    if (poll(fds, (nfds_t)n_clients, 1) < 0)
        die("poll");
    for (int i = 0; i < n_clients; i++) {
        ssize_t n;

        if (!fds[i].revents)
            continue;
        n = recv(fds[i].fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n <= 0)
            die("the server closed");
        clients[i].n_bytes += (uint64_t)n;
        if (are_frames)
            take(&clients[i], buf, (size_t)n);
        any = true;
    }
    return any;
}

static void open_all(client *clients, struct pollfd *fds, int n, int port, const char *protocol)
{
    memset(clients, 0, sizeof(*clients) * (size_t)n);
    for (int i = 0; i < n; i++) {
        clients[i].fd = protocol ? dial_ws(port, protocol) : dial(port);
        fds[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
    }
}

static jb_encoder *encoder(void)
{
    jb_encoder *e;

    if (jb_encoder_create(NULL, &e, NULL) < 0)
        die("encoder");
    return e;
}

static void write_id(uint8_t *to, uint64_t id)
{
    for (int i = 15; i >= 0; i--, id >>= 4)
        to[i] = (uint8_t)("0123456789abcdef"[id & 15]);
}

/* FRAMES frames, each a SessionRequest { publish { events { event } } }. Sets where the ids lie. */
static size_t make_frames(uint8_t *to, size_t *ret_frame_bytes, size_t *ret_id_at)
{
    static const char json[] =
        "{\"event_id\":\"0000000000000000\",\"type\":\"MONEY_CHANGED\",\"source\":\"bench\","
        "\"timestamp\":1000016.6666667,\"payload\":{\"old_value\":4,\"new_value\":7,"
        "\"difference\":3,\"reason\":\"a hand was played\"}}";
    jb_encoder *e = encoder();
    jb_encoded event;
    uint8_t *at = to;

    if (jb_encoder_json(e, json, sizeof(json) - 1, &event, NULL) < 0 || event.len_bytes > 115)
        die("the event");
    for (int i = 0; i < FRAMES; i++) {
        uint8_t n = (uint8_t)event.len_bytes;
        const uint8_t wrap[] = {4 << 3 | 2,       (uint8_t)(n + 4), 1 << 3 | 2,
                                (uint8_t)(n + 2), 1 << 3 | 2,       n};

        at += frame_head(at, 2, sizeof(wrap) + n);
        memcpy(at, wrap, sizeof(wrap));
        memcpy(at + sizeof(wrap), event.data, n);
        if (i == 0)
            *ret_id_at = (size_t)(at - to) + sizeof(wrap) +
                         (size_t)(event.event_id - (const char *)event.data);
        at += sizeof(wrap) + n;
    }
    jb_encoder_destroy(e);
    *ret_frame_bytes = (size_t)(at - to) / FRAMES;
    return (size_t)(at - to);
}

static void print_rate(const char *what, uint64_t n, uint64_t begun)
{
    printf("{\"%s\": %.0f}\n", what, (double)n / ((double)(now_ns() - begun) / 1e9));
}

/* Requests in one piece; sets the bytes of each and where the first id lies. */
static size_t make_posts(char *to, size_t cap, const char *path, size_t *ret_bytes,
                         size_t *ret_id_at)
{
    static const char body[] =
        "{\"event_id\":\"0000000000000000\",\"type\":\"MONEY_CHANGED\",\"source\":\"BalatroMCP\","
        "\"version\":1,\"timestamp\":1000016.6666667,\"payload\":{\"old_value\":4,"
        "\"new_value\":7,\"difference\":3}}";
    size_t n = 0;

    for (int i = 0; i < POSTS; i++)
        n += (size_t)snprintf(to + n, cap - n,
                              "POST %s HTTP/1.1\r\nHost: localhost\r\n"
                              "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                              path, sizeof(body) - 1, body);
    *ret_bytes = n / POSTS;
    *ret_id_at = (size_t)(strstr(to, "0000000000000000") - to);
    return n;
}

/* The first answer of a connection says how long all are: they differ in nothing but the date. */
static uint64_t answer_bytes(int fd, const char *post, size_t n_post)
{
    ssize_t n;

    send_all(fd, post, n_post);
    n = recv(fd, buf, sizeof(buf) - 1, 0);
    if (n < 12 || memcmp(buf, "HTTP/1.1 200", 12) != 0)
        die("the first answer");
    return (uint64_t)n;
}

static void post(int port, double seconds, const char *path)
{
    static char posts[POSTS * 512];
    client clients[N_IN];
    struct pollfd fds[N_IN];
    size_t bytes, id_at;
    size_t n = make_posts(posts, sizeof(posts), path, &bytes, &id_at);
    uint64_t id = (uint64_t)getpid() << 32, begun = now_ns(), n_done = 0, each;
    uint64_t end = begun + (uint64_t)(seconds * 1e9);

    open_all(clients, fds, N_IN, port, NULL);
    write_id((uint8_t *)posts + id_at, id++);
    each = answer_bytes(clients[0].fd, posts, bytes);
    while (now_ns() < end) {
        for (int i = 0; i < N_IN; i++) {
            client *c = &clients[i];

            if (c->n_bytes < c->n_sent * each)
                continue;
            for (size_t k = 0; k < POSTS; k++)
                write_id((uint8_t *)posts + id_at + k * bytes, id++);
            send_all(c->fd, posts, n);
            c->n_sent += POSTS;
        }
        read_all(clients, N_IN, fds, false);
    }
    for (int i = 0; i < N_IN; i++)
        n_done += clients[i].n_bytes / each;
    print_rate("requests_per_s", n_done, begun);
}

static void ingest(int port, double seconds)
{
    static uint8_t frames[FRAMES * 256];
    client clients[N_IN];
    struct pollfd fds[N_IN];
    size_t frame_bytes, id_at = 0;
    size_t n = make_frames(frames, &frame_bytes, &id_at);
    uint64_t id = (uint64_t)getpid() << 32, begun = now_ns(), n_done = 0;
    uint64_t end = begun + (uint64_t)(seconds * 1e9);

    open_all(clients, fds, N_IN, port, "jimbot.v1.proto");
    while (now_ns() < end) {
        for (int i = 0; i < N_IN; i++) {
            client *c = &clients[i];

            if (c->n_sent + FRAMES > c->n_frames + WINDOW)
                continue;
            for (int k = 0; k < FRAMES; k++)
                write_id(frames + id_at + (size_t)k * frame_bytes, id++);
            send_all(c->fd, frames, n);
            c->n_sent += FRAMES;
        }
        read_all(clients, N_IN, fds, true);
    }
    for (int i = 0; i < N_IN; i++)
        n_done += clients[i].n_frames;
    print_rate("frames_per_s", n_done, begun);
}

static void subscribe(int fd)
{
    static const char request[] = "{\"subscribe\":{\"request\":{\"patterns\":[\"bench.>\"],"
                                  "\"policy\":\"lossless\",\"max_events\":1000}}}";
    uint8_t frame[256];
    size_t n = frame_head(frame, 1, sizeof(request) - 1);

    memcpy(frame + n, request, sizeof(request) - 1);
    send_all(fd, frame, n + sizeof(request) - 1);
}

static void fan_out(int port, double seconds, const char *bus_name)
{
    char json[PAYLOAD_BYTES + 128];
    char text[PAYLOAD_BYTES + 1];
    client clients[N_OUT];
    struct pollfd fds[N_OUT];
    uint64_t n_published = 0, n_bytes = 0, begun, end, last;
    jb_event_head head = {.type = JB_EVENT_CUSTOM};
    jb_encoder *e = encoder();
    jb_encoded event;
    jb_error err;
    jb_bus *bus;

    memset(text, 'x', PAYLOAD_BYTES);
    text[PAYLOAD_BYTES] = '\0';
    snprintf(json, sizeof(json), "{\"type\":\"bench\",\"payload\":{\"text\":\"%s\"}}", text);
    if (jb_bus_attach(bus_name, NULL, &bus, &err) < 0 ||
        jb_bus_topic(bus, "bench.out", 9, &head.topic_id) < 0 ||
        jb_encoder_json(e, json, strlen(json), &event, &err) < 0)
        die(err.msg);
    open_all(clients, fds, N_OUT, port, "jimbot.v1.json");
    for (int i = 0; i < N_OUT; i++)
        subscribe(clients[i].fd);
    for (int n_begun = 0; n_begun < N_OUT;) {
        read_all(clients, N_OUT, fds, true);
        n_begun = 0;
        for (int i = 0; i < N_OUT; i++)
            n_begun += clients[i].n_frames > 0;
    }
    begun = last = now_ns();
    end = begun + (uint64_t)(seconds * 1e9);
    /* Whatever was published has to arrive before the clock stops. */
    while (now_ns() < end || now_ns() - last < 300000000) {
        for (int i = 0; i < 64 && now_ns() < end; i++) {
            if (jb_bus_publish(bus, &head, event.data, event.len_bytes) < 0)
                break;
            n_published++;
        }
        if (read_all(clients, N_OUT, fds, true))
            last = now_ns();
    }
    for (int i = 0; i < N_OUT; i++)
        n_bytes += clients[i].n_bytes;
    if (n_bytes < n_published * N_OUT * PAYLOAD_BYTES)
        die("events are missing");
    printf("{\"deliveries_per_s\": %.0f, \"mb_per_s\": %.0f}\n",
           (double)n_published * N_OUT / ((double)(last - begun) / 1e9),
           (double)n_bytes / 1e6 / ((double)(last - begun) / 1e9));
    jb_bus_close(bus);
    jb_encoder_destroy(e);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "http") == 0)
        post(atoi(argv[2]), atof(argv[3]), argv[4]);
    else if (argc == 4 && strcmp(argv[1], "ingest") == 0)
        ingest(atoi(argv[2]), atof(argv[3]));
    else if (argc == 5 && strcmp(argv[1], "fanout") == 0)
        fan_out(atoi(argv[2]), atof(argv[3]), argv[4]);
    else
        return 2;
    return 0;
}
