/*
 * servedrive: a program with services of its own, for the tests: what comes is answered at once,
 * after a while, when somebody else says so, or as a stream.
 *
 *     servedrive --http ADDRESS:PORT [--key value ...]
 *
 * Invariant: the line that it prints first has the address; it ends with 0 on SIGTERM.
 */
#include "jimbot/service.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARKED_MAX = 64, STREAMS_MAX = 16 };

typedef struct stream {
    jb_call *call;
    unsigned n_left;
} stream;

static struct {
    jb_host *host;
    jb_call *late;
    uint64_t late_ns;
    jb_call *parked[PARKED_MAX];
    stream streams[STREAMS_MAX];
    unsigned n_closed;
    bool is_ill;
} drive;

static void reply(jb_call *call, const char *text)
{
    jb_call_reply(call, text, strlen(text));
}

static void on_echo(jb_call *call, void *userdata)
{
    size_t n;
    const void *body = jb_call_body(call, &n);

    jb_call_reply(call, body, n);
}

/* GET …?code=N&text=T */
static void on_fail(jb_call *call, void *userdata)
{
    char code[16] = "13";
    char text[256] = "no text";

    jb_call_query(call, "code", code, sizeof(code));
    if (jb_call_query(call, "text", text, sizeof(text)) == JB_EPARSE)
        strcpy(text, "malformed");
    jb_call_fail(call, (uint32_t)atoi(code), text);
}

static void on_who(jb_call *call, void *userdata)
{
    char text[128];

    snprintf(text, sizeof(text), "{\"who\":\"%s\",\"grpc\":%d}", jb_call_who(call),
             jb_call_is_grpc(call));
    reply(call, text);
}

static void on_gone(jb_call *call, void *userdata)
{
    jb_call **place = userdata;

    *place = NULL;
    drive.n_closed++;
}

/* The answer is a part of the call. */
static void on_name(jb_call *call, void *userdata)
{
    jb_call_reply(call, jb_call_who(call), strlen(jb_call_who(call)) + 1);
}

/* Answered by the tick, half a second later. */
static void on_late(jb_call *call, void *userdata)
{
    if (drive.late) {
        jb_call_fail(call, JB_CALL_RESOURCE_EXHAUSTED, "one at a time");
        return;
    }
    drive.late = call;
    drive.late_ns = jb_clock_now_ns() + 500000000u;
    jb_call_on_close(call, on_gone, &drive.late);
    jb_host_kick(drive.host);
}

/* Answered by /free. */
static void on_park(jb_call *call, void *userdata)
{
    for (int i = 0; i < PARKED_MAX; i++) {
        if (drive.parked[i])
            continue;
        drive.parked[i] = call;
        jb_call_on_close(call, on_gone, &drive.parked[i]);
        return;
    }
    jb_call_fail(call, JB_CALL_RESOURCE_EXHAUSTED, "all places are taken");
}

/* Its own answer is half made while it gives those of the others. */
static void on_free(jb_call *call, void *userdata)
{
    char text[64];
    unsigned n = 0;

    for (int i = 0; i < PARKED_MAX; i++) {
        jb_call *parked = drive.parked[i];

        if (!parked)
            continue;
        drive.parked[i] = NULL;
        snprintf(text, sizeof(text), "{\"freed\":%u}", n++);
        reply(parked, text);
    }
    snprintf(text, sizeof(text), "{\"n\":%u}", n);
    reply(call, text);
}

static void on_state(jb_call *call, void *userdata)
{
    char text[64];
    unsigned n = drive.late != NULL;

    for (int i = 0; i < PARKED_MAX; i++)
        n += drive.parked[i] != NULL;
    for (int i = 0; i < STREAMS_MAX; i++)
        n += drive.streams[i].call != NULL;
    snprintf(text, sizeof(text), "{\"open\":%u,\"closed\":%u}", n, drive.n_closed);
    reply(call, text);
}

static void on_ill(jb_call *call, void *userdata)
{
    drive.is_ill = !drive.is_ill;
    reply(call, "{}");
}

/* One message a tick; the number of them is the first byte of the request, 0: without an end. */
static void on_stream(jb_call *call, void *userdata)
{
    size_t n;
    const unsigned char *body = jb_call_body(call, &n);

    for (int i = 0; i < STREAMS_MAX; i++) {
        stream *s = &drive.streams[i];

        if (s->call)
            continue;
        *s = (stream){.call = call, .n_left = n && body[0] ? body[0] : UINT32_MAX};
        jb_call_on_close(call, on_gone, &s->call);
        jb_host_kick(drive.host);
        return;
    }
    jb_call_fail(call, JB_CALL_RESOURCE_EXHAUSTED, "all places are taken");
}

/* A stream without an end is as much as the client takes. */
static void feed(stream *s)
{
    static const char kib[1024] = "tick";
    bool is_endless = s->n_left > 255;

    while (is_endless && jb_call_send(s->call, kib, sizeof(kib)) == 0)
        ;
    if (is_endless || jb_call_send(s->call, kib, 4) < 0 || --s->n_left)
        return;
    jb_call_done(s->call);
    s->call = NULL;
}

