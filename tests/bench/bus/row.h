/*
 * row.h: a row of the table: entries measured beside each other, in turns, in the same run.
 *
 * Invariant: the first entry is ours and is what the others are compared with.
 */
#ifndef BENCH_ROW_H
#define BENCH_ROW_H

#include "bench.h"

#include <stdio.h>

enum { ROW_MAX_ENTRIES = 10, ROW_MAX_RUNS = 101 };

/* What the ratio of a row says. */
enum sense {
    TIMES_AS_FAST, /* theirs / ours in ns: more is better */
    TIMES_AS_LONG  /* ours / theirs in ns: less is better */
};

struct entry {
    const struct peer *peer;
    const char *what; /* NULL: the peer's name */
    struct shape shape;
    double wanted, wanted_p99; /* ratio of the first entry to this one; 0: none */
};

struct row {
    const char *name, *title;
    const char *aim; /* an absolute figure worth reaching, as text */
    enum sense sense;
    bool is_latency; /* entries have percentiles */
    struct entry entries[ROW_MAX_ENTRIES];
};

/* Medians of an entry's runs. */
struct result {
    const char *word; /* why there is no figure, or NULL */
    char word_text[120];
    unsigned n_runs;
    uint64_t n_events;
    double ns, min_ns, max_ns, p50_ns, p99_ns, p999_ns;
};

extern const struct row bench_rows[];
extern const size_t bench_n_rows;

/* run.c */
void row_run(const struct row *row, unsigned n_runs, struct result *ret_results);

/* print.c */
void print_head(unsigned n_runs);
void print_row(const struct row *row, const struct result *results);
void print_json(FILE *to, const struct row *row, const struct result *results);

#endif
