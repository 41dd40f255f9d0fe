/*
 * bench_bus.c: what the bus costs: publish alone, publish to poll between two threads, and wake-up
 * of a sleeper.
 *
 * One JSON object a line: {"name", "ops", "ns_per_op", "ops_per_s", …}, the median of N_RUNS runs.
 * The reader checks every number it reads, so a figure is printed only for a run in which nothing
 * was lost.
 */
#include "jimbot/jimbot.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_RUNS = 7 };

struct run {
    jb_bus *bus;
    uint32_t topic_id;
    size_t len_bytes;
    uint64_t n_events;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_bus: %s\n", what);
    exit(1);
}

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static void publish_one(const struct run *run, uint64_t number)
{
    jb_event_head head = {.topic_id = run->topic_id, .type = JB_EVENT_CUSTOM};
    jb_claim claim;
    int rc;

    while ((rc = jb_bus_claim(run->bus, &head, run->len_bytes, &claim)) == JB_EAGAIN)
        ;
    if (rc)
        die(jb_err_name(rc));
    memset(claim.payload, 0, run->len_bytes);
    memcpy(claim.payload, &number, sizeof number);
    if (jb_bus_commit(run->bus, &claim, run->len_bytes))
        die("commit failed");
}

static void *publish_all(void *arg)
{
    const struct run *run = arg;

    pin(0);
    for (uint64_t i = 0; i < run->n_events; i++)
        publish_one(run, i);
    return NULL;
}

static jb_sub *subscribe(jb_bus *bus)
{
    jb_sub *sub;

    if (jb_bus_subscribe(bus, "bench.>", 7, NULL, &sub, NULL))
        die("cannot subscribe");
    return sub;
}

static uint64_t read_all(jb_sub *sub, uint64_t n_events)
{
    static jb_event events[1024];
    uint64_t next = 0;

    while (next < n_events) {
        int n = jb_sub_peek(sub, events, 1024);

        if (n < 0)
            die(jb_err_name(n));
        for (int i = 0; i < n; i++) {
            uint64_t number;

            memcpy(&number, events[i].payload, sizeof number);
            if (number != next++)
                die("an event is missing");
        }
        jb_sub_advance(sub);
    }
    return next;
}

static double two_threads(struct run *run)
{
    jb_sub *sub = subscribe(run->bus);
    pthread_t thread;
    uint64_t start;
    double ns;

    pin(1);
    start = jb_clock_now_ns();
    pthread_create(&thread, NULL, publish_all, run);
    read_all(sub, run->n_events);
    ns = (double)(jb_clock_now_ns() - start);
    pthread_join(thread, NULL);
    jb_sub_close(sub);
    return ns / (double)run->n_events;
}

static double publish_alone(struct run *run)
{
    uint64_t start = jb_clock_now_ns();

    for (uint64_t i = 0; i < run->n_events; i++)
        publish_one(run, i);
    return (double)(jb_clock_now_ns() - start) / (double)run->n_events;
}

/* Publish a hundred, read a hundred, on one thread: no cache line changes hands. */
static double by_turns(struct run *run)
{
    static jb_event events[100];
    jb_sub *sub = subscribe(run->bus);
    uint64_t start = jb_clock_now_ns();
    double ns;

    for (uint64_t i = 0; i < run->n_events; i += 100) {
        for (uint64_t k = 0; k < 100; k++)
            publish_one(run, k);
        if (jb_sub_peek(sub, events, 100) != 100)
            die("an event is missing");
        jb_sub_advance(sub);
    }
    ns = (double)(jb_clock_now_ns() - start);
    jb_sub_close(sub);
    return ns / (double)run->n_events;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const char *name, double (*work)(struct run *), size_t len_bytes,
                   uint64_t n_events)
{
    struct run run = {.len_bytes = len_bytes, .n_events = n_events};
    double ns[N_RUNS];

    for (int i = 0; i < N_RUNS; i++) {
        if (jb_bus_open(NULL, NULL, &run.bus, NULL) ||
            jb_bus_topic(run.bus, "bench.x", 7, &run.topic_id))
            die("cannot open a bus");
        ns[i] = work(&run);
        jb_bus_close(run.bus);
    }
    qsort(ns, N_RUNS, sizeof ns[0], by_value);
    printf("{\"name\":\"%s\",\"bytes\":%zu,\"ops\":%llu,\"runs\":%d,\"ns_per_op\":%.1f,\"ops_per_"
           "s\":%.0f}\n",
           name, len_bytes, (unsigned long long)n_events, N_RUNS, ns[N_RUNS / 2],
           1e9 / ns[N_RUNS / 2]);
    fflush(stdout);
}

int main(void)
{
    report("bus publish, no subscriber", publish_alone, 64, 2000000);
    report("bus publish + poll, one thread by turns", by_turns, 64, 2000000);
    report("bus publish -> poll, two threads", two_threads, 64, 2000000);
    report("bus publish -> poll, two threads", two_threads, 1024, 1000000);
    report("bus publish -> poll, two threads", two_threads, 4096, 300000);
    report("bus publish -> poll, two threads", two_threads, 16384, 100000);
    return 0;
}
