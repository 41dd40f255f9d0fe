/*
 * main.c: what asking the coordinator costs, beside what somebody else might take.
 *
 * The entries of a row take turns, and a figure is the median of the turns: of a thread's own
 * processor time where one works alone, of the time that passed where two do. Where operations are
 * timed one by one, what reading the clock twice takes (the median of it) is taken off. Arguments
 * name rows; --json FILE writes one JSON object a line as well, and with `-` for the file nothing
 * else; --governor FILE is the peer's library.
 */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N_TURNS = 15, MAX_ENTRIES = 3, MAX_THREADS = 2, MAX_TIMES = 1 << 20 };

struct result {
    const char *word; /* why there is no figure, or NULL */
    double ns, p50_ns, p99_ns;
};

const char *governor_path;

static FILE *json; /* NULL: nowhere */
static uint64_t times[MAX_TIMES];
static size_t n_times;

void die(const char *what)
{
    fprintf(stderr, "bench_quota: %s\n", what);
    exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec at;

    clock_gettime(clock, &at);
    return (uint64_t)at.tv_sec * UINT64_C(1000000000) + (uint64_t)at.tv_nsec;
}

uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

void took(uint64_t ns)
{
    if (n_times < MAX_TIMES)
        times[n_times++] = ns;
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
}

/* What timing nothing at all takes. */
static double idle_ns(void)
{
    double values[1001];

    for (int i = 0; i < 1001; i++) {
        uint64_t begin = now_ns();

        values[i] = (double)(now_ns() - begin);
    }
    return median(values, 1001);
}

struct job {
    const struct entry *entry;
    uint64_t n;
    pthread_barrier_t *start;
};

static void *job_run(void *userdata)
{
    struct job *job = userdata;

    pthread_barrier_wait(job->start);
    job->entry->work(job->n);
    return NULL;
}

/* The time of one operation of several threads that all work on the same. */
static double turn_of_many(const struct entry *entry, uint64_t n)
{
    pthread_t threads[MAX_THREADS];
    pthread_barrier_t start;
    struct job job = {.entry = entry, .n = n, .start = &start};
    uint64_t begin;

    pthread_barrier_init(&start, NULL, entry->n_threads + 1);
    for (unsigned i = 0; i < entry->n_threads; i++) {
        if (pthread_create(&threads[i], NULL, job_run, &job) != 0)
            die("no thread");
    }
    pthread_barrier_wait(&start);
    begin = now_ns();
    for (unsigned i = 0; i < entry->n_threads; i++)
        pthread_join(threads[i], NULL);
    begin = now_ns() - begin;
    pthread_barrier_destroy(&start);
    return (double)begin / (double)(n * entry->n_threads);
}

static double turn(const struct entry *entry, uint64_t n)
{
    uint64_t begin;
    double ns;

    if (entry->prepare)
        entry->prepare();
    if (entry->n_threads > 1) {
        ns = turn_of_many(entry, n);
    } else {
        begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        entry->work(n);
        ns = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)n;
    }
    if (entry->end)
        entry->end();
    return ns;
}

static double less(uint64_t ns, double idle)
{
    return (double)ns > idle ? (double)ns - idle : 0;
}

static void measure(const struct row *row, struct result *results)
{
    double turns[MAX_ENTRIES][N_TURNS], p50[MAX_ENTRIES][N_TURNS], p99[MAX_ENTRIES][N_TURNS];
    double idle = idle_ns();

    for (int t = -1; t < N_TURNS; t++) { /* the first is for warming up */
        for (int e = 0; e < MAX_ENTRIES && row->entries[e]; e++) {
            results[e].word = row->entries[e]->absent ? row->entries[e]->absent() : NULL;
            if (results[e].word)
                continue;
            n_times = 0;
            turns[e][t < 0 ? 0 : t] = turn(row->entries[e], row->n);
            if (!row->is_latency)
                continue;
            qsort(times, n_times, sizeof times[0], by_time);
            p50[e][t < 0 ? 0 : t] = less(times[n_times / 2], idle);
            p99[e][t < 0 ? 0 : t] = less(times[n_times * 99 / 100], idle);
        }
    }
    for (int e = 0; e < MAX_ENTRIES && row->entries[e]; e++) {
        if (results[e].word)
            continue;
        results[e].ns = median(turns[e], N_TURNS);
        if (row->is_latency) {
            results[e].p50_ns = median(p50[e], N_TURNS);
            results[e].p99_ns = median(p99[e], N_TURNS);
            results[e].ns = results[e].p50_ns;
        }
    }
}

static const char *verdict(bool is_reached)
{
    return is_reached ? "true" : "false";
}

