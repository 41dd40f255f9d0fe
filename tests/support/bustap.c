/*
 * bustap: another process on the bus, for tests and for a person who wants to look.
 *
 *   bustap collect BUS PATTERN N SECONDS   print N events, one JSON object a line, in ring order
 *   bustap count BUS PATTERN N SECONDS     take N events, print only how many and their bytes
 *   bustap hold BUS PATTERN                subscribe lossless and take nothing until standard input
 *   ends bustap send BUS NAME [PARAMETER...]    send a command
 *
 * Prints "ready" once it is subscribed. Ends 0 when it did what was asked, 1 when time ran out.
 * Invariant: public API only, a process of its own.
 */
#include "jimbot/jimbot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64 };

static char *json;
static size_t json_cap;

static int fail(const char *what, int rc)
{
    fprintf(stderr, "bustap: %s: %s\n", what, jb_strerror(rc));
    return EXIT_FAILURE;
}

static int print_event(jb_bus *bus, const jb_event *event)
{
    const char *topic = "";
    int64_t n;

    while ((n = jb_event_to_json(event->payload, event->len_bytes, json, json_cap, NULL)) >
           (int64_t)json_cap) {
        json_cap = (size_t)n * 2;
        json = realloc(json, json_cap);
        if (!json)
            return JB_ENOMEM;
    }
    if (n < 0)
        return (int)n;
    jb_bus_topic_name(bus, event->topic_id, &topic);
    printf("{\"sequence\":%llu,\"type\":%u,\"topic\":\"%s\",\"event\":%.*s}\n",
           (unsigned long long)event->sequence, event->type, topic, (int)n, json);
    return 0;
}

static int collect(jb_bus *bus, jb_sub *sub, uint64_t n_want, double seconds, bool is_quiet)
{
    uint64_t end_ns = jb_clock_now_ns() + (uint64_t)(seconds * 1e9);
    jb_event events[BATCH];
    uint64_t n_got = 0;
    uint64_t n_bytes = 0;
    int rc = 0;

    while (n_got < n_want && rc >= 0) {
        uint64_t now_ns = jb_clock_now_ns();
        uint64_t left = n_want - n_got;
        int n;

        if (now_ns >= end_ns || jb_sub_wait(sub, end_ns - now_ns) == 0)
            break;
        n = rc = jb_sub_peek(sub, events, left < BATCH ? (uint32_t)left : BATCH);
        for (int i = 0; i < n && rc >= 0; i++) {
            n_bytes += events[i].len_bytes;
            rc = is_quiet ? 0 : print_event(bus, &events[i]);
        }
        n_got += n > 0 ? (uint64_t)n : 0;
        jb_sub_advance(sub);
    }
    if (rc < 0)
        return fail("read", rc);
    if (is_quiet)
        printf("%llu %llu\n", (unsigned long long)n_got, (unsigned long long)n_bytes);
    return n_got == n_want ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int send_command(jb_bus *bus, int n, char **words)
{
    jb_command command = {.n_params = (uint32_t)n - 1};
    int rc;

    snprintf(command.name, sizeof(command.name), "%s", words[0]);
    for (int i = 1; i < n && i <= 8; i++)
        snprintf(command.params[i - 1], sizeof(command.params[0]), "%s", words[i]);
    rc = jb_bus_send_command(bus, &command);
    return rc < 0 ? fail("send", rc) : EXIT_SUCCESS;
}

static int run(jb_bus *bus, int argc, char **argv)
{
    jb_error err;
    jb_sub *sub;
    int rc;

    if (!strcmp(argv[1], "send"))
        return send_command(bus, argc - 3, argv + 3);
    rc = jb_bus_subscribe(bus, argv[3], strlen(argv[3]), NULL, &sub, &err);
    if (rc < 0)
        return fail("subscribe", rc);
    printf("ready\n");
    fflush(stdout);
    if (!strcmp(argv[1], "hold")) {
        while (getchar() != EOF)
            ;
        rc = EXIT_SUCCESS;
    } else {
        rc = collect(bus, sub, strtoull(argv[4], NULL, 10), strtod(argv[5], NULL),
                     !strcmp(argv[1], "count"));
    }
    jb_sub_close(sub);
    return rc;
}

int main(int argc, char **argv)
{
    bool is_known =
        argc >= 4 && (!strcmp(argv[1], "send") || !strcmp(argv[1], "hold") ||
                      (argc == 6 && (!strcmp(argv[1], "collect") || !strcmp(argv[1], "count"))));
    jb_error err;
    jb_bus *bus;
    int rc;

    if (!is_known) {
        fprintf(stderr, "usage: bustap collect|count BUS PATTERN N SECONDS\n"
                        "       bustap hold BUS PATTERN\n"
                        "       bustap send BUS NAME [PARAMETER...]\n");
        return 2;
    }
    rc = jb_bus_attach(argv[2], NULL, &bus, &err);
    if (rc < 0) {
        fprintf(stderr, "bustap: %s\n", err.msg);
        return EXIT_FAILURE;
    }
    rc = run(bus, argc, argv);
    jb_bus_close(bus);
    free(json);
    return rc;
}
