/*
 * main.c: JSON to protobuf and back, beside the libraries somebody else might take.
 *
 * The entries of a row take turns, and a figure is the median of the turns of a thread's own
 * processor time, so that a busy machine disturbs all of a row alike. Arguments name rows;
 * --json FILE writes one JSON object a line as well, and with `-` for the file nothing else.
 */
#include "bench.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flat.h"
#include "sets.h"

enum { N_TURNS = 15, MAX_ENTRIES = 4, TURN_NS = 10000000 };

struct entry {
    const struct peer *peer;
    double wanted; /* how many times as fast as this one ours is to be; 0: nothing is said */
};

struct row {
    const char *name;
    const struct entry entries[MAX_ENTRIES]; /* ours first */
};

struct result {
    double ns; /* of one work over the set */
    size_t n_bytes;
};

static const struct row rows[] = {
    {"json_to_pb", {{&ours_from_json, 0}, {&simdjson_dom, 0.5}, {&protobuf_from_json, 20}}},
    {"json_to_canonical", {{&ours_from_json, 0}, {&ours_canonical, 0}}},
    {"pb_to_json", {{&ours_to_json, 0}, {&protobuf_to_json, 8}}},
    {"pb_decode", {{&ours_decode, 0}, {&protobuf_decode, 1}}},
    {"pb_touch", {{&ours_touch, 0}, {&nanopb_touch, 1.5}, {&protobuf_touch, 1}}},
};

static FILE *json; /* NULL: nowhere */

void die(const char *what)
{
    fprintf(stderr, "bench_schema: %s\n", what);
    exit(1);
}

void touched(const struct set *set, uint64_t sum)
{
    static const struct set *before;
    static uint64_t sum_before;

    if (set == before && sum != sum_before)
        die("two peers read different values");
    before = set;
    sum_before = sum;
}

static double now_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

/* Work until a turn is over; the time of one work. */
static double turn(const struct peer *peer, const struct set *set)
{
    double begin = now_ns(), spent;
    unsigned n = 0;

    do {
        peer->work(set);
        n++;
        spent = now_ns() - begin;
    } while (spent < TURN_NS);
    return spent / n;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(const struct row *row, const struct set *set, struct result *results)
{
    double turns[MAX_ENTRIES][N_TURNS];

    for (int e = 0; e < MAX_ENTRIES && row->entries[e].peer != NULL; e++) {
        const struct peer *peer = row->entries[e].peer;

        if (peer->word == NULL) {
            results[e].n_bytes = peer->prepare(set);
            peer->work(set);
        }
    }
    for (int t = 0; t < N_TURNS; t++) {
        for (int e = 0; e < MAX_ENTRIES && row->entries[e].peer != NULL; e++)
            turns[e][t] = row->entries[e].peer->word ? 0 : turn(row->entries[e].peer, set);
    }
    for (int e = 0; e < MAX_ENTRIES && row->entries[e].peer != NULL; e++) {
        qsort(turns[e], N_TURNS, sizeof turns[e][0], by_value);
        results[e].ns = turns[e][N_TURNS / 2];
    }
}

static void print_json(const struct row *row, const struct set *set, int e,
                       const struct result *results)
{
    const struct entry *entry = &row->entries[e];
    double ns = results[e].ns, ratio = ns / results[0].ns;

    fprintf(json, "{\"name\":\"schema.%s.%s\",\"what\":\"%s\"", row->name, set->name,
            entry->peer->name);
    if (entry->peer->word != NULL) {
        fprintf(json, ",\"skipped\":\"%s\"}\n", entry->peer->word);
        return;
    }
    fprintf(json, ",\"ops\":%zu,\"ns_per_op\":%.1f,\"mb_per_s\":%.1f,\"bytes_per_op\":%.1f",
            set->n_events, ns / (double)set->n_events, (double)results[e].n_bytes * 1e3 / ns,
            (double)results[e].n_bytes / (double)set->n_events);
    if (e != 0)
        fprintf(json, ",\"ratio\":%.3f", ratio);
    if (e != 0 && entry->wanted > 0)
        fprintf(json, ",\"wanted\":\">= %.4g\",\"reached\":%s", entry->wanted,
                ratio >= entry->wanted ? "true" : "false");
    fputs("}\n", json);
}

static void print_table(const struct row *row, const struct set *set, int e,
                        const struct result *results)
{
    const struct entry *entry = &row->entries[e];
    double ns = results[e].ns, ratio = ns / results[0].ns;
    char of_ours[48] = "";

    if (e == 0)
        printf("\n%s, %s: %zu events of %.0f bytes\n", row->name, set->name, set->n_events,
               (double)results[0].n_bytes / (double)set->n_events);
    if (entry->peer->word != NULL) {
        printf("  %26s %-36s -- %s\n", "", entry->peer->name, entry->peer->word);
        return;
    }
    if (e != 0 && entry->wanted > 0)
        snprintf(of_ours, sizeof of_ours, "%7.2fx >= %-4.4g %s", ratio, entry->wanted,
                 ratio >= entry->wanted ? "reached" : "short");
    else if (e != 0)
        snprintf(of_ours, sizeof of_ours, "%7.2fx", ratio);
    printf("  %-26s %-36s %9.1f MB/s %11.1f ns/event\n", of_ours, entry->peer->name,
           (double)results[e].n_bytes * 1e3 / ns, ns / (double)set->n_events);
}

static void run(const struct row *row, const struct set *set)
{
    struct result results[MAX_ENTRIES] = {{0}};

    if (set->n_events == 0)
        return;
    measure(row, set, results);
    for (int e = 0; e < MAX_ENTRIES && row->entries[e].peer != NULL; e++) {
        if (json != stdout)
            print_table(row, set, e, results);
        if (json != NULL)
            print_json(row, set, e, results);
    }
    fflush(stdout);
}

static bool is_wanted(const char *name, int n_names, char **names)
{
    for (int i = 0; i < n_names; i++) {
        if (strstr(name, names[i]) != NULL)
            return true;
    }
    return n_names == 0;
}

/* Take the options; the index of the first name. */
static int options(int argc, char **argv)
{
    if (argc < 3 || strcmp(argv[1], "--json") != 0)
        return 1;
    json = strcmp(argv[2], "-") == 0 ? stdout : fopen(argv[2], "w");
    if (json == NULL)
        die(argv[2]);
    return 3;
}

int main(int argc, char **argv)
{
    int first = options(argc, argv);
    cpu_set_t cpu;

    CPU_ZERO(&cpu);
    CPU_SET(0, &cpu);
    (void)sched_setaffinity(0, sizeof cpu, &cpu);
    sets_make();
    if (json != stdout)
        printf("Medians of %d turns, by a thread's processor time; the entries of a row take turns."
               "\nA ratio says how many times as fast ours (a row's first line) is as that line.\n",
               N_TURNS);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        for (int s = 0; s < N_SETS; s++) {
            if (is_wanted(rows[r].name, argc - first, argv + first))
                run(&rows[r], &sets[s]);
        }
    }
    if (is_wanted("flat", argc - first, argv + first))
        flat_run(json != stdout, json);
    sets_free();
    if (json != NULL && json != stdout && fclose(json) != 0)
        die("the JSON lines cannot be written");
    return 0;
}