static uint64_t on_tick(void *userdata)
{
    uint64_t now_ns = jb_clock_now_ns();
    jb_call *late = drive.late;
    uint64_t wait_ns = UINT64_MAX;

    if (late && now_ns >= drive.late_ns) {
        drive.late = NULL;
        reply(late, "{\"late\":true}");
    } else if (late) {
        wait_ns = drive.late_ns - now_ns;
    }
    for (int i = 0; i < STREAMS_MAX; i++) {
        if (drive.streams[i].call)
            feed(&drive.streams[i]);
        if (drive.streams[i].call)
            wait_ns = 1000000;
    }
    return wait_ns;
}

static const char *on_problem(void *userdata)
{
    return drive.is_ill ? "it is ill" : NULL;
}

static void on_metrics(jb_page *page, void *userdata)
{
    char text[128];
    int n =
        snprintf(text, sizeof(text),
                 "# HELP drive_closed_total Calls given up.\n# TYPE drive_closed_total counter\n"
                 "drive_closed_total %u\n",
                 drive.n_closed);

    jb_page_write(page, text, (size_t)n);
}

static const jb_service_entry entries[] = {
    {.path = "/api/v1/echo", .method = "POST", .scope = JB_SCOPE_RESOURCE, .handle = on_echo},
    {.path = "/api/v1/fail", .method = "GET", .handle = on_fail},
    {.path = "/api/v1/who", .method = "GET", .scope = JB_SCOPE_RESOURCE, .handle = on_who},
    {.path = "/api/v1/late", .method = "GET", .handle = on_late},
    {.path = "/api/v1/park", .method = "GET", .handle = on_park},
    {.path = "/api/v1/park", .method = "POST", .handle = on_park},
    {.path = "/api/v1/free", .method = "POST", .handle = on_free},
    {.path = "/api/v1/state", .method = "GET", .handle = on_state},
    {.path = "/api/v1/ill", .method = "POST", .handle = on_ill},
    {.path = "/test.Drive/Echo", .scope = JB_SCOPE_RESOURCE, .handle = on_echo},
    {.path = "/test.Drive/Name", .scope = JB_SCOPE_RESOURCE, .handle = on_name},
    {.path = "/test.Drive/Park", .scope = JB_SCOPE_RESOURCE, .handle = on_park},
    {.path = "/test.Drive/Fail", .scope = JB_SCOPE_RESOURCE, .handle = on_fail},
    {.path = "/test.Drive/Stream",
     .scope = JB_SCOPE_RESOURCE,
     .flags = JB_SERVICE_STREAM,
     .handle = on_stream},
};

static int serve(void)
{
    static const jb_service_entry twice[] = {
        {.path = "/health", .method = "GET", .handle = on_who}};
    static const jb_service_entry none[] = {{.path = "health", .method = "GET", .handle = on_who}};
    static const jb_service_entry quote[] = {{.path = "/a\"b", .method = "GET", .handle = on_who}};
    jb_service service = {.size = sizeof(service),
                          .n_entries = sizeof(entries) / sizeof(entries[0]),
                          .entries = entries,
                          .problem = on_problem,
                          .metrics = on_metrics,
                          .tick = on_tick};
    jb_service bad = {.size = sizeof(bad), .n_entries = 1, .entries = twice};
    jb_error err;

    if (jb_host_serve(drive.host, &bad, &err) != JB_EINVAL || !strstr(err.msg, "/health"))
        return -1;
    bad.entries = none;
    if (jb_host_serve(drive.host, &bad, &err) != JB_EINVAL)
        return -1;
    bad.entries = quote;
    if (jb_host_serve(drive.host, &bad, &err) != JB_EINVAL)
        return -1;
    if (jb_host_serve(drive.host, &service, &err) < 0)
        return -1;
    return jb_host_serve(drive.host, &service, &err) == JB_EINVAL ? 0 : -1; /* it is there */
}

static void on_signal(int signo)
{
    jb_host_stop(drive.host);
}

int main(int argc, char **argv)
{
    jb_host_opts opts;
    jb_error err;

    jb_host_opts_init(&opts, sizeof(opts));
    opts.no_bus = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        char *key = argv[i] + 2;

        for (char *c = key; *c; c++)
            *c = *c == '-' ? '_' : *c;
        if (strcmp(key, "bus") && jb_host_opts_set(&opts, key, argv[i + 1], &err) < 0) {
            fprintf(stderr, "servedrive: %s\n", err.msg);
            return 2;
        }
    }
    if (jb_host_create(&opts, NULL, &drive.host, &err) < 0) {
        fprintf(stderr, "servedrive: %s\n", err.msg);
        return 3;
    }
    if (serve() < 0) {
        fprintf(stderr, "servedrive: the services are not as they should be\n");
        return 4;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    printf("servedrive listens on http://%s, no bus\n", jb_host_address(drive.host));
    fflush(stdout);
    jb_host_run(drive.host);
    fprintf(stderr, "closed %u, open %d\n", drive.n_closed, drive.late != NULL || drive.parked[0]);
    jb_host_destroy(drive.host);
    return 0;
}