static void print_json(const struct row *row, int e, const struct result *results)
{
    const struct result *r = &results[e];
    double wanted = row->entries[e]->wanted;

    fprintf(json, "{\"name\":\"quota.%s\",\"what\":\"%s\"", row->name, row->entries[e]->name);
    if (r->word) {
        fprintf(json, ",\"skipped\":\"%s\"}\n", r->word);
        return;
    }
    fprintf(json, ",\"ops\":%llu,\"ns_per_op\":%.2f", (unsigned long long)row->n, r->ns);
    if (row->is_latency)
        fprintf(json, ",\"p50_ns\":%.0f,\"p99_ns\":%.0f", r->p50_ns, r->p99_ns);
    if (e == 0 && row->aim_ns > 0)
        fprintf(json, ",\"wanted_ns\":%.0f,\"reached\":%s", row->aim_ns,
                verdict(r->ns <= row->aim_ns));
    if (e == 0 && row->aim_p99_ns > 0)
        fprintf(json, ",\"wanted_p99_ns\":%.0f,\"reached\":%s", row->aim_p99_ns,
                verdict(r->p99_ns <= row->aim_p99_ns));
    if (e != 0)
        fprintf(json, ",\"ratio\":%.3f", r->ns / results[0].ns);
    if (wanted > 0)
        fprintf(json, ",\"wanted\":\">= %.4g\",\"reached\":%s", wanted,
                verdict(r->ns >= wanted * results[0].ns));
    fputs("}\n", json);
}

static void print_table(const struct row *row, int e, const struct result *results)
{
    const struct result *r = &results[e];
    double wanted = row->entries[e]->wanted;
    char aside[64] = "";

    if (e == 0)
        printf("\n%s: %s\n", row->name, row->title);
    if (r->word) {
        printf("  %26s %-36s -- %s\n", "", row->entries[e]->name, r->word);
        return;
    }
    if (e != 0 && wanted > 0)
        snprintf(aside, sizeof aside, "%7.2fx >= %.4g %s", r->ns / results[0].ns, wanted,
                 r->ns >= wanted * results[0].ns ? "reached" : "short");
    else if (e != 0)
        snprintf(aside, sizeof aside, "%7.2fx", r->ns / results[0].ns);
    else if (row->aim_p99_ns > 0)
        snprintf(aside, sizeof aside, "p99 <= %.0f ns %s", row->aim_p99_ns,
                 r->p99_ns <= row->aim_p99_ns ? "reached" : "short");
    else if (row->aim_ns > 0)
        snprintf(aside, sizeof aside, "<= %.0f ns %s", row->aim_ns,
                 r->ns <= row->aim_ns ? "reached" : "short");
    printf("  %-26s %-36s %9.2f ns", aside, row->entries[e]->name, r->ns);
    if (row->is_latency)
        printf("   p50 %.0f ns, p99 %.0f ns", r->p50_ns, r->p99_ns);
    putchar('\n');
}

static void run(const struct row *row)
{
    struct result results[MAX_ENTRIES] = {{0}};

    measure(row, results);
    for (int e = 0; e < MAX_ENTRIES && row->entries[e]; e++) {
        if (json != stdout)
            print_table(row, e, results);
        if (json)
            print_json(row, e, results);
    }
    fflush(stdout);
}

static bool is_wanted(const char *name, int n_names, char **names)
{
    for (int i = 0; i < n_names; i++) {
        if (strstr(name, names[i]))
            return true;
    }
    return n_names == 0;
}

/* Take the options; the index of the first name. */
static int options(int argc, char **argv)
{
    int at = 1;

    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--json") == 0)
            json = strcmp(argv[at + 1], "-") == 0 ? stdout : fopen(argv[at + 1], "w");
        else if (strcmp(argv[at], "--governor") == 0)
            governor_path = argv[at + 1];
        else
            die(argv[at]);
        if (strcmp(argv[at], "--json") == 0 && !json)
            die(argv[at + 1]);
    }
    return at;
}

int main(int argc, char **argv)
{
    static const struct row *const rows[] = {&gcra_allowed,   &gcra_denied, &gcra_two_threads,
                                             &window_hundred, &lease_alone, &lease_shared,
                                             &lease_100k,     &lease_lines, &usage_alone};
    int first = options(argc, argv);

    if (json != stdout)
        printf(
            "Medians of %d turns; the entries of a row take turns. A ratio says how many times as "
            "fast\nours (a row's first line) is as that line.\n",
            N_TURNS);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        if (is_wanted(rows[r]->name, argc - first, argv + first))
            run(rows[r]);
    }
    if (json && json != stdout && fclose(json) != 0)
        die("the JSON lines cannot be written");
    return 0;
}
