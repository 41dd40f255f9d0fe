/*
 * reader.c: a C program that reads every event of the demo where it lies and says what it saw.
 *
 * usage: demo-reader BUS. Prints "ready", later its books as one JSON object. Latency is from
 * publish to here, so it holds the wake-up of a sleeping process.
 */
#include <jimbot/jimbot.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OVER_TOPIC "custom.demo_over"

enum { N_SAMPLES = 1 << 20, N_EVENTS = 256 };

struct books {
    uint64_t n_events;
    uint64_t n_missed;
    uint64_t n_gaps;
    uint64_t last;
    uint32_t *latency_ns;
};

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void note(struct books *books, const jb_event *event, uint64_t now_ns)
{
    uint64_t ns = now_ns > event->time_ns ? now_ns - event->time_ns : 0;

    books->latency_ns[books->n_events % N_SAMPLES] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
    books->n_events++;
    books->n_missed += event->n_missed;
    books->n_gaps += event->sequence != books->last + 1;
    books->last = event->sequence;
}

/* Reads until the last event of the demo. Returns 0, or a status code. */
static int read_all(jb_sub *sub, uint32_t over_id, struct books *books)
{
    jb_event events[N_EVENTS];

    for (;;) {
        int n = jb_sub_wait(sub, UINT64_MAX);
        uint64_t now_ns = jb_clock_now_ns();
        bool is_over = false;

        if (n > 0)
            n = jb_sub_peek(sub, events, N_EVENTS);
        if (n < 0)
            return n;
        for (int i = 0; i < n; i++) {
            note(books, &events[i], now_ns);
            is_over = is_over || events[i].topic_id == over_id;
        }
        jb_sub_advance(sub);
        if (is_over)
            return 0;
    }
}

static void report(const struct books *books)
{
    size_t n = books->n_events < N_SAMPLES ? (size_t)books->n_events : N_SAMPLES;
    size_t p50 = n / 2, p99 = n - 1 - n / 100;

    qsort(books->latency_ns, n, sizeof *books->latency_ns, by_value);
    printf("{\"events\":%" PRIu64 ",\"missed\":%" PRIu64 ",\"gaps\":%" PRIu64
           ",\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
           books->n_events, books->n_missed, books->n_gaps, n ? books->latency_ns[p50] / 1e3 : 0.0,
           n ? books->latency_ns[p99] / 1e3 : 0.0);
}

int main(int argc, char **argv)
{
    struct books books = {0};
    uint32_t over_id;
    jb_error err;
    jb_bus *bus;
    jb_sub *sub;
    int rc;

    jb_error_init(&err);
    if (argc != 2) {
        fprintf(stderr, "usage: demo-reader BUS\n");
        return 2;
    }
    books.latency_ns = calloc(N_SAMPLES, sizeof *books.latency_ns);
    if (!books.latency_ns || jb_bus_open(argv[1], NULL, &bus, &err) < 0) {
        fprintf(stderr, "demo-reader: %s\n", books.latency_ns ? err.msg : "no memory");
        free(books.latency_ns);
        return 1;
    }
    rc = jb_bus_topic(bus, OVER_TOPIC, strlen(OVER_TOPIC), &over_id);
    if (rc == 0)
        rc = jb_bus_subscribe(bus, ">", 1, NULL, &sub, &err);
    if (rc == 0) {
        printf("ready\n");
        fflush(stdout);
        rc = read_all(sub, over_id, &books);
        report(&books);
        jb_sub_close(sub);
    }
    if (rc < 0)
        fprintf(stderr, "demo-reader: %s\n", jb_strerror(rc));
    jb_bus_close(bus);
    free(books.latency_ns);
    return rc < 0;
}
